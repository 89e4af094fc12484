package spool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestFormerRecordsAreUsedAgainOnceTheDiskKnows(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	mustLoad(t, s)
	old := put(t, s, file(t, s, "/old", 3))
	put(t, s, old) // leaves two records in the file
	if err := s.Drop(old.ID); err != nil {
		t.Fatal(err)
	}
	put(t, s, file(t, s, "/early", 3))
	if got := names(t, dir, "spare"); got != fmt.Sprint(old.ID) {
		t.Errorf("before the sync: spare holds %q", got)
	}
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	put(t, s, file(t, s, "/late", 3))
	if got := names(t, dir, "spare"); got != "" {
		t.Errorf("after the sync: spare holds %q", got)
	}
	stop(s, d)
	d = newDisk("b1")
	s = mustOpen(t, d, dir)
	if got := paths(mustLoad(t, s)); got != "/early /late" || s.Quarantined() != 0 {
		t.Errorf("got %q, %d in quarantine", got, s.Quarantined())
	}
	if err := s.groupSync(); err != nil {
		t.Fatal(err)
	}
	stop(s, d)
	s = mustOpen(t, newDisk("b2"), dir)
	if got := paths(mustLoad(t, s)); got != "/early /late" || s.Quarantined() != 0 {
		t.Errorf("after a new boot: %q, %d in quarantine", got, s.Quarantined())
	}
}

// The power goes when the disk knows that a spare has become a new file's record, and
// not yet what was written into it: what an earlier file left there is no record of the
// new one, whole or torn, and no reason to wonder about an empty file.
func TestWhatASpareHeldIsNoRecord(t *testing.T) {
	for _, stage := range []string{"nothing written", "first slot written", "second slot torn"} {
		dir := t.TempDir()
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		old := put(t, s, file(t, s, "/old", 3))
		put(t, s, old) // in another slot
		if err := s.Drop(old.ID); err != nil {
			t.Fatal(err)
		}
		put(t, s, file(t, s, "/other", 1)) // something to sync
		if err := s.groupSync(); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadFile(s.spareFile(old.ID))
		if err != nil {
			t.Fatal(err)
		}
		r := put(t, s, file(t, s, "/new", 0))
		rec := s.rec(r.ID, ".json")
		now, err := os.ReadFile(rec)
		if err != nil || bytes.Equal(now, left) || !bytes.Contains(now, []byte(`"/old"`)) {
			t.Fatalf("the spare was not used again: %d bytes, %v", len(now), err)
		}
		want, q := "/other", 0
		switch stage {
		case "nothing written":
			now = left
		case "first slot written":
			want = "/other /new"
		case "second slot torn": // a later Put of the new file, of which a sector got there
			want = "/other" // an empty record is not worth more than what came after it
			next, err := encodeRecord(r, r.Seq+1, proof{Boot: "b1"}, 0)
			if err != nil {
				t.Fatal(err)
			}
			copy(now[slotUnit:], next[:60])
			q = 1 // a copy of it all
		}
		if err := os.WriteFile(rec, now, 0o600); err != nil {
			t.Fatal(err)
		}
		stop(s, d)
		s = mustOpen(t, newDisk("b2"), dir)
		if got := paths(mustLoad(t, s)); got != want || s.Quarantined() != q {
			notes, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*.txt"))
			t.Errorf("%s: got %q, want %q; %d in quarantine, want %d %q", stage, got, want, s.Quarantined(), q, notes)
		}
	}
}
