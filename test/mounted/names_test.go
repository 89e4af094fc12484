package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/servers"
)

// awkward names, each of which has broken some client.
var awkward = []string{
	"with space", " leading space", "trailing space ", "two  spaces", "tab\there",
	"[brackets]", "star*", "question?", "hash#mark", "percent%20", "plus+", "amp&ersand", "semi;colon", "comma,",
	`single'quote`, `double"quote`, `back\slash`, "colon:", "pipe|", "less<than>", "dollar$HOME", "back`tick", "{brace}",
	"-dash", "--help", "-rf", "-a", "~", "~root", "~x", ".hidden", "..two dots", "...", "trailing.",
	"Grüße", "日本語", "e\u0301 decomposed", "\u00e9 composed", "🙂",
	"\xff", "latin1 \xe9", "type=file;size=1; x", "-rw-r--r-- 1 x", "226 done", " -> arrow", "a -> b",
}

// cannot tells which names a server itself cannot keep; see notes in the README.
func cannot(kind servers.Kind, name string) bool {
	switch kind {
	case servers.ProFTPD:
		return strings.Contains(name, "*") // it globs, also in CWD
	case servers.PureFTPd:
		return strings.HasSuffix(name, " ") || strings.ContainsAny(name, "\\\t") // 553, or another name
	case servers.Pyftpdlib:
		return !slices.Contains([]string{name}, strings.ToValidUTF8(name, "")) // bytes become U+FFFD
	}
	return false
}

func awkwardNames(t *testing.T, w work, dir string) {
	// Some were made by somebody else.
	theirs := filepath.Join(dir, "theirs")
	for i, name := range awkward {
		if !cannot(w.srv.Kind, name) {
			mkdir(t, filepath.Join(w.behind(theirs), name))
			put(t, filepath.Join(w.behind(theirs), name, name), noise(uint64(i), 100+i))
		}
	}
	w.srv.Own(w.behind(theirs))
	eventually(t, "see what is on the server", func() bool { _, err := os.Stat(theirs); return err == nil })
	for i, name := range awkward {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if cannot(w.srv.Kind, name) {
				t.Skipf("by design: %s itself cannot keep this name", w.srv.Kind)
			}
			data := noise(uint64(i), 100+i)
			file, sub := filepath.Join(dir, name), filepath.Join(mkdir(t, filepath.Join(dir, "dirs")), name)
			put(t, file, data)
			must(t, os.Mkdir(sub, 0o755))
			put(t, filepath.Join(sub, name), data)
			syncNow(t, w.Mount)
			holds(t, w.behind(file), data)
			holds(t, filepath.Join(w.behind(sub), name), data)

			there := filepath.Join(theirs, name)
			holds(t, filepath.Join(there, name), data)
			if got := names(t, there); len(got) != 1 || got[0] != name {
				t.Errorf("listing: %q, want only %q", got, name)
			}
			must(t, os.Rename(filepath.Join(there, name), filepath.Join(there, "plain")))
			must(t, os.Rename(filepath.Join(there, "plain"), filepath.Join(there, name)))
			holds(t, filepath.Join(w.behind(there), name), data)
			must(t, os.Remove(filepath.Join(there, name)))
			must(t, os.Remove(there))
			absent(t, w.behind(there))
		})
	}
	if !t.Failed() {
		w.there(t, dir)
	}
}

func longNames(t *testing.T, w work, dir string) {
	for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("ü", 127) + "x", strings.Repeat("d", 251) + ".txt"} {
		file := filepath.Join(dir, name)
		put(t, file, []byte(name))
		syncNow(t, w.Mount)
		holds(t, w.behind(file), []byte(name))
		must(t, os.Rename(file, filepath.Join(dir, "short")))
		must(t, os.Rename(filepath.Join(dir, "short"), file))
		put(t, file, []byte("again"))
		syncNow(t, w.Mount)
		holds(t, w.behind(file), []byte("again"))
	}
	_, err := os.Create(filepath.Join(dir, strings.Repeat("n", 256)))
	wantErrno(t, "create a name of 256 bytes", err, syscall.ENAMETOOLONG)
	w.there(t, dir)
}

func newlineInName(t *testing.T, w work, dir string) {
	for _, name := range []string{"new\nline", "car\rriage", "a\r\nDELE victim"} {
		_, err := os.Create(filepath.Join(dir, name))
		wantErrno(t, fmt.Sprintf("create %q", name), err, syscall.EINVAL)
		wantErrno(t, fmt.Sprintf("mkdir %q", name), os.Mkdir(filepath.Join(dir, name), 0o755), syscall.EINVAL)
		put(t, filepath.Join(dir, "plain"), []byte("x"))
		wantErrno(t, fmt.Sprintf("rename to %q", name), os.Rename(filepath.Join(dir, "plain"), filepath.Join(dir, name)), syscall.EINVAL)
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("stat %q succeeded", name)
		}
	}
	w.there(t, dir)
}

func manyFiles(t *testing.T, w work, dir string) {
	const n = 5000
	for i := range n {
		put(t, filepath.Join(dir, fmt.Sprintf("file %04d", i)), []byte(fmt.Sprint(i)))
	}
	if got := names(t, dir); len(got) != n || got[n-1] != "file 4999" {
		t.Fatalf("listing before they are all there: %d names, want %d", len(got), n)
	}
	w.there(t, dir)
	if got := names(t, w.behind(dir)); len(got) != n {
		t.Fatalf("on the server: %d names, want %d", len(got), n)
	}
	holds(t, filepath.Join(w.behind(dir), "file 1234"), []byte("1234"))
}
