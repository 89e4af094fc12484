package mounted

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// mostMemory is what the daemon may ever have resident, whatever a server sends. A
// listing of a million entries takes most of it.
const mostMemory = 900 << 20

// peak is the most memory that the daemon ever had resident.
func peak(t *testing.T, m *mount.Mount) int64 {
	t.Helper()
	status := string(get(t, fmt.Sprintf("/proc/%d/status", m.PID())))
	var kb int64
	if _, after, ok := strings.Cut(status, "VmHWM:"); ok {
		_, err := fmt.Sscan(after, &kb)
		must(t, err)
	}
	if kb == 0 {
		t.Fatal("no VmHWM in /proc/PID/status")
	}
	return kb << 10
}

// A server that sends without end is given up at a bound, in memory and on disk, and
// not asked for the same again and again; what else it serves goes on.
func TestHostileServerIsBounded(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/good/file", []byte("good"))
	for i := range 4 {
		srv.Tree.Put(fmt.Sprintf("/unknown%d/x", i), nil)
	}
	srv.Tree.Put("/huge/x", nil)
	srv.Tree.Put("/wide/x", nil)
	srv.Tree.Put("/small", noise(1, 1000))
	m := mountScript(t, srv, "timeout=5", "dir_cache_time=1")
	holds(t, m.Path("good", "file"), []byte("good"))
	good := func(after string) {
		t.Helper()
		eventually(t, "go on after "+after, func() bool {
			got, err := os.ReadFile(m.Path("good", "file"))
			return err == nil && string(got) == "good"
		})
		if n := peak(t, m); n > mostMemory {
			t.Errorf("after %s: %d MiB resident at the peak, want at most %d", after, n>>20, int64(mostMemory)>>20)
		} else {
			t.Logf("after %s: %d MiB resident at the peak", after, n>>20)
		}
	}
	good("nothing yet")

	t.Log("reply lines without end")
	for i, speak := range []ftpscript.Speak{ftpscript.Endless("250 ", "x"), ftpscript.Endless("250-", "on\r\n"), ftpscript.Endless("250-", "\r\n"), ftpscript.Endless("150 soon\r\n", "150 soon\r\n")} {
		unknown := fmt.Sprintf("unknown%d", i)
		rule := srv.Add(ftpscript.Rule{Verb: "MLST", Path: "/" + unknown + "/x", Speak: speak})
		_, err := os.Lstat(m.Path(unknown, "x"))
		wantErrno(t, "lstat", err, syscall.EIO, syscall.ETIMEDOUT)
		if rule.Hits() == 0 {
			t.Errorf("lstat %d asked the server nothing", i)
		}
		rule.Remove()
	}
	good("endless replies")

	t.Log("more than the file has")
	flood := srv.Add(ftpscript.Rule{Verb: "RETR", Path: "/small", Data: &ftpscript.DataFault{After: -1, Flood: "and more "}})
	got, err := os.ReadFile(m.Path("small"))
	if err == nil && !bytes.Equal(got, noise(1, 1000)) {
		t.Errorf("a file of 1000 bytes reads as %d, or others", len(got))
	}
	for _, c := range srv.Since(0).About("/small").Verbs("RETR") {
		if c.Bytes > 64<<20 {
			t.Errorf("%d bytes were sent for a file of 1000", c.Bytes)
		}
	}
	if used := m.Status().Cache.CacheUsed; used > 10<<20 {
		t.Errorf("%d bytes of cache used", used)
	}
	flood.Remove()
	good("an endless file")

	t.Log("a listing with a line of 1 MB")
	srv.Add(ftpscript.Rule{Verb: "MLSD", Path: "/wide", Data: &ftpscript.DataFault{Flood: "type=file;size=1; " + strings.Repeat("w", 1<<20) + "\r\n"}})
	_, err = os.ReadDir(m.Path("wide"))
	wantErrno(t, "list", err, syscall.EIO)
	good("a long line")

	t.Log("a listing without end")
	srv.Add(ftpscript.Rule{Verb: "MLSD", Path: "/huge", Data: &ftpscript.DataFault{Flood: "type=file;size=1;modify=20200101000000;unix.mode=0644; some name\r\n"}})
	for range 3 {
		_, err = os.ReadDir(m.Path("huge"))
		wantErrno(t, "list", err, syscall.EIO)
	}
	if n := len(srv.Since(0).About("/huge").Verbs("MLSD")); n != 1 {
		t.Errorf("the endless listing was fetched %d times", n)
	}
	good("an endless listing")
}

// A line of a listing that nobody understands may be a file: the directory cannot be
// listed, so that nothing is deleted for it, and the log has the line. A line that is
// known to be none does no harm.
func TestALineThatIsNotUnderstood(t *testing.T) {
	const line = "?rw-what 17 Smarch name=lost; f\x01le"
	srv := ftpscript.Start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}, Listing: func(_, dir string, lines []string) []string {
		switch dir {
		case "/d":
			return append(lines, line)
		case "/e":
			return append([]string{"total 4"}, lines...)
		}
		return lines
	}})
	srv.Tree.Put("/d/real", []byte("real"))
	srv.Tree.Put("/e/real", []byte("real"))
	m := mountScript(t, srv)
	_, err := os.ReadDir(m.Path("d"))
	wantErrno(t, "list", err, syscall.EIO)
	copied := mount.TempDir(t)
	put(t, filepath.Join(copied, "lost"), []byte("kept"))
	if r := (mount.Command{}).Do(t, "rsync", "-a", "--delete", m.Path("d")+"/", copied+"/"); r.Code == 0 {
		t.Errorf("rsync says nothing of it: %+v", r)
	}
	holds(t, filepath.Join(copied, "lost"), []byte("kept"))
	if n := strings.Count(m.Log(), "a line of a listing was not understood"); n != 1 || !strings.Contains(m.Log(), `?rw-what 17 Smarch name=lost; f\x01le`) {
		t.Errorf("the log has %d lines about it:\n%s", n, firstLines(m.Log(), 40))
	}
	if got := names(t, m.Path("e")); len(got) != 1 {
		t.Errorf("in the other directory are %q", got)
	}
}

// Names that lead out of their directory are an error, and nothing is written but in
// the directory given for cache and spool. A symlink's target is only text.
func TestHostileNamesLeadNowhere(t *testing.T) {
	for what, line := range map[string]string{
		"a slash":            "type=file;size=4; ../../../escaped",
		"an absolute path":   "type=file;size=4; /tmp/escaped",
		"dot-dot":            "type=file;size=4; ..",
		"dot":                "type=file;size=4; .",
		"nothing":            "type=file;size=4; ",
		"NUL":                "type=file;size=4; a\x00b",
		"a type of nonsense": "size=4; x",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			above := mount.TempDir(t)
			srv := ftpscript.Start(t, ftpscript.Options{Listing: func(_, dir string, lines []string) []string {
				if dir == "/d" {
					return append(lines, line)
				}
				return lines
			}})
			srv.Tree.Put("/d/real", []byte("real"))
			m := mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, CacheDir: mkdir(t, filepath.Join(above, "cache")), O: []string{"timeout=5"}})
			_, err := os.ReadDir(m.Path("d"))
			wantErrno(t, "list", err, syscall.EIO)
			holds(t, m.Path("d", "real"), []byte("real")) // by its own name it is there
			put(t, m.Path("written"), []byte("w"))
			m.Sync()
			must(t, filepath.WalkDir(above, func(p string, e fs.DirEntry, err error) error {
				if rel, _ := filepath.Rel(above, p); rel != "." && rel != "cache" && !strings.HasPrefix(rel, "cache/") {
					t.Errorf("written outside of the cache directory: %s", rel)
				}
				if strings.Contains(e.Name(), "escaped") {
					t.Errorf("the server's name became one of ours: %s", p)
				}
				return err
			}))
		})
	}
	srv, m := scripted(t, ftpscript.Options{Listing: func(_, dir string, lines []string) []string {
		if dir != "/" {
			return lines
		}
		return append(lines, "type=OS.unix=slink:/etc/passwd; link", "type=file;size=1; tab\there", "type=file;size=1; bell\x07", "type=file;size=1; twice", "type=file;size=1; twice")
	}})
	srv.Tree.Put("/f", nil)
	if got := names(t, m.Dir); !bytes.Equal([]byte(strings.Join(got, "|")), []byte("bell\x07|f|link|tab\there|twice")) {
		t.Errorf("listed %q", got)
	}
	if to, err := os.Readlink(m.Path("link")); err != nil || to != "/etc/passwd" {
		t.Errorf("readlink: %q, %v; want the text", to, err)
	}
}
