package cache

import (
	"fmt"
	"runtime"
	"testing"

	"ftpfs/cache/remote/mem"
)

// A file becomes owed in the moment in which it is removed: nothing of it is owed after.
func TestAFileWrittenWhileItIsRemovedIsNotOwedForEver(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	files := 2500
	for i := range files {
		m.must(store.Disk().WriteFile(fmt.Sprintf("/%d", i), []byte("old")))
	}
	m.names("/")
	for i := range files {
		p := fmt.Sprintf("/%d", i)
		h, err := m.openAt(p, OpenFlags{Read: true, Write: true})
		m.must(err)
		f := h.file
		removed := make(chan error, 1)
		go func() { removed <- m.remove(p) }()
		for try := 0; ; {
			m.mu.Lock()
			if _, there := store.Disk().Stat(p); !there {
				try++
			}
			if f.node.removed {
				m.mu.Unlock()
				break
			}
			if try > i%3 { // a write gets as far as this
				f.id = m.spool.NewID()
				f.owedNowLocked()
				m.mu.Unlock()
				break
			}
			m.mu.Unlock()
			runtime.Gosched()
		}
		m.must(<-removed)
		m.mu.Lock()
		n, below := len(m.owed), m.root.owed
		m.mu.Unlock()
		if n > 0 || below > 0 {
			t.Fatalf("file %d is owed after it was removed", i)
		}
		h.Release()
	}
}
