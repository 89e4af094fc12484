package spool

import (
	"fmt"
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
