package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

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
			return s.durableLocked(r.ID, r.Seq, false)
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
			st := s.files[r.ID]
			if err := OS.WriteAt(s.rec(r.ID, ".json"), make([]byte, st.size-512), int64(st.at*st.size+512), false); err != nil {
				t.Fatal(err)
			}
			truncate(t, s.rec(r.ID, ".json"), int64(st.at*st.size+300))
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
	b, err := os.ReadFile(s.rec(r.ID, ".json"))
	if err != nil {
		t.Fatal(err)
	}
	if recs, _, _, _ := readRecords(b, r.ID); len(recs) != 1 || recs[0].rec.Seq != r.Seq {
		t.Errorf("rec holds %+v", recs)
	}
	if d.ops-before < 4 { // write, syncdir, blank, blank
		t.Errorf("%d operations: not durable", d.ops-before)
	}
	stop(s, d)
	s = mustOpen(t, newDisk("b2"), dir)
	if got := mustLoad(t, s); len(got) != 0 || s.Quarantined() != 1 {
		t.Errorf("got %+v, %d in quarantine", got, s.Quarantined())
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

// The group sync must not vouch for a record whose Put is still under way.
func TestGroupSyncLeavesOutWhatIsInFlight(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	slow, quick := file(t, s, "/slow", 9), file(t, s, "/quick", 9)
	first := put(t, s, file(t, s, "/first", 9))
	reached, goOn, done := make(chan bool), make(chan bool), make(chan error)
	inner := d.FS
	d.FS = holdWrite{inner, s.rec(slow.ID, ".json"), reached, goOn}
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

func (h holdWrite) WriteAt(path string, b []byte, off int64, sync bool) error {
	if path == h.path {
		h.reached <- true
		<-h.goOn
	}
	return h.FS.WriteAt(path, b, off, sync)
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

// What a group sync under way may be about to vouch for is not overwritten, and
// does not come back with bytes that were given up meanwhile.
func TestPutsDuringTheGroupSync(t *testing.T) {
	for _, cut := range []bool{false, true} {
		dir := t.TempDir()
		d := &duringSync{disk: newDisk("b1")}
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		r := put(t, s, file(t, s, "/a", 100))
		d.do = func() {
			r.Open = true
			put(t, s, r)
			put(t, s, r)
			put(t, s, r)
			if cut {
				r.Have.Truncate(10)
				r.Dirty.Truncate(10)
				put(t, s, r)
			}
		}
		if err := s.groupSync(); err != nil {
			t.Fatal(err)
		}
		d.do = func() {}
		stop(s, d.disk)
		s = mustOpen(t, newDisk("b2"), dir)
		want := "/a!"
		if cut {
			want = ""
		}
		if got := paths(mustLoad(t, s)); got != want || s.Quarantined() != 1 {
			t.Errorf("cut %v: got %q, want %q, %d in quarantine", cut, got, want, s.Quarantined())
		}
	}
}

type duringSync struct {
	*disk
	do func()
}

func (d *duringSync) SyncFS(f *os.File) error {
	err := d.disk.SyncFS(f)
	d.do() // what was put before is on disk, and the mark is about to say so
	return err
}
