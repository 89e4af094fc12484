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

// The answer to the rename of a file that passed through is lost: it is there, and that
// is found out.
func TestLostAnswerToThePublicationOfWhatPassedThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{})
		m.writeAt(h, data[2<<20:], 2<<20)
		var lost atomic.Bool
		m.store.HookAfter(func(op, p string) error {
			if op == mem.OpPublish && lost.CompareAndSwap(false, true) {
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		f := m.fileAt("/big")
		defer m.retrying(f)()
		err := h.Flush(context.Background())
		h.Release()
		m.holdsNow("/big", data)
		if err != nil {
			t.Errorf("close of a file that is on the server: %v", err)
		}
		if s := m.Status(); s.Parked != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// The mode of a file that passes through is changed while it is renamed into place.
func TestModeOfWhatPassedThroughChangesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{})
		m.writeAt(h, data[2<<20:], 2<<20)
		hold := m.store.HoldOp(mem.OpPublish, "/big")
		closed := make(chan error, 1)
		go func() { closed <- h.Flush(context.Background()) }()
		<-hold.Arrived()
		mode := uint32(0o600)
		_, err := m.SetAttr(t.Context(), m.fileAt("/big").node, nil, Set{Mode: &mode})
		m.must(err)
		hold.Release()
		m.must(<-closed)
		h.Release()
		m.sync()
		m.holdsNow("/big", data)
		if e, _ := m.store.Disk().Stat("/big"); e.Mode&0o777 != mode {
			t.Errorf("mode %o on the server, want %o", e.Mode, mode)
		}
		m.wantRead("/big", string(data))
		m.wantClean()
	})
}

// What a dup'd descriptor appends while a file that passed through is renamed into
// place follows it.
func TestAppendAtTheEndOfWhatPassedThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, h, data := goneFile(t, mem.Options{})
		m.writeAt(h, data[2<<20:], 2<<20)
		hold := m.store.HoldOp(mem.OpPublish, "/big")
		closed := make(chan error, 1)
		go func() { closed <- h.Flush(context.Background()) }()
		<-hold.Arrived()
		m.writeAt(h, []byte("more"), int64(len(data)))
		hold.Release()
		m.must(<-closed)
		m.closeFile(h)
		m.sync()
		want := append(bytes.Clone(data), "more"...)
		m.holdsNow("/big", want)
		m.wantRead("/big", string(want))
		m.wantClean()
	})
}

// A recording was published as it stood, its beginning written over, and then it
// outgrew the spool: what the server had is not fetched in place of what is gone.
func TestSnapshotAndThenLargerThanTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), smallSpool)
		data := pattern(3, 3<<20)
		h := m.make("/rec")
		m.writeAt(h, data[:500_000], 0)
		f := m.fileAt("/rec")
		hold := m.store.HoldOp(mem.OpPublish, "/rec")
		m.mu.Lock()
		changes := f.changes
		m.hurryLocked(f, changes)
		m.mu.Unlock()
		<-hold.Arrived()
		m.writeAt(h, []byte("HEADER"), 0)
		copy(data, "HEADER")
		hold.Release()
		m.must(m.publishNow(t.Context(), f, changes))
		m.writeAt(h, data[500_000:2<<20], 500_000)
		m.mu.Lock()
		through := f.throughLocked()
		m.mu.Unlock()
		if !through {
			t.Fatal("nothing is gone")
		}
		cutAfter(m.store, 3, 2)
		defer m.retrying(f)()
		m.writeAt(h, data[2<<20:], 2<<20)
		m.closeFile(h)
		m.holdsNow("/rec", data)
		if down, _ := m.store.Bytes(); down != 0 {
			t.Errorf("%d bytes were fetched into the spool", down)
		}
		m.wantRead("/rec", string(data))
		m.wantClean()
	})
}

// The answer to the rename of a file that passed through was lost, more was appended, and
// then the daemon was killed: what is on the server is ours, and the rest follows it. A
// file of the same size and time with other bytes is not taken for it.
func TestAppendedAfterALostAnswerAndKilled(t *testing.T) {
	for _, ours := range []bool{true, false} {
		t.Run(fmt.Sprintf("ours %v", ours), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, h, data := goneFile(t, mem.Options{})
				m.writeAt(h, data[2<<20:], 2<<20)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var lost atomic.Bool
				m.store.HookAfter(func(op, p string) error {
					if op == mem.OpPublish {
						lost.Store(true)
						cancel()
						return &remote.Error{Kind: remote.Temporary, Text: "no answer"}
					}
					return nil
				})
				m.store.Hook(func(op, p string) error {
					if lost.Load() {
						return &remote.Error{Kind: remote.Temporary, Text: "no answer"}
					}
					return nil
				})
				h.Flush(ctx)
				m.until("the attempt is over", func() bool { f := m.fileAt("/big"); m.mu.Lock(); defer m.mu.Unlock(); return f.ship == nil })
				m.space.mu.Lock()
				m.space.max += 1 << 20
				m.space.mu.Unlock()
				m.writeAt(h, []byte("more"), int64(len(data)))
				h.Flush(ctx)
				h.Release()
				m.stop()
				if !ours {
					was, _ := m.store.Disk().Stat("/big")
					m.must(m.store.Disk().WriteFile("/big", noise(len(data))))
					m.must(m.store.Disk().Chtimes("/big", was.MTime))
				}
				m.store.Hook(nil)
				m.store.HookAfter(nil)
				m.open()
				<-m.loaded
				m.until("it is settled", func() bool {
					s := m.Status()
					if len(s.Owed) > 0 && s.Parked == 0 {
						m.retryNow(m.fileAt("/big"))
					}
					return len(s.Owed) == 0 || s.Parked > 0
				})
				if s := m.Status(); (s.Parked == 0) != ours {
					t.Fatalf("status %+v", s)
				}
				if ours {
					m.holdsNow("/big", append(data, "more"...))
					m.wantClean()
				}
			})
		})
	}
}

// The directory in which the beginning of a cut file lay is a file now, of somebody else:
// there is nothing left to keep, and the rest can be given up.
func TestDiscardOfACutFileWhoseDirectoryBecameAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), func(c *Config) { smallSpool(c); c.Timeout = 3 * time.Second })
		m.must(m.mkdir("/d"))
		h := m.make("/d/big")
		m.writeAt(h, pattern(2, 2<<20), 0)
		m.store.Hook(func(op, _ string) error {
			if op == mem.OpData || op == mem.OpWrite {
				return &remote.Error{Kind: remote.Permission, Text: "by the test"}
			}
			return nil
		})
		h.Flush(context.Background())
		h.Release()
		m.must(m.store.Disk().RemoveAll("/d"))
		m.must(m.store.Disk().WriteFile("/d", []byte("theirs")))
		m.Sync(context.Background(), "/", func(Progress) {})
		if s := m.Status(); s.Parked != 1 {
			t.Fatalf("status %+v, want one file parked", s)
		}
		if n, _, err := m.Discard("/"); n != 1 || err != nil {
			t.Errorf("discard: %d files, %v", n, err)
		}
		m.onServer("/d", "theirs")
	})
}
