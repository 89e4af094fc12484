package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// smallDisk is one of so many pages.
type smallDisk struct {
	*disk
	mu    sync.Mutex
	dir   string
	limit int64 // pages; 0: any number
}

func (d *smallDisk) used() (pages int64) {
	_ = filepath.WalkDir(d.dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if fi, err := e.Info(); err == nil {
				pages += (fi.Size() + slotUnit - 1) / slotUnit
			}
		}
		return nil
	})
	return pages
}

// fill has somebody else take all the room there is.
func (d *smallDisk) fill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = d.used()
}

// write does what makes the file size bytes large, if there is room.
func (d *smallDisk) write(path string, size int64, replace bool, do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	was, _ := d.Size(path)
	if !replace {
		size = max(size, was)
	}
	if d.limit > 0 && d.used()+(size+slotUnit-1)/slotUnit-(was+slotUnit-1)/slotUnit > d.limit {
		return &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
	}
	return do()
}

func (d *smallDisk) WriteFile(path string, b []byte, sync bool) error {
	return d.write(path, int64(len(b)), true, func() error { return d.disk.WriteFile(path, b, sync) })
}

func (d *smallDisk) WriteAt(path string, b []byte, off int64, sync bool) error {
	return d.write(path, off+int64(len(b)), false, func() error { return d.disk.WriteAt(path, b, off, sync) })
}

// On a disk without a free page, with the ballast spent, whatever is owed can be
// marked, recorded as being sent, and dropped, in this run and after a kill.
func TestWhatIsOwedLeavesAFullDisk(t *testing.T) {
	dir := t.TempDir()
	d := &smallDisk{disk: newDisk("b1"), dir: dir}
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	var owed []*Record
	for i := range ballastFiles + 30 {
		r := file(t, s, fmt.Sprintf("/%d", i), 9)
		r.Open = true
		put(t, s, r)
		r.Open = false
		owed = append(owed, put(t, s, r))
		if i == 40 {
			if err := s.groupSync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.fill()
	if err := s.groupSync(); err != nil {
		t.Errorf("group sync on the full disk: %v", err)
	}
	weights := s.weights
	for round := range 5 { // the server does not answer
		for _, r := range owed {
			r.Temp = fmt.Sprint("/.temp", round)
			if err := s.Put(r); err != nil {
				t.Fatalf("round %d: record an upload: %v", round, err)
			}
			r.Attempts++
			_ = s.Note(r)
		}
		if err := s.groupSync(); err != nil {
			t.Errorf("round %d: group sync: %v", round, err)
		}
	}
	if s.weights != weights {
		t.Errorf("%d pieces of ballast are left of %d, though every record had room of its own", s.weights, weights)
	}
	for s.drop() {
	}
	d.fill() // somebody else was quicker
	stop(s, d.disk)

	d = &smallDisk{disk: newDisk("b1"), dir: dir, limit: d.limit}
	s = mustOpen(t, d, dir)
	recs := mustLoad(t, s)
	if len(recs) != len(owed) || s.Quarantined() != 0 || s.weights != 0 {
		t.Fatalf("%d records after the kill, want %d; %d in quarantine, %d pieces of ballast", len(recs), len(owed), s.Quarantined(), s.weights)
	}
	for i := range recs {
		recs[i].Temp = "/.again"
		if err := s.Put(&recs[i]); err != nil {
			t.Fatalf("after the kill: %v", err)
		}
		if err := s.groupSync(); err != nil {
			t.Fatalf("after the kill: group sync: %v", err)
		}
	}
	for i := range recs {
		if err := s.Drop(recs[i].ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Of the two marks the one that is being written may be torn: the other one counts.
func TestATornMarkLeavesTheOneBefore(t *testing.T) {
	for _, torn := range markNames {
		dir := t.TempDir()
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		put(t, s, file(t, s, "/first", 9))
		for range 2 { // both marks know of it
			if err := s.groupSync(); err != nil {
				t.Fatal(err)
			}
			put(t, s, file(t, s, fmt.Sprint("/later", s.next), 9))
		}
		high := s.next
		stop(s, d)
		if err := OS.WriteAt(filepath.Join(dir, torn), make([]byte, 512), 0, false); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, newDisk("b2"), dir) // after a power cut
		if id := s.NewID(); id <= high {
			t.Errorf("%s torn: number %d again, after %d", torn, id, high)
		}
		recs := mustLoad(t, s)
		if len(recs) == 0 || recs[0].Path != "/first" {
			t.Errorf("%s torn: %q, want /first among them", torn, paths(recs))
		}
		if err := s.groupSync(); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = mustOpen(t, newDisk("b3"), dir)
		if got := mustLoad(t, s); len(got) != len(recs) {
			t.Errorf("%s torn: %q at the second start, want %q", torn, paths(got), paths(recs))
		}
		s.Close()
	}
}
