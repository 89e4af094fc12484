package cache

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A file that somebody turns into another of the same size in the middle of its transfer:
// who reads it to the end gets an error, and the next one the new file.
func TestWhoReadsToTheEndHasNoMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, costly := range []bool{false, true} {
			m, _, change := overlapped(t, time.Now().Add(-24*time.Hour), mem.Options{CostlyStat: costly}, time.Hour)
			h, err := m.openAt("/f", OpenFlags{Read: true})
			m.must(err)
			change.Store(true)
			m.wantKind(readTo(h, 0, overlapSize), remote.Changed)
			if change.Load() {
				t.Fatal("the file was not changed while it was read")
			}
			if !h.content().isStale() {
				t.Error("the content of the old version is not stale")
			}
			h.Release()
			m.wantRead("/f", string(bytes.Repeat([]byte("b"), overlapSize)))
		}
	})
}

// So it is when the end of the file was read first, as of an archive: then the transfer
// ends where that begins.
func TestWhoReadsUpToWhatIsHeldHasNoMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, change := overlapped(t, time.Now().Add(-24*time.Hour), mem.Options{}, time.Hour)
		h, err := m.openAt("/f", OpenFlags{Read: true})
		m.must(err)
		defer h.Release()
		m.must(readTo(h, overlapSize-64<<10, overlapSize))
		m.idle(h)
		change.Store(true)
		m.wantKind(readTo(h, 0, overlapSize), remote.Changed)
	})
}

// The connection is free when the server is asked, once; and not asked again.
func TestTheEndOfALargeFileCostsOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Hour })
		busy := -1
		store.Hook(func(op, path string) error {
			switch {
			case op == mem.OpRead:
				time.Sleep(time.Millisecond) // what is asked about comes before the question
			case op == mem.OpStat && path != "/":
				busy = store.Readers()
			}
			return nil
		})
		for name, size := range map[string]int{"/small": 100, "/wide": wholeBelow, "/large": overlapSize} {
			m.must(store.Disk().WriteFile(name, bytes.Repeat([]byte("a"), size)))
			m.must(store.Disk().Chtimes(name, time.Now().Add(-time.Hour)))
		}
		m.names("/")
		for name, want := range map[string]int{"/small": 0, "/wide": 0, "/large": 1} {
			h, err := m.openAt(name, OpenFlags{Read: true})
			m.must(err)
			size := h.file.node.ent.size
			before, lists := store.Count(mem.OpStat), store.Count(mem.OpList)
			p := make([]byte, 64<<10)
			for off := int64(0); off < size; off += int64(len(p)) {
				_, err := h.ReadAt(context.Background(), p, off)
				m.must(err)
			}
			m.idle(h)
			if got := store.Count(mem.OpStat) - before; got != want {
				t.Errorf("reading %s asked the server %d times for it, want %d", name, got, want)
			}
			c := h.content()
			if c.mu.Lock(); want > 0 && !c.unsure.Empty() {
				t.Errorf("of %s %v is not confirmed", name, c.unsure)
			}
			c.mu.Unlock()
			h.Release()
			if want > 0 {
				before := store.Count(mem.OpStat)
				m.must(second(m.read(name)))
				if got := store.Count(mem.OpStat) - before; got != 0 {
					t.Errorf("reading %s again asked %d times, want none", name, got)
				}
			}
			if got := store.Count(mem.OpList) - lists; got != 0 {
				t.Errorf("reading %s listed %d times", name, got)
			}
		}
		if busy != 0 {
			t.Errorf("%d transfers were open when the server was asked, want none", busy)
		}
	})
}

func second(_ []byte, err error) error { return err }

// A server that goes down before it can be asked: the read fails. One that will not say
// what it has is read as ever.
func TestTheEndOfALargeFileThatNobodyConfirms(t *testing.T) {
	for kind, fails := range map[remote.Kind]bool{remote.Down: true, remote.Timeout: true, remote.Temporary: true, remote.Permission: false, remote.Unknown: false} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Hour })
				m.must(store.Disk().WriteFile("/f", bytes.Repeat([]byte("a"), overlapSize)))
				m.names("/")
				h, err := m.openAt("/f", OpenFlags{Read: true})
				m.must(err)
				defer h.Release()
				down := false
				store.Hook(func(op, path string) error {
					if op == mem.OpStat || op == mem.OpOpen && down {
						down = fails
						return &remote.Error{Kind: kind}
					}
					return nil
				})
				if err := readTo(h, 0, overlapSize); fails && !remote.Is(err, kind) || !fails && err != nil {
					t.Errorf("got %v, want an error: %v", err, fails)
				}
			})
		})
	}
}

// The base of a file that is patched here is changed by somebody else while it is fetched,
// small as it is: the patch is parked, and what was fetched is sent nowhere.
func TestAMixIsNotTheBaseOfAPatch(t *testing.T) {
	for _, size := range []int{256 << 10, overlapSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Hour })
				a, b := bytes.Repeat([]byte("a"), size), bytes.Repeat([]byte("b"), size)
				m.must(store.Disk().WriteFile("/f", a))
				m.must(store.Disk().Chtimes("/f", time.Now().Add(-24*time.Hour)))
				reads := 0
				store.Hook(func(op, path string) error {
					if op == mem.OpRead {
						if reads++; reads == 3 {
							return store.Disk().WriteFile("/f", b)
						}
					}
					return nil
				})
				h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
				m.must(err)
				_, err = h.WriteAt(context.Background(), []byte("ours"), 10)
				m.must(err)
				m.must(h.Flush(context.Background()))
				f := h.file
				h.Release()
				m.until("park the patch", func() bool {
					m.mu.Lock()
					defer m.mu.Unlock()
					return f.parked != nil
				})
				if paths := store.Disk().Paths(); len(paths) != 1 {
					t.Errorf("on the server: %q, want nothing but the file", paths)
				}
				m.onServer("/f", string(b))
				c := f.cur
				c.mu.Lock()
				defer c.mu.Unlock()
				if !c.have.Contains(10, 14) || c.have.Len() != 4 || !c.dirty.Equal(c.have) {
					t.Errorf("held %v, written %v; want what was written alone", c.have, c.dirty)
				}
			})
		})
	}
}

// What a crash leaves of such a base is fetched again, of one version.
func TestAfterACrashAnUnconfirmedBaseIsFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Hour })
		data := bytes.Repeat([]byte("a"), 256<<10)
		m.must(store.Disk().WriteFile("/f", data))
		h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
		m.must(err)
		hold := store.HoldOp(mem.OpStat, "/f")
		m.must(readTo(h, 0, int64(len(data))))
		_, err = h.WriteAt(context.Background(), []byte("ours"), 10)
		m.must(err)
		m.must(h.Flush(context.Background()))
		before, _ := store.Bytes()
		m.crash()
		hold.Release()
		m.sync()
		copy(data[10:], "ours")
		m.onServer("/f", string(data))
		if read, _ := store.Bytes(); read-before < int64(len(data))-4 {
			t.Errorf("after the crash %d bytes were fetched, want all but those that were written", read-before)
		}
	})
}

// A reader whose byte came and was dropped before it looked, as with a full disk, has it
// fetched again at once, and does not wait until the transfer that has passed it gives up.
func TestAReaderWhoseByteWasDroppedDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		defer m.stop()
		m.must(store.Disk().WriteFile("/f", bytes.Repeat([]byte("a"), overlapSize)))
		h, err := m.openAt("/f", OpenFlags{Read: true})
		m.must(err)
		defer h.Release()
		c := h.content()
		m.must(c.ensureFile())
		s := &stream{content: c, cancel: func() {}, limit: chunk, sent: true}
		c.mu.Lock()
		c.streams = append(c.streams, s)
		c.mu.Unlock()
		began, looked := time.Now(), make(chan error)
		ctx, cancel := context.WithTimeout(context.Background(), streamIdle)
		defer cancel()
		go func() { looked <- c.wantOnce(ctx, 100, 200, chunk) }()
		synctest.Wait()
		c.mu.Lock() // brought and dropped, in this moment
		s.pos = chunk
		c.broadcastLocked()
		c.mu.Unlock()
		m.must(<-looked)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it looked again after %v, want at once", waited)
		}
		// Nobody sees bytes that came in the place of a stream that is still to bring them.
		c.mu.Lock()
		wake := c.wake
		c.mu.Unlock()
		m.must(c.fill(s, make([]byte, 1000), false))
		<-wake
		if s.pos != chunk+1000 {
			t.Errorf("after bringing 1000 bytes at %d the stream is at %d", chunk, s.pos)
		}
		s.end(nil)
	})
}
