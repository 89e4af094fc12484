package soak

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// onePlace is a world whose mount and whose server's disk are one local directory.
func onePlace(t *testing.T, files map[string]string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, srv: &servers.Server{Root: dir}, m: &mount.Mount{Dir: dir},
		files: map[string][]string{}, dirs: map[string]bool{"ours": true}, loose: map[string]bool{}, must: map[string]string{}}
	for name, data := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
		w.files[name] = []string{data}
		for d := filepath.Dir(name); d != "."; d = filepath.Dir(d) {
			w.dirs[d] = true
		}
	}
	return w
}

// moveFailing has the rename of p to q fail without having been done: the paths are too
// long for the kernel while it is tried.
func (w *world) moveFailing(p, q string) {
	w.t.Helper()
	w.down = true
	long := w.m.Dir + strings.Repeat("/"+strings.Repeat("x", 200), 25)
	was := w.m.Dir
	w.m.Dir = long
	w.move(p, q)
	w.m.Dir = was
}

func (w *world) same(want bool) {
	w.t.Helper()
	if err := w.differs(); (err == nil) != want {
		w.t.Errorf("compared: %v; want a difference: %v; after %q", err, !want, w.log)
	}
}

// A rename failed, then the name it was to give was found absent: that is one of the two
// things it may have come to, and no loss.
func TestReadingDoesNotDecideARenameThatFailed(t *testing.T) {
	w := onePlace(t, map[string]string{"ours/f5": "precious"})
	w.moveFailing("ours/f5", "ours/f2")
	w.check("ours/f2")
	w.check("ours/f5")
	w.same(true)

	if err := os.Rename(w.m.Path("ours/f5"), w.m.Path("ours/f2")); err != nil { // it happened after all
		t.Fatal(err)
	}
	w.same(true)
}

// What a rename that failed may not have come to is seen, whatever was read since.
func TestARenameByHalfIsSeen(t *testing.T) {
	for name, half := range map[string]func(dir string) error{
		"neither": func(dir string) error { return os.Remove(filepath.Join(dir, "ours/f5")) },
		"both": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "ours/d0/f2"), []byte("precious"), 0o666)
		},
		"target": func(dir string) error { return os.Remove(filepath.Join(dir, "ours/d0/f2")) },
		"short":  func(dir string) error { return os.WriteFile(filepath.Join(dir, "ours/f5"), []byte("prec"), 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			w := onePlace(t, map[string]string{"ours/f5": "precious", "ours/d0/f2": "older"})
			w.moveFailing("ours/f5", "ours/d0/f2")
			w.same(true)
			if err := half(w.m.Dir); err != nil {
				t.Fatal(err)
			}
			w.check("ours/f5")
			w.check("ours/d0/f2")
			w.same(false)
		})
	}
	t.Run("below a directory", func(t *testing.T) {
		w := onePlace(t, map[string]string{"ours/d0/f1": "one", "ours/d0/d1/f2": "two"})
		w.moveFailing("ours/d0", "ours/d3")
		w.same(true)
		if err := os.Remove(w.m.Path("ours/d0/d1/f2")); err != nil {
			t.Fatal(err)
		}
		w.same(false)
	})
}

// What is not certain does not become certain by the rename of what it lies in, and what
// is done to one of the names ends the demand.
func TestDoubtMovesWithItsDirectory(t *testing.T) {
	w := onePlace(t, map[string]string{"ours/f5": "precious", "ours/d0/f1": "one"})
	w.moveFailing("ours/f5", "ours/d0/f2")
	w.move("ours/d0", "ours/d3")
	w.same(true)

	w = onePlace(t, map[string]string{"ours/f5": "precious", "ours/f2": "older"})
	w.moveFailing("ours/f5", "ours/f2")
	w.r = rand.New(rand.NewPCG(1, 1))
	w.write("ours/f5", "newer", os.O_TRUNC)
	w.same(true)
}
