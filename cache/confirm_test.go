package cache

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

const overlapSize = 8 << 20

// overlapped is a mount with a file of "a" that somebody turns into "b" in place, in the
// middle of a transfer, as soon as change is set.
func overlapped(t *testing.T, mtime time.Time, o mem.Options, fresh time.Duration) (m *mount, store *mem.Store, change *atomic.Bool) {
	t.Helper()
	store = mem.New(o)
	m = mountMem(t, store, func(c *Config) { c.DirCacheTime = fresh })
	m.must(store.Disk().WriteFile("/f", bytes.Repeat([]byte("a"), overlapSize)))
	m.must(store.Disk().Chtimes("/f", mtime))
	change = new(atomic.Bool)
	reads := 0
	store.Hook(func(op, path string) error {
		if op == mem.OpRead && path == "/f" && change.Load() {
			if reads++; reads == 3 {
				change.Store(false)
				if err := store.Disk().WriteFile("/f", bytes.Repeat([]byte("b"), overlapSize)); err != nil {
					return err
				}
				return store.Disk().Chtimes("/f", mtime.Add(time.Hour))
			}
		}
		return nil
	})
	return m, store, change
}

func readTo(h *Handle, from, to int64) error {
	p := make([]byte, 64<<10)
	for off := from; off < to; off += int64(len(p)) {
		if n, err := h.ReadAt(context.Background(), p, off); err != nil || n == 0 {
			return fmt.Errorf("at %d: %d bytes, %w", off, n, err)
		}
	}
	return nil
}

// idle waits until no transfer of what h reads is under way.
func (m *mount) idle(h *Handle) {
	m.t.Helper()
	m.until("end the transfers", func() bool {
		c := h.content()
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.streams {
			if !s.idle {
				return false
			}
		}
		return true
	})
}

// Nobody has noticed a change in the middle of a transfer when the file is opened again,
// while what is known of it is still fresh: what was fetched is not taken for the file.
func TestAMixOfVersionsIsNotReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, costly := range []bool{false, true} {
			m, store, change := overlapped(t, time.Now().Add(-24*time.Hour), mem.Options{CostlyStat: costly}, time.Hour)
			h, err := m.openAt("/f", OpenFlags{Read: true})
			m.must(err)
			change.Store(true)
			_ = readTo(h, 0, overlapSize) // both versions, or an error
			if change.Load() {
				t.Fatal("the file was not changed while it was read")
			}
			m.idle(h)
			h.Release()
			m.wantRead("/f", string(bytes.Repeat([]byte("b"), overlapSize)))
			lists, stats := store.Count(mem.OpList), store.Count(mem.OpStat)
			m.wantRead("/f", string(bytes.Repeat([]byte("b"), overlapSize)))
			m.wantRead("/f", string(bytes.Repeat([]byte("b"), overlapSize)))
			if lists, stats = store.Count(mem.OpList)-lists, store.Count(mem.OpStat)-stats; lists+stats > 1 {
				t.Errorf("costly stat %v: two more reads of what is held asked %d times for it and listed %d times, want once together", costly, stats, lists)
			}
		}
	})
}

// Once the change is noticed, a handle on the old version reads what the server has
// confirmed before, and ESTALE for the rest; never a byte of the new version.
func TestANoticedMixIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, recent := range []bool{false, true} {
			mtime := time.Now().Add(-24 * time.Hour)
			if recent { // a listing cannot tell it from a change in the same second
				mtime = time.Now().Add(time.Hour)
			}
			m, _, change := overlapped(t, mtime, mem.Options{}, time.Nanosecond)
			told := make(chan uint64, 100)
			m.OnChange(func(ino uint64) { told <- ino })
			h, err := m.openAt("/f", OpenFlags{Read: true})
			m.must(err)
			m.must(readTo(h, 0, 64<<10))
			m.idle(h)
			c := h.content()
			c.mu.Lock()
			confirmed := c.have.Covered(0)
			c.mu.Unlock()
			time.Sleep(time.Millisecond) // longer than dir_cache_time
			m.names("/")                 // the server confirms what is held by now

			change.Store(true)
			_ = readTo(h, confirmed, overlapSize)
			if change.Load() {
				t.Fatal("the file was not changed while it was read")
			}
			m.idle(h)
			ino := h.file.node.Ino()
			time.Sleep(time.Millisecond) // longer than dir_cache_time
			m.names("/")                 // notices
			if got := <-told; got != ino {
				t.Errorf("the kernel was told of inode %d, want %d", got, ino)
			}
			a, err := m.GetAttr(context.Background(), h.file.node)
			if err != nil || a.Nlink != 0 || a.MTime.Unix() != mtime.Unix() || a.MTime.Nanosecond() == 0 {
				t.Errorf("attributes of the old version: %+v, %v; want another time, within the second", a, err)
			}
			p := make([]byte, 64<<10)
			for off := int64(0); off < overlapSize; off += int64(len(p)) {
				n, err := h.ReadAt(context.Background(), p, off)
				switch {
				case bytes.ContainsRune(p[:n], 'b'):
					t.Fatalf("recent %v: bytes of the new version at %d", recent, off)
				case off < confirmed && !recent && (err != nil || n != len(p)):
					t.Fatalf("what was confirmed, at %d: %d bytes, %v", off, n, err)
				case (off >= confirmed || recent) && !remote.Is(err, remote.Changed):
					t.Fatalf("recent %v: what was not confirmed, at %d of %d: %d bytes, %v; want ESTALE", recent, off, confirmed, n, err)
				}
			}
			h.Release()
		}
	})
}

// Many small files are read, and read again: one listing confirms all of them.
func TestReadingAgainConfirmsByOneListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, costly := range []bool{false, true} {
			store := mem.New(mem.Options{CostlyStat: costly})
			m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Hour })
			const files = 50
			m.must(store.Disk().Mkdir("/d"))
			for i := range files {
				p := fmt.Sprintf("/d/%d", i)
				m.must(store.Disk().WriteFile(p, []byte(p)))
				m.must(store.Disk().Chtimes(p, time.Now().Add(-time.Hour)))
			}
			m.names("/d")
			ask := func() int { return store.Count(mem.OpList) + store.Count(mem.OpStat) }
			for pass, want := range []int{0, 2, 0} {
				before := ask()
				for i := range files {
					p := fmt.Sprintf("/d/%d", i)
					m.wantRead(p, p)
				}
				if got := ask() - before; got > want {
					t.Errorf("costly stat %v: pass %d over %d files asked the server %d times, want %d at most", costly, pass, files, got, want)
				}
			}
		}
	})
}
