package cache

import (
	"context"
	"fmt"
	"path"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// cutAfter breaks every upload off after so many chunks, until so many were.
func cutAfter(store *mem.Store, chunks, cuts int) {
	left, cut := chunks, cuts
	store.Hook(func(op, p string) error { // called by one upload at a time
		if op != mem.OpData || cut == 0 {
			return nil
		}
		if left--; left < 0 {
			left, cut = chunks, cut-1
			return &remote.Error{Kind: remote.Temporary, Text: "cut"}
		}
		return nil
	})
}

// retryNow makes what waits after a failure due at once.
func (m *mount) retryNow(f *File) {
	m.mu.Lock()
	f.retryAt = f.retryAt.AddDate(-1, 0, 0)
	m.mu.Unlock()
	m.queue.Kick()
}

// retrying keeps what waits after a failure due, as the backoff is seconds, until the test
// calls what it returns: nothing goes on behind it.
func (m *mount) retrying(f *File) (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				m.retryNow(f)
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// An upload that is cut at any place goes on there: over all attempts nothing is sent
// twice.
func TestCutUploadGoesOnWhereItWas(t *testing.T) {
	data := pattern(1, 1<<20)
	for chunks := 1; chunks < 32; chunks += 3 {
		t.Run(fmt.Sprint(chunks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				m := mountMem(t, store, nil)
				cutAfter(store, chunks, 3)
				m.must(m.write("/f", data))
				f := m.fileAt("/f")
				m.until("it arrives", func() bool { m.retryNow(f); return !f.isOwed() })
				m.holdsNow("/f", data)
				if _, up := store.Bytes(); up != int64(len(data)) {
					t.Errorf("%d bytes were sent for a file of %d", up, len(data))
				}
				if left := m.tempsThere(); len(left) > 0 {
					t.Errorf("left on the server: %q", left)
				}
			})
		})
	}
}

// What was written after the cut is what counts: behind it the upload begins again,
// before it it goes on.
func TestUploadDoesNotGoOnOverChangedBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		off   int64
		again bool
	}{{"behind the cut", 100, true}, {"before it", 900_000, false}, {"at the end", 1 << 20, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				m := mountMem(t, store, nil)
				data := pattern(2, 1<<20)
				cutAfter(store, 5, 1)
				m.must(m.write("/f", data))
				f := m.fileAt("/f")
				m.until("it was cut", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.failed != nil })
				h, err := m.openAt("/f", OpenFlags{Write: true})
				m.must(err)
				m.writeAt(h, []byte("changed"), c.off)
				data = append(data[:c.off], append([]byte("changed"), data[min(c.off+7, 1<<20):]...)...)
				m.closeFile(h)
				m.until("it arrives", func() bool { m.retryNow(f); return !f.isOwed() })
				m.holdsNow("/f", data)
				want := int64(len(data))
				if c.again {
					want += 5 * 32 << 10
				}
				if _, up := store.Bytes(); up != want {
					t.Errorf("%d bytes were sent, want %d", up, want)
				}
			})
		})
	}
}

// A write while the server is asked how much it has: it falls behind that, but among the
// bytes that the dead session may still be writing.
func TestUploadDoesNotGoOnOverBytesChangedWhileItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		data := pattern(3, 1<<20)
		const there, off = 5 * 32 << 10, 5*32<<10 + 100 // a chunk more than is there was claimed
		cutAfter(store, 5, 1)
		m.must(m.write("/f", data))
		f := m.fileAt("/f")
		m.until("it was cut", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.failed != nil })
		asked := false
		store.Hook(func(op, p string) error {
			if op != mem.OpStat || !isTemp(path.Base(p)) || asked {
				return nil
			}
			asked = true
			h, err := m.openAt("/f", OpenFlags{Write: true})
			if err != nil {
				return err
			}
			defer h.Release()
			if _, err := h.WriteAt(context.Background(), []byte("changed"), off); err != nil {
				return err
			}
			return h.Flush(context.Background())
		})
		copy(data[off:], "changed")
		m.until("it arrives", func() bool { m.retryNow(f); return !f.isOwed() })
		store.Hook(nil)
		m.holdsNow("/f", data)
		if _, up := store.Bytes(); !asked || up != there+int64(len(data)) {
			t.Errorf("asked: %v; %d bytes were sent, want %d: all of it again", asked, up, there+len(data))
		}
	})
}

// After the daemon was killed the next one goes on, if what lies under the temporary
// name can be what was sent; and not if it is longer, gone, or the file was changed.
func TestRestartGoesOnWithAnUpload(t *testing.T) {
	const sent = 5 * 32 << 10
	data := pattern(3, 1<<20)
	for _, c := range []struct {
		name  string
		store mem.Options
		do    func(m *mount, temp string)
		again bool
	}{
		{"as it was", mem.Options{}, func(*mount, string) {}, false},
		{"as it was, compared", mem.Options{Sums: "SHA-256"}, func(*mount, string) {}, false},
		{"longer than the file", mem.Options{}, func(m *mount, temp string) { m.must(m.store.Disk().WriteFile(temp, make([]byte, 2<<20))) }, true},
		{"other bytes, compared", mem.Options{Sums: "SHA-256"}, func(m *mount, temp string) { m.must(m.store.Disk().WriteFile(temp, make([]byte, sent))) }, true},
		{"gone", mem.Options{}, func(m *mount, temp string) { m.must(m.store.Disk().RemoveAll(temp)) }, true},
		{"changed here", mem.Options{}, func(m *mount, _ string) {
			h, err := m.openAt("/f", OpenFlags{Write: true})
			m.must(err)
			m.writeAt(h, []byte("changed"), 0)
			m.closeFile(h)
		}, true},
		{"does not append", mem.Options{NoAppend: true}, func(*mount, string) {}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(c.store)
				m := mountMem(t, store, nil)
				cutAfter(store, 5, 1)
				m.must(m.write("/f", data))
				f := m.fileAt("/f")
				m.until("it was cut", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.failed != nil })
				store.Hook(nil)
				want := append([]byte{}, data...)
				if temps := m.tempsThere(); len(temps) != 1 {
					t.Fatalf("temporary names after the cut: %q, want one", temps)
				}
				c.do(m, m.tempsThere()[0])
				if c.name == "changed here" {
					copy(want, "changed")
				}
				m.crash()
				m.sync()
				m.holdsNow("/f", want)
				_, up := store.Bytes()
				if !c.again && up != int64(len(want)) {
					t.Errorf("%d bytes were sent for a file of %d", up, len(want))
				}
				if c.again && up < int64(len(want))+sent {
					t.Errorf("%d bytes were sent: the upload did not begin again", up)
				}
			})
		})
	}
}

// Killed in the middle of an early upload, after the close of which nothing is known:
// the file is kept, and published at a person's word, from its beginning.
func TestKilledInAnEarlyUploadKeepsWhatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), nil)
		data := pattern(4, 6<<20)
		h := m.make("/f")
		m.writeAt(h, data, 0)
		m.sentUnderTemp(len(data))
		m.crash()
		<-m.loaded
		if s := m.Status(); len(s.Owed) != 1 || s.Owed[0].State != "interrupted" || s.Owed[0].Size != int64(len(data)) {
			t.Fatalf("after a crash: %+v, want it interrupted", s.Owed)
		}
		_, err := m.Retry("/")
		m.must(err)
		m.sync()
		m.holdsNow("/f", data)
	})
}

// A server that doubles what was resumed is found out by the size, and gets the file
// anew.
func TestDoubledBytesAreFoundBeforeTheyArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		data := pattern(5, 1<<20)
		cutAfter(store, 5, 1)
		m.must(m.write("/f", data))
		f := m.fileAt("/f")
		m.until("it was cut", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.failed != nil })
		first := true
		store.Hook(func(op, p string) error {
			if op == mem.OpPublish && first {
				first = false
				temp := m.tempsThere()[0] // the dead session's last bytes arrive now
				got, err := store.Disk().ReadFile(temp)
				if err != nil {
					return err
				}
				return store.Disk().WriteFile(temp, append(got, data[:1000]...))
			}
			return nil
		})
		m.until("it arrives", func() bool { m.retryNow(f); return !f.isOwed() })
		m.holdsNow("/f", data)
		if first {
			t.Error("nothing was published")
		}
	})
}
