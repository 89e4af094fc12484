package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// life is what a daemon does in the crash tests. After each step it notes in
// promised which sizes each path may be found with at the next start: what the
// last acknowledged Put said, or what one under way would say; 0 stands for gone.
type life struct {
	t        *testing.T
	s        *Spool
	promised map[string][]int64
}

func (l *life) put(r *Record, size int64) bool {
	f, err := l.s.OpenData(r.ID)
	if err != nil {
		return false
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("x", int(size))), 0); err != nil {
		l.t.Fatal(err)
	}
	l.promised[r.Path] = append(l.promised[r.Path], size)
	r.Size = size
	r.Have.Add(0, size)
	r.Dirty.Add(0, size)
	if l.s.Put(r) != nil {
		return false
	}
	l.promised[r.Path] = []int64{size}
	return true
}

func (l *life) create(path string) *Record {
	r := &Record{ID: l.s.NewID(), Path: path}
	f, err := l.s.Create(r.ID)
	if err != nil {
		return nil
	}
	f.Close()
	l.promised[path] = []int64{0, 1}
	if !l.put(r, 1) {
		return nil
	}
	return r
}

func (l *life) run() {
	a := l.create("/a")
	if a == nil || l.s.groupSync() != nil || !l.put(a, 20) { // over a durable record
		return
	}
	b := l.create("/b")
	if b == nil {
		return
	}
	l.promised["/b"] = append(l.promised["/b"], 0)
	if l.s.Drop(b.ID) != nil {
		return
	}
	l.promised["/b"] = []int64{0}
	if l.s.groupSync() != nil {
		return
	}
	a.Attempts++
	if !l.put(a, 20) || !l.put(a, 30) {
		return
	}
	c := l.create("/c") // renamed over /a, locally
	if c == nil {
		return
	}
	old := l.promised["/a"]
	l.promised["/a"] = append(old, 1)
	l.promised["/c"] = append(l.promised["/c"], 0)
	c.Path = "/a"
	if l.s.Put(c) != nil {
		return
	}
	l.promised["/a"], l.promised["/c"] = []int64{1}, []int64{0}
	if l.s.Drop(a.ID) != nil {
		return
	}
	d := l.create("/d")
	if d == nil || l.s.groupSync() != nil || !l.put(d, 7) {
		return
	}
	l.promised["/d"] = append(l.promised["/d"], 0)
	if l.s.Detach(d.ID, filepath.Join(filepath.Dir(l.s.dir), "cached")) != nil {
		return
	}
	l.promised["/d"] = []int64{0}
	e := l.create("/e")
	if e == nil {
		return
	}
	l.promised["/e"] = append(l.promised["/e"], 0)
	if _, err := l.s.Discard(e.ID); err != nil {
		return
	}
	l.promised["/e"] = []int64{0}
}

// The daemon is killed after each single change to the disk, its last write whole
// or half done. What Put acknowledged is there at the next start, what Drop
// acknowledged is not, and only data that never got a record, or a local rename's
// loser, or a half-discarded file's record may be in quarantine.
func TestKilledAtEveryStep(t *testing.T) {
	for _, torn := range []bool{false, true} {
		for n := 0; ; n++ {
			dir := filepath.Join(t.TempDir(), "spool")
			d := newDisk("b1")
			s := mustOpen(t, d, dir)
			mustLoad(t, s)
			d.mu.Lock()
			d.budget, d.torn = n, torn
			d.mu.Unlock()
			l := &life{t: t, s: s, promised: map[string][]int64{}}
			l.run()
			d.mu.Lock()
			finished := d.budget > 0
			d.mu.Unlock()
			stop(s, d)
			l.check(fmt.Sprintf("killed after %d changes, torn %v", n, torn), dir)
			if finished {
				break
			}
			if n > 500 {
				t.Fatal("the life does not end")
			}
		}
	}
}

func (l *life) check(when, dir string) {
	l.t.Helper()
	s := mustOpen(l.t, newDisk("b1"), dir)
	defer s.Close()
	found := map[string]int64{}
	for _, r := range mustLoad(l.t, s) {
		found[r.Path] = r.Size
		if fi, err := os.Stat(s.data(r.ID)); err != nil || fi.Size() < r.Size {
			l.t.Errorf("%s: %s has no data: %v", when, r.Path, err)
		}
		if r.Interrupted {
			l.t.Errorf("%s: %s is interrupted", when, r.Path)
		}
	}
	for path, sizes := range l.promised {
		ok := false
		for _, n := range sizes {
			ok = ok || n == found[path]
		}
		if !ok {
			l.t.Errorf("%s: %s has %d bytes, want one of %v\nrec: %s\ndata: %s\nquarantine: %s", when, path, found[path], sizes,
				names(l.t, dir, "rec"), names(l.t, dir, "data"), names(l.t, dir, "quarantine"))
		}
	}
	notes, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*.txt"))
	if len(notes) > 1 {
		l.t.Errorf("%s: %d in quarantine", when, len(notes))
	}
	for _, n := range notes {
		b, _ := os.ReadFile(n)
		if t := string(b); !strings.Contains(t, "without a record") && !strings.Contains(t, "newer and has the same path") &&
			!(strings.Contains(t, `"/e"`) && strings.Contains(t, "data file is missing")) {
			l.t.Errorf("%s: quarantine: %s", when, t)
		}
	}
	// Nothing is half done any more.
	if _, _, err := s.Load(context.Background()); err != nil {
		l.t.Error(err)
	}
	if got := names(l.t, dir, "rec"); strings.Contains(got, "gone") || strings.Contains(got, "tmp") {
		l.t.Errorf("%s: left in rec: %s", when, got)
	}
}
