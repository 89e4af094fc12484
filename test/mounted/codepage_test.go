package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// A box with a DOS code page, in the Cyrillic and the Japanese of its day: names read right,
// what is made here is made in its bytes, and what it cannot write is refused at once.
func TestCodepage(t *testing.T) {
	for page, c := range map[string]struct{ dir, thereDir, file, there, never string }{
		"cp866":     {"Каталог", "\x8a\xa0\xe2\xa0\xab\xae\xa3", "Отчёт.txt", "\x8e\xe2\xe7\xf1\xe2.txt", "日本"},
		"shift_jis": {"表", "\x95\x5c", "ポ", "\x83\x7c", "é"},
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			srv, m := scripted(t, ftpscript.DOSCodePage(), "codepage="+page, "iocharset=utf8")
			srv.Tree.Put("/"+c.thereDir+"/"+c.there, []byte("theirs"))
			eventually(t, "see what is on the server", func() bool { _, err := os.Stat(m.Path(c.dir)); return err == nil })
			if got := names(t, m.Path(c.dir)); !slices.Equal(got, []string{c.file}) {
				t.Errorf("listed are %q, want %q", got, c.file)
			}
			holds(t, m.Path(c.dir, c.file), []byte("theirs"))
			put(t, m.Path(c.dir, c.file), []byte("ours"))
			must(t, os.Mkdir(m.Path(c.file), 0o755))
			must(t, os.Rename(m.Path(c.dir), m.Path(c.file, c.dir)))
			put(t, m.Path(c.file, c.file), []byte("new"))
			syncNow(t, m)
			for p, want := range map[string]string{"/" + c.there + "/" + c.thereDir + "/" + c.there: "ours", "/" + c.there + "/" + c.there: "new"} {
				if got, _ := srv.Tree.Get(p); string(got) != want {
					t.Errorf("%q has %q on the server, want %q", p, got, want)
				}
			}
			_, err := os.Create(m.Path(c.never))
			wantErrno(t, "create "+c.never, err, syscall.EINVAL)
			wantErrno(t, "mkdir "+c.never, os.Mkdir(m.Path(c.never), 0o755), syscall.EINVAL)
			wantErrno(t, "rename to "+c.never, os.Rename(m.Path(c.file, c.file), m.Path(c.never)), syscall.EINVAL)
		})
	}
}

// What is owed under names in one code page is not sent under names in another.
func TestOwedNamesKeepTheirCodepage(t *testing.T) {
	srv, m := scripted(t, ftpscript.DOSCodePage(), "codepage=cp866", "nofail")
	names(t, m.Dir)
	srv.Stop()
	put(t, m.Path("plain"), []byte("plain"))
	put(t, m.Path("Имя"), []byte("owed"))
	m.Kill()
	must(t, srv.Restart())
	o := mount.Options{URL: srv.URL(""), Password: ftpscript.Password, CacheDir: m.CacheDir, Dir: m.Dir}
	if _, err := mount.Try(t, o); err == nil || !strings.Contains(err.Error(), "owed 1 file from a mount with codepage=cp866") {
		t.Fatalf("without the code page: %v", err)
	}
	o.O = []string{"codepage=cp866"}
	again := mount.New(t, o)
	syncNow(t, again)
	if got, _ := srv.Tree.Get("/\x88\xac\xef"); string(got) != "owed" {
		t.Errorf("on the server: %q", got)
	}
	again.Unmount()
	o.O = nil
	mount.New(t, o).Unmount() // nothing is owed any more
}

// On a Pure-FTPd that hides its name, a name that it would store as another is refused at
// once, and what has the other name is left alone.
func TestANameThatIsStoredAsAnother(t *testing.T) {
	for _, kind := range []servers.Kind{servers.PureFTPd, servers.Pyftpdlib} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			odd, other := "x ", "x_"
			if kind == servers.Pyftpdlib {
				odd, other = "x\xe9", "x\ufffd"
			}
			w := on(t, kind)
			put(t, w.behind(w.Path(other)), []byte("theirs"))
			put(t, w.Path("plain"), []byte("plain"))
			_, err := os.Create(w.Path(odd))
			wantErrno(t, fmt.Sprintf("create %q", odd), err, syscall.EINVAL)
			wantErrno(t, fmt.Sprintf("mkdir %q", odd), os.Mkdir(w.Path(odd), 0o755), syscall.EINVAL)
			wantErrno(t, fmt.Sprintf("rename to %q", odd), os.Rename(w.Path("plain"), w.Path(odd)), syscall.EINVAL)
			syncNow(t, w.Mount)
			holds(t, w.behind(w.Path(other)), []byte("theirs"))
			holds(t, w.behind(w.Path("plain")), []byte("plain"))
			if got := names(t, filepath.Dir(w.behind(w.Path(other)))); !slices.Equal(got, []string{"plain", other}) {
				t.Errorf("on the server: %q", got)
			}
		})
	}
}

// Where cases are not told apart, README is never replaced by readme, and mv readme README
// works.
func TestAServerThatDoesNotTellCasesApart(t *testing.T) {
	for _, o := range []ftpscript.Personality{{Name: "IIS", Options: ftpscript.IIS()}, {Name: "FileZilla Server", Options: ftpscript.FileZilla()}} {
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			srv, m := scripted(t, o.Options, "dir_cache_time=1")
			srv.Tree.Put("/README", []byte("theirs"))
			put(t, m.Path("first"), []byte("first")) // the first publication tells
			syncNow(t, m)
			eventually(t, "see what is on the server", func() bool { _, err := os.Stat(m.Path("README")); return err == nil })
			_, err := os.OpenFile(m.Path("readme"), os.O_CREATE|os.O_WRONLY, 0o644)
			wantErrno(t, "create", err, syscall.EEXIST)
			wantErrno(t, "mkdir", os.Mkdir(m.Path("Readme"), 0o755), syscall.EEXIST)
			wantErrno(t, "rename", os.Rename(m.Path("first"), m.Path("Readme")), syscall.EEXIST)
			must(t, os.Rename(m.Path("README"), m.Path("ReadMe")))
			syncNow(t, m)
			if f, there := srv.Tree.Stat("/README"); !there || f.Path != "/ReadMe" {
				t.Errorf("it is called %q", f.Path)
			}
			holds(t, m.Path("ReadMe"), []byte("theirs"))
			put(t, m.Path("ReadMe"), []byte("ours"))
			syncNow(t, m)
			if got, _ := srv.Tree.Get("/ReadMe"); string(got) != "ours" {
				t.Errorf("on the server: %q", got)
			}
			if got := names(t, m.Dir); !slices.Equal(got, []string{"ReadMe", "first"}) {
				t.Errorf("listed are %q", got)
			}
		})
	}
}
