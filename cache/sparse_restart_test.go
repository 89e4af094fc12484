package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// A sparse file that is owed takes no more of the spool after a restart than before: its
// holes are no reason to refuse what others write.
func TestHolesTakeNoSpoolAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), func(c *Config) {
			c.PublishDelay, c.SpoolSize, c.Timeout = time.Hour, 4<<20, 100*time.Millisecond
		})
		h := m.make("/sparse")
		m.writeAt(h, []byte("end"), 100<<20)
		m.closeFile(h)
		m.store.SetOnline(false)
		m.stop() // a copy of the state, as crash makes, has no holes
		m.open()
		<-m.loaded
		if used := m.space.inUse(); used > 64<<10 {
			t.Errorf("%d bytes of spool in use for a file of 3 bytes behind a hole", used)
		}
		m.store.SetOnline(true)
		m.must(m.write("/other", pattern(1, 1<<20)))
		m.sync()
		if used := m.space.inUse(); used != 0 {
			t.Errorf("%d bytes of spool in use at the end", used)
		}
	})
}
