package spool

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFilesStillOpenAreInterrupted(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	r := file(t, s, "/a", 5)
	r.Open = true
	put(t, s, r)
	s.Close()
	for range 2 { // also after the loaded record was put again
		s = mustOpen(t, newDisk("b1"), dir)
		recs := mustLoad(t, s)
		if len(recs) != 1 || !recs[0].Interrupted || recs[0].Open {
			t.Fatalf("got %+v", recs)
		}
		put(t, s, &recs[0])
		s.Close()
	}
}

func TestLoadQuarantines(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *testing.T, s *Spool, r *Record)
		want string // loaded
		q    int
	}{
		{"a torn record", func(t *testing.T, s *Spool, r *Record) { truncate(t, s.rec(r.ID, ".json"), 40) }, "/other", 1},
		{"an empty record", func(t *testing.T, s *Spool, r *Record) { truncate(t, s.rec(r.ID, ".json"), 0) }, "/other", 1},
		{"data too short", func(t *testing.T, s *Spool, r *Record) { truncate(t, s.data(r.ID), 99) }, "/other", 1},
		{"data missing", func(t *testing.T, s *Spool, r *Record) { remove(t, s.data(r.ID)) }, "/other", 1},
		{"data without a record", func(t *testing.T, s *Spool, r *Record) { remove(t, s.rec(r.ID, ".json")) }, "/other", 1},
		{"a record of another file", func(t *testing.T, s *Spool, r *Record) {
			b, _ := os.ReadFile(s.rec(r.ID+1, ".json"))
			if err := os.WriteFile(s.rec(r.ID, ".json"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "/other", 1},
		{"clean content cut short is only forgotten", func(t *testing.T, s *Spool, r *Record) {
			r.Base, r.Dirty = full(1, "/").Base, full(1, "/").Dirty
			r.Dirty.Truncate(0)
			put(t, s, r)
			remove(t, s.data(r.ID))
		}, "/other /a", 0},
		{"foreign files are left alone", func(t *testing.T, s *Spool, r *Record) {
			for _, n := range []string{"rec/README", "rec/0.json", "rec/7.json~", "rec/99999999999999999999999.json", "data/x"} {
				if err := os.WriteFile(s.path(n), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "/a /other", 0},
		{"a newer record for the path", func(t *testing.T, s *Spool, r *Record) {
			put(t, s, file(t, s, "/a", 3))
		}, "/other /a", 1},
		{"leftover temporary", func(t *testing.T, s *Spool, r *Record) {
			os.WriteFile(s.rec(r.ID, ".tmp"), []byte("x"), 0o600)
		}, "/a /other", 0},
		{"data never put, empty", func(t *testing.T, s *Spool, r *Record) { file(t, s, "/n", 0) }, "/a /other", 0},
		{"data never put", func(t *testing.T, s *Spool, r *Record) { file(t, s, "/n", 1) }, "/a /other", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, newDisk("b1"), dir)
			r := put(t, s, file(t, s, "/a", 100))
			put(t, s, file(t, s, "/other", 10))
			c.harm(t, s, r)
			s.Close()
			for range 2 { // a second start finds nothing more to do
				s = mustOpen(t, newDisk("b1"), dir)
				if got := paths(mustLoad(t, s)); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if s.Quarantined() != c.q {
					t.Errorf("%d in quarantine (%s), want %d", s.Quarantined(), names(t, dir, "quarantine"), c.q)
				}
				s.Close()
			}
		})
	}
}

func truncate(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestShortageFailsLoadAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	put(t, s, file(t, s, "/a", 9))
	s.Close()
	d := newDisk("b1")
	s = mustOpen(t, d, dir)
	d.fail = func(op, path string) error {
		if op == "read" && strings.Contains(path, "/rec/") {
			return syscall.EMFILE
		}
		return nil
	}
	if _, _, err := s.Load(context.Background()); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	d.fail = nil
	if got := paths(mustLoad(t, s)); got != "/a" || s.Quarantined() != 0 {
		t.Errorf("got %q", got)
	}
}

func TestPeekTolerates(t *testing.T) {
	dir := t.TempDir()
	if _, _, _, err := Peek(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if owed, _, _, err := Peek(dir); owed != 0 || err != nil {
		t.Errorf("an empty directory: %d %v", owed, err)
	}
	s := mustOpen(t, newDisk("b1"), dir)
	r := file(t, s, "/a", 9)
	r.Parked = true
	put(t, s, r)
	r = put(t, s, file(t, s, "/b", 9))
	truncate(t, s.rec(r.ID, ".json"), 9)
	if owed, n, parked, err := Peek(dir); owed != 2 || n != 0 || parked != 1 || err != nil {
		t.Errorf("got %d %d %d %v", owed, n, parked, err)
	}
}

// The mount is up while Load runs: new files are none of its business.
func TestLoadLeavesNewFilesAlone(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	put(t, s, file(t, s, "/old", 9))
	s.Close()
	s = mustOpen(t, newDisk("b1"), dir)
	unnamed := file(t, s, "/unnamed", 9)
	put(t, s, file(t, s, "/new", 9))
	if got := paths(mustLoad(t, s)); got != "/old" {
		t.Errorf("got %s", got)
	}
	put(t, s, unnamed)
	s.Close()
	s = mustOpen(t, newDisk("b1"), dir)
	if got := paths(mustLoad(t, s)); got != "/old /new /unnamed" || s.Quarantined() != 0 {
		t.Errorf("got %s", got)
	}
}
