package cache

import (
	"bytes"
	"context"
	"math/rand/v2"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// pattern is n bytes that look the same in every run.
func pattern(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), 9})
	_, _ = r.Read(b)
	return b
}

// make opens a new file for writing.
func (m *mount) make(p string) *Handle {
	m.t.Helper()
	h, err := m.create(p)
	m.must(err)
	return h
}

func (m *mount) create(p string) (h *Handle, err error) {
	err = m.with(p, func(dir *Node, name string) error {
		n, made, _, err := m.Create(context.Background(), dir, name, 0o644, false, OpenFlags{Read: true, Write: true})
		if err == nil {
			m.Forget(n)
		}
		h = made
		return err
	})
	return h, err
}

func (m *mount) writeAt(h *Handle, p []byte, off int64) {
	m.t.Helper()
	for len(p) > 0 {
		k := min(len(p), 128<<10)
		if n, err := h.WriteAt(context.Background(), p[:k], off); err != nil || n != k {
			m.t.Fatalf("WriteAt %d: %d bytes of %d, err %v", off, n, k, err)
		}
		p, off = p[k:], off+int64(k)
	}
}

func (m *mount) closeFile(h *Handle) {
	m.t.Helper()
	m.must(h.Flush(context.Background()))
	h.Release()
}

// temps are the temporary names on the server.
func (m *mount) tempsThere() []string {
	return slices.DeleteFunc(m.store.Disk().Paths(), func(p string) bool { return !isTemp(path.Base(p)) })
}

// until waits for what no event announces.
func (m *mount) until(what string, ok func() bool) {
	m.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("waited in vain until %s; status %+v", what, m.Status())
		}
	}
}

// sentUnderTemp waits until the server has n bytes of the one upload under way.
func (m *mount) sentUnderTemp(n int) string {
	m.t.Helper()
	var name string
	m.until("the server has the bytes", func() bool {
		for _, p := range m.tempsThere() {
			if got, err := m.store.Disk().ReadFile(p); err == nil && len(got) >= n {
				name = p
				return true
			}
		}
		return false
	})
	return name
}

func (m *mount) holdsNow(p string, want []byte) {
	m.t.Helper()
	got, err := m.store.Disk().ReadFile(p)
	if err != nil || !bytes.Equal(got, want) {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		m.t.Fatalf("server's %s: %d bytes, err %v, want %d; they part at %d", p, len(got), err, len(want), n)
	}
}

// A file written front to back is on the server but for its last bytes when it is
// closed, and nothing is sent twice.
func TestLargeFileIsSentWhileItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), nil)
		data := pattern(1, 12<<20)
		h := m.make("/big")
		m.writeAt(h, data[:10<<20], 0)
		m.sentUnderTemp(10 << 20)
		m.writeAt(h, data[10<<20:], 10<<20)
		m.must(m.rename("/big", "/renamed")) // the upload is kept
		m.closeFile(h)
		m.sync()
		m.holdsNow("/renamed", data)
		if _, up := m.store.Bytes(); up != int64(len(data)) {
			t.Errorf("%d bytes were sent for a file of %d", up, len(data))
		}
		if got := m.tempsThere(); len(got) > 0 {
			t.Errorf("left on the server: %q", got)
		}
	})
}

// What was sent and is then written over is sent again, after the close.
func TestWriteBehindCallsTheEarlyUploadOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), nil)
		data := pattern(2, 9<<20)
		h := m.make("/big")
		m.writeAt(h, data, 0)
		m.sentUnderTemp(9 << 20)
		m.writeAt(h, []byte("header, written last"), 0)
		copy(data, "header, written last")
		f := m.fileAt("/big")
		m.until("the upload was called off", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.ship == nil && f.late })
		more := pattern(3, 6<<20)
		m.writeAt(h, more, int64(len(data)))
		data = append(data, more...)
		if n := m.store.Count(mem.OpWrite); n != 1 {
			t.Errorf("%d uploads were begun while the file was open, want 1", n)
		}
		m.closeFile(h)
		m.sync()
		m.holdsNow("/big", data)
	})
}

// A writer that pauses gives the upload's slot back, and the upload goes on where it
// was; on a server that does not append it begins again after the close.
func TestPausedUploadGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, appends := range []bool{true, false} {
			m := mountMem(t, mem.New(mem.Options{NoAppend: !appends}), nil)
			data := pattern(4, 13<<20)
			h := m.make("/big")
			m.writeAt(h, data[:5<<20], 0)
			m.sentUnderTemp(5 << 20)
			f := m.fileAt("/big")
			idle := func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.ship == nil && m.early == 0 }
			m.until("the upload paused", idle)
			m.writeAt(h, data[5<<20:10<<20], 5<<20)
			if appends {
				m.sentUnderTemp(10 << 20)
			}
			m.writeAt(h, data[10<<20:], 10<<20)
			m.closeFile(h)
			m.sync()
			m.holdsNow("/big", data)
			_, up := m.store.Bytes()
			if appends && up != int64(len(data)) {
				t.Errorf("%d bytes were sent for a file of %d", up, len(data))
			}
			if got := m.tempsThere(); len(got) > 0 {
				t.Errorf("appends %v: left on the server: %q", appends, got)
			}
		}
	})
}

// Of the uploads at once one is left to files that are closed.
func TestEarlyUploadsDoNotStarveClosedFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{MaxUploads: 2})
		m := mountMem(t, store, nil)
		hold := store.Hold(func(op, p string) bool {
			return op == mem.OpData && isTemp(path.Base(p)) && m.earlyNow() > 0 && !m.smallNow(p)
		})
		var hs []*Handle
		for _, p := range []string{"/a", "/b", "/c"} {
			h := m.make(p)
			m.writeAt(h, pattern(5, 5<<20), 0)
			hs = append(hs, h)
		}
		<-hold.Arrived()
		m.must(m.write("/small", []byte("small")))
		m.until("the small file is there", func() bool { got, _ := store.Disk().ReadFile("/small"); return string(got) == "small" })
		hold.Release()
		for _, h := range hs {
			m.closeFile(h)
		}
		m.sync()
		m.holdsNow("/c", pattern(5, 5<<20))
	})
}

// Where there is one upload at a time, one that follows a writer makes way.
func TestTheOnlyUploadMakesWayForAClosedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{MaxUploads: 1}), func(c *Config) { c.pauseAfter = time.Hour })
		data := pattern(6, 10<<20)
		h := m.make("/big")
		m.writeAt(h, data[:5<<20], 0)
		m.sentUnderTemp(5 << 20)
		m.must(m.write("/small", []byte("small")))
		m.until("the small file is there", func() bool { got, _ := m.store.Disk().ReadFile("/small"); return string(got) == "small" })
		m.writeAt(h, data[5<<20:], 5<<20)
		m.closeFile(h)
		m.sync()
		m.holdsNow("/big", data)
		if _, up := m.store.Bytes(); up != int64(len(data))+5 {
			t.Errorf("%d bytes were sent, want %d", up, len(data)+5)
		}
	})
}

func (m *mount) earlyNow() int { m.mu.Lock(); defer m.mu.Unlock(); return m.early }

func (m *mount) smallNow(p string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.owed {
		if f.temp == path.Base(p) {
			return f.node.name == "small"
		}
	}
	return false
}

// A random writer beside the upload: whatever is claimed when, the server ends up with
// what was written.
func TestEarlyUploadBesideRandomWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := mountMem(t, mem.New(mem.Options{}), nil)
			var data []byte
			h := m.make("/f")
			for len(data) < 16<<20 {
				p := pattern(r.Uint64(), 1+r.IntN(600<<10))
				off := len(data)
				if r.IntN(30) == 0 {
					off = r.IntN(len(data) + 1)
				}
				m.writeAt(h, p, int64(off))
				data = append(data[:off], append(p, data[min(len(data), off+len(p)):]...)...)
				if r.IntN(40) == 0 {
					cut := r.IntN(len(data) + 100)
					m.must(h.Truncate(context.Background(), int64(cut)))
					data = append(data[:min(cut, len(data))], make([]byte, max(0, cut-len(data)))...)
				}
			}
			m.closeFile(h)
			m.sync()
			m.holdsNow("/f", data)
			m.stop()
		}
	})
}

// Flush of one of two writers does not make a crash publish the other's half.
func TestCrashPublishesOnlyWhatAllWritersFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), func(c *Config) { c.PublishDelay = time.Hour })
		a := m.make("/two")
		b, err := m.openAt("/two", OpenFlags{Write: true})
		m.must(err)
		m.writeAt(a, []byte("aaaa"), 0)
		m.writeAt(b, []byte("bb"), 4)
		m.must(a.Flush(context.Background()))
		m.crash()
		<-m.loaded
		if s := m.Status(); len(s.Owed) != 1 || s.Owed[0].State != "interrupted" {
			t.Fatalf("after a crash with one writer mid-file: %+v, want it interrupted", s.Owed)
		}
		m.wantRead("/two", "aaaabb")
		_, err = m.Retry("/")
		m.must(err)
		m.sync()
		m.onServer("/two", "aaaabb")

		a = m.make("/again")
		b, err = m.openAt("/again", OpenFlags{Write: true})
		m.must(err)
		m.writeAt(a, []byte("aaaa"), 0)
		m.writeAt(b, []byte("bb"), 4)
		m.must(a.Flush(context.Background()))
		m.must(b.Flush(context.Background()))
		m.crash()
		m.sync()
		m.onServer("/again", "aaaabb")
	})
}
