package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// A file emptied and written again and again while the server is down needs the room
// of one.
func TestAFileWrittenAgainAndAgainNeedsRoomOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { smallSpool(c); c.Timeout = 100 * time.Millisecond })
		m.must(m.write("/state", noise(200_000)))
		store.SetOnline(false)
		for i := range 20 {
			if err := m.write("/state", noise(200_000+i)); err != nil {
				t.Fatalf("time %d: %v; status %+v", i, err, m.Status())
			}
		}
		if used := m.space.inUse(); used != 200_019 {
			t.Errorf("%d bytes of spool in use for a file of 200019", used)
		}
		store.SetOnline(true)
		m.sync()
		m.wantClean()
	})
}
