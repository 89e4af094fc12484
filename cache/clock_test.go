package cache

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
)

// The clock was a year ahead, and has been set right while nothing was mounted: what is
// owed goes out, with the times that its programs saw, and an edit of what was published
// with such a time is no conflict.
func TestAClockThatWasSetBackLosesNothing(t *testing.T) {
	const year = 365 * 24 * time.Hour
	store := mem.New(mem.Options{})
	ahead := time.Now().Add(year).Truncate(time.Second)
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/edited", []byte("of the server")))
	m.must(store.Disk().Chtimes("/edited", ahead))
	m.must(m.grow("/edited", []byte(", and more")))
	m.must(m.mkdir("/d"))
	store.SetOnline(false)
	m.must(m.write("/d/owed", []byte("owed")))
	m.mu.Lock()
	m.conflicts = append(m.conflicts, Conflict{Path: "/x", Copy: "/x.conflict", What: TheirsChanged, At: ahead})
	m.mu.Unlock()
	m.saveConflicts()
	m.stop()

	// All that lies on disk is from the future.
	sp, err := spool.Open(spool.OS, filepath.Join(m.cfg.StateDir, "spool"), m.cfg.Identity, m.cfg.Log)
	m.must(err)
	recs, _, err := sp.Load(t.Context())
	m.must(err)
	changed := 0
	for i := range recs {
		r := &recs[i]
		r.Created = r.Created.Add(year)
		if r.MTime != nil {
			*r.MTime = r.MTime.Add(year)
		}
		m.must(sp.Put(r))
		changed++
	}
	m.must(sp.Close())
	if changed == 0 {
		t.Fatal("nothing was owed, so nothing is tried")
	}
	m.must(filepath.Walk(m.cfg.StateDir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(p, ahead, ahead)
	}))

	store.SetOnline(true)
	m.open()
	m.sync()
	m.onServer("/d/owed", "owed")
	m.onServer("/edited", "of the server, and more")
	if e, there := store.Disk().Stat("/d/owed"); !there || e.MTime.Before(ahead.Add(-time.Hour)) {
		t.Errorf("/d/owed has the time %v, not that which its program saw", e.MTime)
	}
	if n := m.names("/"); len(n) != 2 {
		t.Errorf("the server has %q: a conflict with ourselves", n)
	}
	m.must(m.write("/d/owed", []byte("anew")))
	m.sync()
	m.onServer("/d/owed", "anew")
	if n := m.names("/d"); len(n) != 1 {
		t.Errorf("the server has %q: a conflict with ourselves", n)
	}
	b, err := json.Marshal(m.Status().Conflicts)
	if m.must(err); len(m.Status().Conflicts) != 1 {
		t.Errorf("conflicts are %s, want the one noted", b)
	}
}

// What was listed at a time that has not come yet is asked for again, and not answered
// until then.
func TestAListingFromTheFutureIsNotFresh(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.names("/")
	m.must(store.Disk().WriteFile("/theirs", []byte("x")))
	m.mu.Lock()
	m.root.list.fetched = time.Now().Round(0).Add(time.Hour) // without the monotonic reading, which no clock moves
	m.mu.Unlock()
	if n := m.names("/"); len(n) != 1 {
		t.Errorf("listed %q, which is older than its time says", n)
	}
}
