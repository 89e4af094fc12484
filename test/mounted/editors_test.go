package mounted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/mount"
)

func vimItself(t *testing.T, w work, dir string) {
	mount.Need(t, "vim")
	name := filepath.Join(dir, "letter.txt")
	put(t, name, []byte("Dear Sir,\nyours\n"))
	for i, set := range []string{"set backup writebackup backupcopy=no", "set nobackup writebackup backupcopy=yes",
		"set nobackup nowritebackup", "set backup backupcopy=auto swapfile updatecount=1"} {
		mount.Run(t, dir, "vim", "-u", "NONE", "-N", "-e", "-s", "-c", set, "-c", "normal! ggO"+strings.Repeat("x", i+1), "-c", "wq", name)
		if got, want := string(get(t, name)), strings.Repeat("x", i+1)+"\n"; !strings.HasPrefix(got, want) {
			t.Fatalf("after vim with %q: %q, want it to start with %q", set, got, want)
		}
	}
	w.there(t, dir)
	holds(t, w.behind(name), []byte("xxxx\nxxx\nxx\nx\nDear Sir,\nyours\n"))
	for _, n := range names(t, w.behind(dir)) {
		if n != "letter.txt" && n != "letter.txt~" {
			t.Errorf("vim's work left %q on the server", n)
		}
	}
}

// vimSave is what strace shows of vim's :w with a backup: try a name, move the
// original aside, write anew, set the mode, remove the backup.
func vimSave(t *testing.T, w work, dir string) {
	name, backup := filepath.Join(dir, "f.c"), filepath.Join(dir, "f.c~")
	w.putOnServer(t, name, []byte("old content, longer than the new one\n"))
	info, err := os.Stat(name)
	must(t, err)
	probe := filepath.Join(dir, "4913")
	f, err := os.OpenFile(probe, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	must(t, err)
	_ = os.Chown(probe, os.Getuid(), os.Getgid())
	must(t, f.Close())
	must(t, os.Remove(probe))
	_ = os.Remove(backup)
	must(t, os.Rename(name, backup))
	f, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	must(t, err)
	_, err = f.WriteString("new content\n")
	must(t, err)
	must(t, f.Sync())
	must(t, f.Chmod(info.Mode().Perm()))
	must(t, f.Close())
	must(t, os.Remove(backup))
	holds(t, name, []byte("new content\n"))
	w.there(t, dir)
	holds(t, w.behind(name), []byte("new content\n"))
	if got := names(t, w.behind(dir)); len(got) != 1 {
		t.Errorf("on the server: %q, want only f.c", got)
	}
}

// libreOfficeSave is what strace shows of LibreOffice: a lock file, the document
// written to a temporary file beside it, then copied over the original in place,
// and the lock removed.
func libreOfficeSave(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "report.odt")
	lock, temp := filepath.Join(dir, ".~lock.report.odt#"), filepath.Join(dir, "lu1234abcd.tmp")
	w.putOnServer(t, name, noise(1, 300_000))
	f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	must(t, err)
	_, err = f.WriteString(",user,host,01.01.2026 10:00,file:///;")
	must(t, err)
	must(t, f.Close())
	document := noise(2, 250_000)
	put(t, temp, document)
	out, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	must(t, out.Truncate(0))
	for at := 0; at < len(document); at += 32768 {
		_, err := out.WriteAt(document[at:min(at+32768, len(document))], int64(at))
		must(t, err)
	}
	must(t, out.Sync())
	must(t, out.Close())
	must(t, os.Remove(temp))
	must(t, os.Remove(lock))
	w.there(t, dir)
	holds(t, w.behind(name), document)

	// And the newer way: rename the temporary file over the document.
	document = noise(3, 260_000)
	put(t, temp, document)
	must(t, os.Rename(temp, name))
	holds(t, name, document)
	w.there(t, dir)
	holds(t, w.behind(name), document)
	if got := names(t, w.behind(dir)); len(got) != 1 {
		t.Errorf("on the server: %q, want only report.odt", got)
	}
}
