package cache

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"ftpfs/cache/remote/mem"
)

// More readers at places far apart than transfers are allowed for one file.
func TestManyReadersOfOneFileAllGetTheirBytes(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<20/16)
	m.must(store.Disk().WriteFile("/big", data))
	h, err := m.openAt("/big", OpenFlags{Read: true})
	m.must(err)
	defer h.Release()
	hold := store.Hold(func(op, _ string) bool { return op == mem.OpRead })
	var wg sync.WaitGroup
	for i := range int64(maxStreams + 3) {
		wg.Go(func() {
			p := make([]byte, 1000)
			off := (5 + i*9) << 20
			if n, err := h.ReadAt(context.Background(), p, off); err != nil || !bytes.Equal(p[:n], data[off:off+1000]) {
				t.Errorf("read at %d: %d bytes, err %v", off, n, err)
			}
		})
	}
	for range maxStreams + 1 {
		<-hold.Arrived()
	}
	hold.Release()
	wg.Wait()
}
