package cache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
)

func smallSpool(c *Config) { c.SpoolSize = 1 << 20 }

// A file ten times the spool is on the server, whole, when close returns; the spool's
// bound held all the time.
func TestFileLargerThanTheSpoolPassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), smallSpool)
		data := pattern(1, 10<<20)
		h := m.make("/big")
		for off := 0; off < len(data); off += 1 << 20 {
			m.writeAt(h, data[off:off+1<<20], int64(off))
			if used := m.space.inUse(); used > 1<<20 {
				t.Fatalf("%d bytes of spool in use, bound 1 MiB", used)
			}
		}
		m.must(h.Flush(context.Background()))
		m.holdsNow("/big", data) // the verdict was waited for
		h.Release()
		m.sync()
		if _, up := m.store.Bytes(); up != int64(len(data)) {
			t.Errorf("%d bytes were sent for a file of %d", up, len(data))
		}
		if used := m.space.inUse(); used != 0 {
			t.Errorf("%d bytes of spool in use at the end", used)
		}
		m.wantRead("/big", string(data))
	})
}

// goneFile is a file of which a part is on the server alone.
func goneFile(t *testing.T, o mem.Options) (m *mount, h *Handle, data []byte) {
	m = mountMem(t, mem.New(o), func(c *Config) { smallSpool(c); c.Timeout = 3 * time.Second })
	data = pattern(2, 3<<20)
	h = m.make("/big")
	m.writeAt(h, data[:2<<20], 0)
	f := m.fileAt("/big")
	m.mu.Lock()
	defer m.mu.Unlock()
	if !f.throughLocked() {
		t.Fatal("nothing is gone, of 2 MiB in a spool of 1 MiB")
	}
	return m, h, data
}

func wantEIO(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("%s: %v, want EIO", what, err)
	}
}

// The writer of a file that passes through pauses for longer than MaxDirtyAge: there is no
// snapshot of what is not here, and looking for one does not keep a processor busy.
func TestAPauseInAFileThatPassesThroughIsNotPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, _ := goneFile(t, mem.Options{})
		defer h.Release()
		f := m.fileAt("/big")
		m.mu.Lock()
		defer m.mu.Unlock()
		ship, now := f.ship, time.Now()
		defer func() { f.ship = ship }()
		f.ship, f.dirtyAt = nil, now.Add(-2*m.Tree.cfg.MaxDirtyAge) // the pause has given the connection back
		if due := f.dueLocked(now); due != nothing {
			t.Fatalf("due is %d, want nothing", due)
		}
		if delay, again := f.againLocked(now); again && delay <= 0 {
			t.Errorf("nothing is due, and it is looked at again after %v", delay)
		}
	})
}

// What is gone can be neither read, nor rewritten, nor made durable; and that hurts
// nothing of what goes on.
func TestWhatIsGoneCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{})
		ctx := context.Background()
		_, err := h.ReadAt(ctx, make([]byte, 10), 0)
		wantEIO(t, "read", err)
		_, err = h.WriteAt(ctx, []byte("x"), 5)
		wantEIO(t, "rewrite", err)
		wantEIO(t, "fsync", h.Fsync(ctx))
		wantEIO(t, "truncate", h.Truncate(ctx, 10))
		tail := make([]byte, 10)
		if _, err := h.ReadAt(ctx, tail, 2<<20-10); err != nil || string(tail) != string(data[2<<20-10:2<<20]) {
			t.Errorf("read of what is here: %v", err)
		}
		m.writeAt(h, data[2<<20:], 2<<20)
		m.closeFile(h)
		m.holdsNow("/big", data)
	})
}

// A connection cut in the middle is followed by another where the server appends.
func TestCutInTheMiddleOfWhatPassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{})
		f := m.fileAt("/big")
		cutAfter(m.store, 3, 2)
		defer m.retrying(f)()
		m.writeAt(h, data[2<<20:], 2<<20)
		m.closeFile(h)
		m.holdsNow("/big", data)
		if _, up := m.store.Bytes(); up != int64(len(data)) {
			t.Errorf("%d bytes were sent for a file of %d", up, len(data))
		}
	})
}

// Where it does not append the file is lost: its writer is told, so is status, and the
// part on the server stays until somebody discards it.
func TestCutFileThatCannotGoOnIsLostAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{NoAppend: true})
		f := m.fileAt("/big")
		cutAfter(m.store, 3, 1)
		ctx := context.Background()
		var err error
		for off := 2 << 20; err == nil && off < len(data); off += 64 << 10 {
			m.retryNow(f)
			_, err = h.WriteAt(ctx, data[off:off+64<<10], int64(off))
		}
		if err == nil {
			m.until("the cut is noticed", func() bool { m.retryNow(f); return f.lostNow() != nil })
			_, err = h.WriteAt(ctx, []byte("x"), int64(len(data)))
		}
		m.until("it is lost and parked", func() bool { // in two steps
			if f.lostNow() == nil {
				m.retryNow(f)
				return false
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			return f.parked != nil
		})
		_, err = h.WriteAt(ctx, []byte("x"), 3<<20)
		wantEIO(t, "write", err)
		wantEIO(t, "close", h.Flush(ctx))
		h.Release()
		temps := m.tempsThere()
		if len(temps) != 1 {
			t.Fatalf("temporary names: %q, want the one that holds the beginning", temps)
		}
		s := m.Status()
		if len(s.Owed) != 1 || s.Owed[0].State != "parked" || !strings.Contains(s.Owed[0].Error, temps[0]) {
			t.Fatalf("status: %+v, want it parked, naming %s", s.Owed, temps[0])
		}
		m.names("/") // a listing sweeps what is nobody's
		m.crash()
		<-m.loaded
		if got := m.tempsThere(); len(got) != 1 {
			t.Errorf("after a restart the server has %q, want %q", got, temps)
		}
		begin, err := m.store.Disk().ReadFile(temps[0])
		m.must(err)
		n, kept, err := m.Discard("/")
		m.must(err)
		if n != 1 || !strings.Contains(kept, "/big.cut-") || !strings.Contains(kept, "lacks the first") {
			t.Errorf("discard: %d, %q; want it to say where the beginning is", n, kept)
		}
		found := 0
		for _, p := range m.store.Disk().Paths() {
			if b, err := m.store.Disk().ReadFile(p); strings.HasPrefix(p, "/big.cut-") && err == nil && bytes.Equal(b, begin) {
				found++
			}
		}
		if found != 1 || len(begin) == 0 {
			t.Errorf("the server has %q after the discard, want the %d bytes of the beginning in one", m.store.Disk().Paths(), len(begin))
		}
		m.until("the temporary name is gone", func() bool { return len(m.tempsThere()) == 0 })
	})
}

// The daemon dies in the middle: the record claims nothing that is gone, what is there
// is kept, and retry goes on from the server's part, or says where it is.
func TestKilledWhileAFilePassesThrough(t *testing.T) {
	for _, c := range []struct {
		name    string
		harm    func(m *mount, temp string)
		arrives bool
	}{
		{"as it was", func(*mount, string) {}, true},
		{"the server lost a part", func(m *mount, temp string) { m.must(m.store.Disk().WriteFile(temp, []byte("short"))) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, h, data := goneFile(t, mem.Options{})
				_ = h
				temp := m.tempsThere()[0]
				for _, r := range recordsNow(t, m) {
					if r.Have.Overlaps(0, r.Gone) || r.Gone == 0 || !r.Interrupted || r.Temp != temp {
						t.Errorf("record %+v claims what is gone", r)
					}
				}
				c.harm(m, temp)
				m.crash()
				<-m.loaded
				s := m.Status()
				if len(s.Owed) != 1 || s.Owed[0].State != "interrupted" || !strings.Contains(s.Owed[0].Error, temp) {
					t.Fatalf("after the crash: %+v, want it interrupted, naming %s", s.Owed, temp)
				}
				m.names("/")
				_, err := m.Retry("/")
				m.must(err)
				if c.arrives {
					m.sync()
					m.holdsNow("/big", data[:2<<20])
					return
				}
				m.until("it is parked", func() bool { s := m.Status(); return len(s.Owed) == 1 && s.Owed[0].State == "parked" })
				if s := m.Status(); !strings.Contains(s.Owed[0].Error, temp) {
					t.Errorf("parked with %q, which does not name %s", s.Owed[0].Error, temp)
				}
				if got := m.tempsThere(); len(got) != 1 || got[0] != temp {
					t.Errorf("temporary names %q, want %q kept", got, temp)
				}
			})
		})
	}
}

// recordsNow are the records that a daemon started now would find.
func recordsNow(t *testing.T, m *mount) []spool.Record {
	t.Helper()
	at := filepath.Join(t.TempDir(), "state")
	m.must(os.CopyFS(at, os.DirFS(m.cfg.StateDir)))
	sp, err := spool.Open(spool.OS, filepath.Join(at, "spool"), m.cfg.Identity, m.cfg.Log)
	m.must(err)
	defer sp.Close()
	recs, _, err := sp.Load(context.Background())
	m.must(err)
	return recs
}

// Closed while the server is down, and killed before it is back: the rest is sent then.
func TestFileThatPassedThroughIsFinishedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{})
		m.store.SetOnline(false)
		if err := h.Flush(context.Background()); err == nil {
			t.Error("close said yes while the server was down")
		}
		h.Release()
		m.crash()
		m.store.SetOnline(true)
		m.sync()
		m.holdsNow("/big", data[:2<<20])
		if _, up := m.store.Bytes(); up > 2<<20 {
			t.Errorf("%d bytes were sent for a file of %d", up, 2<<20)
		}
	})
}

// A file that was written in another order than front to back cannot pass through.
func TestScatteredFileLargerThanTheSpoolIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), func(c *Config) { smallSpool(c); c.Timeout = 50 * time.Millisecond })
		h := m.make("/f")
		defer h.Release()
		m.writeAt(h, pattern(1, 512<<10), 1<<20)
		var err error
		for off := int64(4 << 20); err == nil && off < 8<<20; off += 256 << 10 {
			_, err = h.WriteAt(context.Background(), pattern(1, 128<<10), off)
		}
		m.wantKind(err, remote.NoSpace)
	})
}

// While the server is down a file that does not fit fails within the timeout.
func TestNothingPassesThroughToAServerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { smallSpool(c); c.Timeout = 100 * time.Millisecond })
		h := m.make("/f")
		defer h.Release()
		store.SetOnline(false)
		var err error
		for off := int64(0); err == nil && off < 4<<20; off += 128 << 10 {
			_, err = h.WriteAt(context.Background(), pattern(1, 128<<10), off)
		}
		m.wantKind(err, remote.NoSpace)
		store.SetOnline(true)
		m.must(h.Flush(context.Background()))
	})
}
