package cache

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// Somebody puts another, longer file in the place of a log while a tail is appended:
// the tail went into the file that is gone, and is not given up.
func TestATailIntoAFileThatWasReplacedIsKept(t *testing.T) {
	for _, size := range []int{leanAbove / 2, large} {
		store, m, base := logs(t, size, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
		hold := store.HoldOp(mem.OpData, "/log")
		m.must(m.grow("/log", []byte("what nobody else has")))
		if size != large {
			m.waitWhole("/log")
		}
		f := m.fileAt("/log")
		m.mu.Lock()
		m.hurryLocked(f, f.changes)
		m.mu.Unlock()
		<-hold.Arrived()
		theirs := bytes.Repeat([]byte("another"), size)
		m.must(store.Disk().WriteFile("/new", theirs))
		m.must(store.Disk().Rename("/new", "/log"))
		hold.Release()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		m.Sync(ctx, "/", func(Progress) {})
		cancel()
		m.onServer("/log", string(theirs))
		kept := m.Status().Parked == 1
		for _, p := range store.Disk().Paths() {
			got, _ := store.Disk().ReadFile(p)
			kept = kept || strings.Contains(p, ".conflict-") && string(got) == string(base)+"what nobody else has"
		}
		if !kept {
			t.Errorf("base of %d bytes: the tail is nowhere: %q, %+v", size, store.Disk().Paths(), m.Status())
		}
	}
}
