package place

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/cmd/internal/target"
)

func TestKeysDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, u := range []string{"ftp://h", "ftp://h//", "ftp://u@h", "ftp://h:22", "ftp://h/a/b", "ftp://h/a_b", "ftp://h//a/b",
		"ftp://[::1]/x", "ftp://h/" + strings.Repeat("long/", 60), "ftp://h/" + strings.Repeat("long/", 61), "ftp://h/%ff"} {
		tg, err := target.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		k := Key(tg)
		if was, ok := seen[k]; ok {
			t.Errorf("%s and %s share the key %s", was, u, k)
		}
		seen[k] = u
		if strings.ContainsAny(k, "/\x00") || strings.HasPrefix(k, ".") || len(k) > 100 {
			t.Errorf("%s: bad key %q", u, k)
		}
	}
	anon, _ := target.Parse("ftp://anonymous@h")
	none, _ := target.Parse("h:21/")
	if Key(anon) != Key(none) {
		t.Errorf("%q and %q are the same server, user and path", Key(anon), Key(none))
	}
}

func TestMakeIsPrivate(t *testing.T) {
	r, err := FindRoots(filepath.Join(t.TempDir(), "c"))
	if err != nil {
		t.Fatal(err)
	}
	tg, _ := target.Parse("ftp://h/x")
	d, err := r.Make(tg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.State, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Make(tg); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{r.State, r.Cache, d.State, d.Cache} {
		fi, err := os.Stat(dir)
		if err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want 0700", dir, fi, err)
		}
	}
	keys, err := r.Keys()
	if err != nil || len(keys) != 1 || keys[0] != Key(tg) {
		t.Errorf("Keys: %v, %v", keys, err)
	}
}

func TestPrivateRefusesWhatIsNotOurs(t *testing.T) {
	base := t.TempDir()
	real := filepath.Join(base, "real")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := Private(link); err == nil {
		t.Error("a symlink was taken for our directory")
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(real, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if err := Private(real); err == nil {
			t.Error("another user's directory was taken for ours")
		}
	}
}

func TestNote(t *testing.T) {
	dir := t.TempDir()
	if n := ReadNote(dir); n.PID != 0 {
		t.Errorf("no note reads as %+v", n)
	}
	if err := WriteNote(dir, Note{URL: "ftp://h", PID: 7, Mountpoint: "/mnt"}); err != nil {
		t.Fatal(err)
	}
	if n := ReadNote(dir); n.URL != "ftp://h" || n.PID != 7 || n.Mountpoint != "/mnt" {
		t.Errorf("got %+v", n)
	}
	if err := os.WriteFile(filepath.Join(dir, noteName), []byte(`{"url":"ftp`), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := ReadNote(dir); n != (Note{}) {
		t.Errorf("a torn note reads as %+v", n)
	}
}

func TestElsewhere(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("by design: root's notes lie in /var/lib/ftpfs; TestAsAPlainUser runs this as somebody else")
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	usual, err := FindRoots("")
	if err != nil {
		t.Fatal(err)
	}
	spool := t.TempDir()
	a, b := Dirs{Key: "k", State: "/a/state/k"}, Dirs{Key: "k", State: "/b/state/k"}
	for _, d := range []Dirs{a, b} {
		if err := WriteElsewhere(d, Note{URL: "ftp://h", Spool: spool}); err != nil {
			t.Fatal(err)
		}
	}
	if keys, _ := usual.Keys(); len(keys) != 2 {
		t.Errorf("two notes are in %v", keys)
	}
	RemoveElsewhere(a)
	if keys, _ := usual.Keys(); len(keys) != 1 {
		t.Errorf("one note is in %v", keys)
	}
	if err := os.Remove(spool); err != nil {
		t.Fatal(err)
	}
	if err := WriteElsewhere(a, Note{URL: "ftp://h", Spool: usual.State}); err != nil {
		t.Fatal(err)
	}
	if keys, _ := usual.Keys(); len(keys) != 1 {
		t.Errorf("the note of a spool that is gone was left: %v", keys)
	}
}

func TestRootsOfAPlainUser(t *testing.T) {
	if os.Geteuid() == 0 {
		r, err := FindRoots("")
		if err != nil || r.State != "/var/lib/ftpfs" || r.Cache != "/var/cache/ftpfs" {
			t.Errorf("root's: %+v, %v", r, err)
		}
		return
	}
	t.Setenv("XDG_STATE_HOME", "/s")
	t.Setenv("XDG_CACHE_HOME", "relative")
	t.Setenv("HOME", "/h")
	r, err := FindRoots("")
	if err != nil || r.State != "/s/ftpfs" || r.Cache != "/h/.cache/ftpfs" {
		t.Errorf("%+v, %v", r, err)
	}
}
