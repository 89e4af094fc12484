package cache

import (
	"context"
	"testing"

	"ftpfs/cache/remote/mem"
)

// Somebody finds and opens a file under its new name before the server's answer to the
// rename is heard: what is written to it after is refused, or owed, but not nobody's.
func TestAWriteToWhatWasFoundUnderTheNewNameIsNotNobodys(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/a", []byte("theirs")))
	m.names("/")
	var h *Handle
	store.HookAfter(func(op, _ string) error {
		if op == mem.OpRename {
			store.HookAfter(nil)
			m.mu.Lock()
			m.doubtLocked(m.root)
			m.mu.Unlock()
			var err error
			h, err = m.openAt("/b", OpenFlags{Read: true, Write: true})
			m.must(err)
			_, err = h.ReadAt(context.Background(), make([]byte, 6), 0) // all of it is held
			m.must(err)
		}
		return nil
	})
	m.must(m.rename("/a", "/b"))
	defer h.Release()
	if _, err := h.WriteAt(context.Background(), []byte("ours"), 0); err == nil && !h.file.isOwed() {
		t.Error("a write is accepted, and owed by nobody")
	}
}
