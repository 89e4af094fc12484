package spool

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

var errStopped = errors.New("the disk has stopped")

// disk is the real one with a boot id of the test's choice, that can fail chosen
// operations, or stop for good after a number of changes.
type disk struct {
	FS
	boot string

	mu     sync.Mutex
	fail   func(op, path string) error // nil: do it
	budget int                         // changes left; below 0: no limit
	torn   bool                        // the write at which the disk stops is half done
	ops    int                         // changes so far
}

func newDisk(boot string) *disk { return &disk{FS: OS, boot: boot, budget: -1} }

// change counts an operation. half says that it shall be done half.
func (d *disk) change(op, path string) (half bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(op, path); err != nil {
			return false, &os.PathError{Op: op, Path: path, Err: err}
		}
	}
	d.ops++
	if d.budget == 0 {
		half, d.torn = d.torn, false
		return half, errStopped
	}
	if d.budget > 0 {
		d.budget--
	}
	return false, nil
}

func (d *disk) ReadFile(path string) ([]byte, error) {
	if strings.HasPrefix(path, "/proc/") {
		if d.boot == "" {
			return nil, os.ErrNotExist
		}
		return []byte(d.boot + "\n"), nil
	}
	if err := d.read("read", path); err != nil {
		return nil, err
	}
	return d.FS.ReadFile(path)
}

func (d *disk) read(op, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail(op, path)
	}
	return nil
}

func (d *disk) WriteFile(path string, b []byte, sync bool) error {
	half, err := d.change("write", path)
	if half {
		_ = d.FS.WriteFile(path, b[:len(b)/2], false)
	}
	if err != nil {
		return err
	}
	return d.FS.WriteFile(path, b, sync)
}

func (d *disk) WriteAt(path string, b []byte, off int64, sync bool) error {
	half, err := d.change("write", path)
	if half {
		_ = d.FS.WriteAt(path, b[:len(b)/9], off, false) // within the record's text
	}
	if err != nil {
		return err
	}
	return d.FS.WriteAt(path, b, off, sync)
}

func (d *disk) OpenFile(path string, flag int) (*os.File, error) {
	if flag&os.O_CREATE != 0 {
		if _, err := d.change("open", path); err != nil {
			return nil, err
		}
	}
	return d.FS.OpenFile(path, flag)
}

func (d *disk) Rename(from, to string) error {
	if _, err := d.change("rename", from); err != nil {
		return err
	}
	return d.FS.Rename(from, to)
}

func (d *disk) Remove(path string) error {
	if _, err := d.change("remove", path); err != nil {
		return err
	}
	return d.FS.Remove(path)
}

func (d *disk) SyncDir(path string) error {
	if _, err := d.change("syncdir", path); err != nil {
		return err
	}
	return nil // the tests do not cut the real power
}

func (d *disk) SyncData(f *os.File) error {
	_, err := d.change("fdatasync", f.Name())
	return err
}

func (d *disk) SyncFS(f *os.File) error {
	_, err := d.change("syncfs", f.Name())
	return err
}

func mustOpen(t testing.TB, fs FS, dir string) *Spool {
	t.Helper()
	s, err := Open(fs, dir, "ftp://u@host/", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustLoad(t testing.TB, s *Spool) []Record {
	t.Helper()
	recs, _, err := s.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// file makes a record with n bytes of data.
func file(t testing.TB, s *Spool, path string, n int64) *Record {
	t.Helper()
	r := &Record{ID: s.NewID(), Path: path, Size: n, Created: time.Unix(1700000000, 0).UTC()}
	r.Have.Add(0, n)
	r.Dirty.Add(0, n)
	f, err := s.Create(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte(strings.Repeat("x", int(n)))); err != nil {
		t.Fatal(err)
	}
	return r
}

func put(t testing.TB, s *Spool, r *Record) *Record {
	t.Helper()
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func paths(recs []Record) string {
	var out []string
	for _, r := range recs {
		p := r.Path
		if r.Interrupted {
			p += "!"
		}
		out = append(out, p)
	}
	return strings.Join(out, " ")
}

func names(t testing.TB, elem ...string) string {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func full(id uint64, path string) *Record {
	mode, mtime := uint32(0o640), time.Unix(1700000001, 0).UTC()
	return &Record{ID: id, Path: path, Size: 100,
		Base: &remote.Version{Size: 7, MTime: mtime, MGrain: time.Second, Unique: "u\xff1"},
		Have: ranges.Of(ranges.Range{Off: 0, End: 10}, ranges.Range{Off: 20, End: 90}), Dirty: ranges.Of(ranges.Range{Off: 20, End: 30}),
		Open: true, Interrupted: true, MTime: &mtime, Mode: &mode, ModeKept: true, Created: mtime.Add(5), Attempts: 3, LastError: "552 \xfc full",
		Parked: true, Tail: &Tail{From: 3, To: 7}, Temp: "/d/.t\xff", Backup: "/d/.b", Sent: &remote.Version{Size: -1}}
}
