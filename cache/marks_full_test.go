package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// A write that cannot be marked is not accepted. What a reader sees after it has the
// size that stat tells, and is what is published.
func TestAWriteThatCannotBeMarked(t *testing.T) {
	for name, off := range map[string]int64{"inside": 10, "at the end": 100, "across the end": 98} {
		t.Run(name, func(t *testing.T) {
			store := mem.New(mem.Options{})
			base := pattern(1, 100)
			if err := store.Disk().WriteFile("/f", base); err != nil {
				t.Fatal(err)
			}
			m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
			h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
			m.must(err)
			m.must(os.RemoveAll(filepath.Join(m.cfg.StateDir, "marks")))
			m.must(os.WriteFile(filepath.Join(m.cfg.StateDir, "marks"), nil, 0o600))
			if n, err := h.WriteAt(t.Context(), []byte("more"), off); err == nil || n != 0 {
				t.Fatalf("a write without a mark: %d bytes, err %v", n, err)
			}
			f := m.fileAt("/f")
			m.mu.Lock()
			size, held := f.size, f.cur.size
			m.mu.Unlock()
			if size != 100 || held != 100 {
				t.Errorf("size %d, held %d, want 100", size, held)
			}
			seen, err := m.read("/f")
			m.must(err)
			m.closeFile(h)
			m.sync()
			m.onServer("/f", string(seen))
		})
	}
}
