package cache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// Somebody waits for a file that is open, and no upload is free: that another program
// opens the file meanwhile does not put it off until it is old.
func TestAnOpenDoesNotPutOffWhatSomebodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.Uploads, c.MaxDirtyAge = 1, time.Hour })
		h := m.make("/f")
		m.writeAt(h, []byte("ours"), 0)
		busy := store.HoldOp(mem.OpPublish, "/busy")
		m.must(m.write("/busy", []byte("x")))
		<-busy.Arrived()
		f := m.fileAt("/f")
		synced := make(chan error, 1)
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		go func() {
			m.mu.Lock()
			changes := f.changes
			m.mu.Unlock()
			synced <- m.publishNow(ctx, f, changes)
		}()
		m.until("somebody waits for it", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return f.hurryLocked()
		})
		again, err := m.openAt("/f", OpenFlags{Write: true})
		m.must(err)
		busy.Release()
		if err := <-synced; err != nil {
			t.Errorf("it is not published: %v", err)
		}
		again.Release()
		h.Release()
	})
}
