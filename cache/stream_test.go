package cache

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

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

// bigFile mounts a store with a file that is open for reading at, whose bytes it compares.
func bigFile(t *testing.T) (store *mem.Store, at func(off int64)) {
	store = mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	data := make([]byte, 64<<20)
	for i := range len(data) / 8 {
		binary.LittleEndian.PutUint64(data[8*i:], uint64(i))
	}
	m.must(store.Disk().WriteFile("/big", data))
	h, err := m.openAt("/big", OpenFlags{Read: true})
	m.must(err)
	t.Cleanup(h.Release)
	return store, func(off int64) {
		t.Helper()
		p := make([]byte, 64<<10)
		if n, err := h.ReadAt(context.Background(), p, off); err != nil || n != len(p) || !bytes.Equal(p, data[off:off+int64(n)]) {
			t.Errorf("read at %d: %d bytes, or others, err %v", off, n, err)
		}
	}
}

func transfers(t *testing.T, store *mem.Store, want int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); store.Readers() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d transfers are under way, want %d", store.Readers(), want)
		}
	}
}

// Who reads here and there has one transfer: the one before is given up for the next.
func TestAJumpLeavesTheTransferBefore(t *testing.T) {
	store, at := bigFile(t)
	for i := range int64(8) {
		at((i*23%60 + 1) << 20)
		transfers(t, store, 1)
	}
	if n := store.Count(mem.OpOpen); n != 8 {
		t.Errorf("%d transfers for 8 places", n)
	}
}

// Two who read on at places far apart, by turns, have one each, from the second time on.
func TestReadersByTurnsKeepTheirTransfers(t *testing.T) {
	store, at := bigFile(t)
	for i := range int64(20) {
		at(5<<20 + i*64<<10)
		at(40<<20 + i*64<<10)
	}
	transfers(t, store, 2)
	if n := store.Count(mem.OpOpen); n != 3 {
		t.Errorf("%d transfers for two readers, want one each and one more", n)
	}
}

// Who reads a file from its beginning on keeps the transfer while somebody looks at its end.
func TestAJumpLeavesNobodyElsesTransfer(t *testing.T) {
	store, at := bigFile(t)
	for i := range int64(4) {
		at(i * 64 << 10)
	}
	at(63 << 20)
	for i := range int64(40) {
		at((4 + i) * 64 << 10)
	}
	if n := store.Count(mem.OpOpen); n != 2 {
		t.Errorf("%d transfers, want one for each", n)
	}
}
