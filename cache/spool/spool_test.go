package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPutAndLoad(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	mustLoad(t, s)
	a, b := put(t, s, file(t, s, "/a\xff", 100)), put(t, s, file(t, s, "/b", 0))
	d := put(t, s, &Record{ID: s.NewID(), Path: "/", Dir: true})
	put(t, s, a)
	if a.Seq <= d.Seq || d.Seq <= b.Seq {
		t.Errorf("sequence numbers do not rise: %d %d %d", b.Seq, d.Seq, a.Seq)
	}
	if err := s.Drop(b.ID); err != nil {
		t.Fatal(err)
	}
	last := s.NewID()
	s.Close()

	s = mustOpen(t, newDisk("b1"), dir)
	if id := s.NewID(); id <= last {
		t.Errorf("id %d after %d", id, last)
	}
	recs := mustLoad(t, s)
	want := []Record{*d, *a}
	for i := range recs {
		recs[i].Created = want[i].Created // a zero time loads as UTC
	}
	if !reflect.DeepEqual(recs, want) {
		t.Errorf("got %+v\nwant %+v", recs, want)
	}
	if got := names(t, dir, "rec") + " " + names(t, dir, "data"); strings.Contains(got, fmt.Sprint(b.ID)) {
		t.Errorf("something of %d is left: %s", b.ID, got)
	}
	owed, n, parked, err := Peek(dir)
	if owed != 2 || n != 100 || parked != 0 || err != nil {
		t.Errorf("Peek: %d %d %d %v", owed, n, parked, err)
	}
}

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

// A new boot believes what was synced: by Sync, by the group sync, or by checksum
// alone where no content hangs on it.
func TestNewBoot(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	put(t, s, file(t, s, "/group", 9))
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	put(t, s, file(t, s, "/lost", 9))
	put(t, s, file(t, s, "/empty", 0))
	put(t, s, &Record{ID: s.NewID(), Path: "/dir", Dir: true})
	r := file(t, s, "/synced", 9)
	f, err := s.OpenData(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Sync(r, f); err != nil {
		t.Fatal(err)
	}
	stop(s, d)

	for i, boot := range []string{"b2", "b3", "", "b4"} { // what counted once counts for good
		d = newDisk(boot)
		s = mustOpen(t, d, dir)
		if got, want := paths(mustLoad(t, s)), "/group /empty /dir /synced"; got != want {
			t.Errorf("start %d: got %s, want %s", i, got, want)
		}
		if n := s.Quarantined(); n != 1 {
			t.Errorf("start %d: %d in quarantine", i, n)
		}
		stop(s, d)
	}
	q := names(t, dir, "quarantine")
	if !strings.Contains(q, ".data") || !strings.Contains(q, ".json") || !strings.Contains(q, ".txt") {
		t.Errorf("quarantine holds %s", q)
	}
	notes, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*.txt"))
	if b, _ := os.ReadFile(notes[0]); !strings.Contains(string(b), `"/lost"`) {
		t.Errorf("the note says %s", b)
	}
}

// stop is the daemon killed: nothing more reaches the disk.
func stop(s *Spool, d *disk) {
	d.mu.Lock()
	d.budget = 0
	d.mu.Unlock()
	s.Close()
}

// Whoever does not live to load must not vouch for what an earlier boot left.
func TestMarkDoesNotCoverWhatWasNotLoaded(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	put(t, s, file(t, s, "/lost", 9))
	stop(s, d)

	d = newDisk("b2")
	s = mustOpen(t, d, dir)
	put(t, s, file(t, s, "/new", 9))
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	stop(s, d)

	s = mustOpen(t, newDisk("b3"), dir)
	if got := paths(mustLoad(t, s)); got != "/new" {
		t.Errorf("got %s", got)
	}
}

func TestCleanCloseSyncs(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	mustLoad(t, s)
	put(t, s, file(t, s, "/a", 9))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(&Record{ID: 99, Path: "/b"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
	s = mustOpen(t, newDisk("b2"), dir)
	if got := paths(mustLoad(t, s)); got != "/a" {
		t.Errorf("got %q", got)
	}
}

func TestGroupSyncRunsByItself(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk("b1")
		s, err := Open(d, dir, "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		mustLoad(t, s)
		r := put(t, s, file(t, s, "/a", 9))
		synced := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.durableLocked(r.ID, s.files[r.ID])
		}
		if synced() {
			t.Error("synced at once")
		}
		<-time.After(groupEvery)
		synctest.Wait()
		if !synced() {
			t.Error("not synced after a second")
		}
		ops := d.ops
		<-time.After(60 * groupEvery)
		synctest.Wait()
		if d.ops != ops {
			t.Errorf("%d operations while idle", d.ops-ops)
		}
		s.Close()
	})
}

// An upload that fails and is noted a moment before the power cut must not cost
// the file its proof.
func TestNotingAnAttemptKeepsTheProof(t *testing.T) {
	for _, torn := range []bool{false, true} {
		dir := t.TempDir()
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		r := put(t, s, file(t, s, "/a", 9))
		if err := s.groupSync(); err != nil {
			t.Fatal(err)
		}
		r.Attempts, r.Path = 5, "/renamed"
		put(t, s, r)
		r.Open = true // written to again; this record is not on disk
		put(t, s, r)
		stop(s, d)
		want := "/renamed!" // what was written since may be in the file
		if torn {
			if err := os.WriteFile(s.rec(r.ID, ".json"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s = mustOpen(t, newDisk("b2"), dir)
		recs := mustLoad(t, s)
		if paths(recs) != want || recs[0].Attempts != 5 || recs[0].Size != 9 {
			t.Errorf("torn %v: got %+v", torn, recs)
		}
		if n := s.Quarantined(); n != 1 { // the newer record
			t.Errorf("torn %v: %d in quarantine", torn, n)
		}
		if got := names(t, dir, "rec"); got != fmt.Sprintf("%d.json", r.ID) {
			t.Errorf("torn %v: rec holds %s", torn, got)
		}
	}
}

func TestGivingUpBytesForbidsTheOldRecord(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	r := put(t, s, file(t, s, "/a", 100))
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	r.Open = true
	put(t, s, r)
	before := d.ops
	r.Have.Truncate(10)
	r.Dirty.Truncate(10)
	put(t, s, r)
	if got := names(t, dir, "rec"); strings.Contains(got, "safe") {
		t.Errorf("rec holds %s", got)
	}
	if d.ops-before < 4 { // write, rename, remove, syncdir
		t.Errorf("%d operations: not durable", d.ops-before)
	}
	stop(s, d)
	s = mustOpen(t, newDisk("b2"), dir)
	if got := mustLoad(t, s); len(got) != 0 || s.Quarantined() != 1 {
		t.Errorf("got %+v, %d in quarantine", got, s.Quarantined())
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

func TestFullDiskLeavesTheOldRecordWhole(t *testing.T) {
	for _, op := range []string{"write", "rename"} {
		dir := t.TempDir()
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		r := put(t, s, file(t, s, "/a", 9))
		if err := s.groupSync(); err != nil {
			t.Fatal(err)
		}
		seq, renames := r.Seq, 0
		d.fail = func(o, path string) error {
			if o == "rename" { // the second one of a Put that keeps the old record
				if renames++; renames != 2 {
					return nil
				}
			}
			if o == op && strings.Contains(path, "/rec/") {
				return syscall.ENOSPC
			}
			return nil
		}
		r.Open = true
		if err := s.Put(r); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: %v", op, err)
		}
		if r.Seq != seq {
			t.Errorf("%s: Seq became %d", op, r.Seq)
		}
		d.fail = nil
		if got := names(t, dir, "rec"); got != fmt.Sprintf("%d.json", r.ID) {
			t.Errorf("%s: rec holds %s", op, got)
		}
		put(t, s, r) // and it goes on
		stop(s, d)
	}
}

// Nothing needs to be written to start on a full disk: the uploads that would free
// it must run.
func TestOpenOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	put(t, s, file(t, s, "/a", 9))
	s.Close()
	d := newDisk("b1")
	d.fail = func(op, path string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	s = mustOpen(t, d, dir)
	recs := mustLoad(t, s)
	if paths(recs) != "/a" {
		t.Fatalf("got %s", paths(recs))
	}
	if err := s.Drop(recs[0].ID); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, OS, dir)
	s.SetHolder("/mnt/x")
	_, err := Open(OS, dir, "ftp://u@host/", nil)
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (/mnt/x)", os.Getpid())) {
		t.Errorf("locked: %v", err)
	}
	put(t, s, file(t, s, "/a", 1))
	s.Close()
	var refused *RefusedError
	if _, err := Open(OS, dir, "ftp://other/", nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "ftp://other/") {
		t.Errorf("identity: %v", err)
	}
	for _, id := range []string{`{"format":2,"identity":"ftp://u@host/"}`, "", "garbage"} {
		if err := os.WriteFile(filepath.Join(dir, "id"), []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(OS, dir, "ftp://u@host/", nil); !errors.As(err, &refused) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	remove(t, filepath.Join(dir, "id"))
	if _, err := Open(OS, dir, "ftp://u@host/", nil); !errors.As(err, &refused) {
		t.Errorf("no id: %v", err)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	if dir := os.Getenv("SPOOL_HOLD"); dir != "" {
		s, err := Open(OS, dir, "x", nil)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		s.SetHolder("/mnt/there")
		fmt.Println("held")
		os.Stdin.Read(make([]byte, 1)) // until killed, or the parent is gone
		os.Exit(0)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockedByAnotherProcess$")
	cmd.Env = append(os.Environ(), "SPOOL_HOLD="+dir)
	in, _ := cmd.StdinPipe()
	defer in.Close()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || string(line) != "held\n" {
		t.Fatalf("the holder says %q %v", line, err)
	}
	_, err := Open(OS, dir, "x", nil)
	var locked *LockedError
	if want := fmt.Sprintf("process %d (/mnt/there)", cmd.Process.Pid); !errors.As(err, &locked) || locked.Holder != want {
		t.Errorf("got %v, want held by %s", err, want)
	}
	if _, _, _, err := Peek(dir); err != nil {
		t.Errorf("Peek at a spool in use: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	s, err := Open(OS, dir, "x", nil)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	s.Close()
}

func TestNumbersGoOn(t *testing.T) {
	dir := t.TempDir()
	var high uint64
	for i := range 6 {
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		if i%2 == 1 {
			mustLoad(t, s)
		}
		id := s.NewID()
		r := put(t, s, file(t, s, fmt.Sprint("/", i), 1))
		if id <= high || r.ID <= high || r.Seq <= high {
			t.Fatalf("start %d: %d %d %d after %d", i, id, r.ID, r.Seq, high)
		}
		high = max(r.ID, r.Seq)
		if err := s.Drop(r.ID); err != nil { // nothing bears the number any more
			t.Fatal(err)
		}
		if i == 2 { // the mark is lost, and only the record tells
			r = put(t, s, file(t, s, "/stays", 1))
			high = r.Seq
		}
		stop(s, d)
		if i == 2 {
			truncate(t, filepath.Join(dir, "synced"), 10)
		}
	}
}

func TestIntents(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	a, b, c := &Intent{From: "/a\xff", To: "/b"}, &Intent{From: "/d", To: "/e", Dir: true}, &Intent{From: "/x", To: "/y"}
	for _, in := range []*Intent{a, b, c} {
		if err := s.PutIntent(in); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DropIntent(a.Seq); err != nil {
		t.Fatal(err)
	}
	s.Close()
	truncate(t, s.intent(c.Seq), 30)
	s = mustOpen(t, newDisk("b2"), dir)
	_, got, err := s.Load(context.Background())
	if err != nil || len(got) != 1 || got[0].From != "/d" || got[0].To != "/e" || !got[0].Dir || got[0].Seq != b.Seq {
		t.Errorf("got %+v %v", got, err)
	}
	if s.Quarantined() != 1 {
		t.Errorf("the torn intent was not quarantined: %s", names(t, dir, "quarantine"))
	}
}

func TestMovingData(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	r := put(t, s, file(t, s, "/a", 5))
	if err := s.Detach(r.ID, filepath.Join(out, "a")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(out, "a")); string(b) != "xxxxx" {
		t.Errorf("detached %q", b)
	}
	if got := names(t, dir, "rec") + names(t, dir, "data"); got != "" {
		t.Errorf("left: %s", got)
	}
	id := s.NewID()
	if err := s.Adopt(id, filepath.Join(out, "a")); err != nil {
		t.Fatal(err)
	}
	r = put(t, s, &Record{ID: id, Path: "/d/" + strings.Repeat("n", 240) + ".tar.gz", Size: 5, Have: r.Have, Dirty: r.Dirty})
	kept, err := s.Discard(id)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(kept); string(b) != "xxxxx" || !strings.HasSuffix(kept, "n.tar.gz") {
		t.Errorf("discarded as %s: %q", kept, b)
	}
	if _, err := os.Stat(kept + ".json"); err != nil {
		t.Error(err)
	}
	d := put(t, s, &Record{ID: s.NewID(), Path: "/", Dir: true})
	if kept, err := s.Discard(d.ID); err != nil || !strings.HasSuffix(kept, "root.json") {
		t.Errorf("%s %v", kept, err)
	}
	if got := names(t, dir, "rec") + names(t, dir, "data"); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestAcrossFileSystems(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	r := put(t, s, file(t, s, "/a", 5))
	d.fail = func(op, path string) error {
		if op == "rename" && !strings.Contains(path, "/rec/") {
			return syscall.EXDEV
		}
		return nil
	}
	if err := s.Detach(r.ID, "/elsewhere"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("Detach: %v", err)
	}
	if err := s.Adopt(s.NewID(), "/elsewhere"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("Adopt: %v", err)
	}
	put(t, s, r)
	s.Close()
	s = mustOpen(t, newDisk("b1"), dir)
	if got := paths(mustLoad(t, s)); got != "/a" || s.Quarantined() != 0 {
		t.Errorf("got %q", got)
	}
}

// The kernel reports a failed write once; asked again it says all is well.
func TestDataThatFailedToSyncNeverCountsAsSynced(t *testing.T) {
	for _, by := range []string{"Sync", "group"} {
		dir := t.TempDir()
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		r := put(t, s, file(t, s, "/bad", 9))
		other := put(t, s, file(t, s, "/good", 9))
		d.fail = func(op, path string) error {
			if op == "syncfs" || op == "fdatasync" && path == s.data(r.ID) {
				return syscall.EIO
			}
			return nil
		}
		f, _ := s.OpenData(r.ID)
		defer f.Close()
		if by == "Sync" {
			if err := s.Sync(r, f); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
		} else if err := s.groupSync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.fail = nil
		if err := s.Sync(r, f); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: the second Sync: %v", by, err)
		}
		put(t, s, r)
		if err := s.groupSync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: the second group sync: %v", by, err)
		}
		if err := s.Drop(r.ID); err != nil { // it is on the server
			t.Fatal(err)
		}
		if err := s.groupSync(); err != nil {
			t.Errorf("%s: after the bad one is gone: %v", by, err)
		}
		stop(s, d)
		s = mustOpen(t, newDisk("b2"), dir)
		if got := paths(mustLoad(t, s)); got != other.Path {
			t.Errorf("%s: got %q", by, got)
		}
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

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	for range 20 {
		put(t, s, file(t, s, fmt.Sprint("/old/", s.NewID()), 3))
	}
	s.Close()
	s = mustOpen(t, newDisk("b1"), dir)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				r := file(t, s, fmt.Sprintf("/%d/%d", i, k), 3)
				for range 3 {
					if err := s.Put(r); err != nil {
						t.Error(err)
					}
				}
				if k%2 == 0 {
					if err := s.Drop(r.ID); err != nil {
						t.Error(err)
					}
				}
				if k%5 == 0 {
					if err := s.groupSync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	if got := mustLoad(t, s); len(got) != 20 {
		t.Errorf("%d loaded", len(got))
	}
	wg.Wait()
	s.Close()
	s = mustOpen(t, newDisk("b2"), dir)
	if got := mustLoad(t, s); len(got) != 20+8*10 {
		t.Errorf("%d loaded", len(got))
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
	if owed, n, parked, err := Peek(dir); owed != 2 || n != 9 || parked != 1 || err != nil {
		t.Errorf("got %d %d %d %v", owed, n, parked, err)
	}
}

// The group sync must not vouch for a record whose Put is still under way.
func TestGroupSyncLeavesOutWhatIsInFlight(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	slow, quick := file(t, s, "/slow", 9), file(t, s, "/quick", 9)
	first := put(t, s, file(t, s, "/first", 9))
	reached, goOn, done := make(chan bool), make(chan bool), make(chan error)
	tmp := s.rec(slow.ID, ".tmp")
	inner := d.FS
	d.FS = holdWrite{inner, tmp, reached, goOn}
	go func() { done <- s.Put(slow) }()
	<-reached
	put(t, s, quick) // a later number, and on disk before
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	goOn <- true
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	stop(s, d)
	s = mustOpen(t, newDisk("b2"), dir)
	if got := paths(mustLoad(t, s)); got != first.Path {
		t.Errorf("got %s", got)
	}
}

type holdWrite struct {
	FS
	path          string
	reached, goOn chan bool
}

func (h holdWrite) WriteFile(path string, b []byte, sync bool) error {
	if path == h.path {
		h.reached <- true
		<-h.goOn
	}
	return h.FS.WriteFile(path, b, sync)
}

// What a killed daemon left unsynced is synced by the next one, without a Put.
func TestNextDaemonSyncsWhatWasLeft(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	put(t, s, file(t, s, "/a", 9))
	stop(s, d)
	d = newDisk("b1")
	s = mustOpen(t, d, dir)
	mustLoad(t, s)
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	stop(s, d)
	s = mustOpen(t, newDisk("b2"), dir)
	if got := paths(mustLoad(t, s)); got != "/a" {
		t.Errorf("got %q, %s in quarantine", got, names(t, dir, "quarantine"))
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
