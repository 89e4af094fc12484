package cache

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"ftpfs/cache/remote/mem"
)

// A file that turns out to be gone from the server in the moment in which it is opened:
// what is written then is refused, or owed, but not accepted for nobody.
func TestAWriteAfterAnOpenOfWhatVanishesIsNotNobodys(t *testing.T) {
	ctx := context.Background()
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	files := 12000
	for i := range files {
		m.must(store.Disk().WriteFile(fmt.Sprintf("/%d", i), []byte("theirs")))
	}
	m.names("/")
	for i := range files {
		n, err := m.walk(fmt.Sprintf("/%d", i))
		m.must(err)
		opened := make(chan *Handle)
		go func() {
			h, err := m.Open(ctx, n, OpenFlags{Write: true})
			if err != nil {
				h = nil
			}
			opened <- h
		}()
		for try := 0; ; try++ {
			m.mu.Lock()
			half := n.file != nil && n.file.handles > 0 && n.file.cur == nil
			if half || try == i%12 {
				m.lostLocked(n) // as a listing does
				m.mu.Unlock()
				break
			}
			m.mu.Unlock()
			runtime.Gosched()
		}
		if h := <-opened; h != nil {
			_, err := h.WriteAt(ctx, []byte("ours"), 0)
			if err == nil && !h.file.isOwed() {
				t.Fatalf("file %d: a write is accepted, and owed by nobody", i)
			}
			h.Release()
		}
		m.Forget(n)
	}
}
