package cache

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// halfSent is a mount of a server on which a tail of a log broke off in its middle: the
// third chunk and all that follow fail, until the hook is taken away.
func halfSent(t *testing.T, o mem.Options, change func(*Config)) (*mem.Store, *mount, []byte) {
	t.Helper()
	store, m, want := logs(t, large, o, change)
	var n atomic.Int32
	store.Hook(func(op, _ string) error {
		if op == mem.OpData && n.Add(1) > 2 {
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	more := noise(150_000)
	m.must(m.grow("/log", more))
	m.waitFailed("/log")
	if on, _ := store.Disk().Stat("/log"); on.Size <= large || on.Size >= large+150_000 {
		t.Fatalf("the server's file has %d bytes: not in the middle of the tail", on.Size)
	}
	return store, m, append(want, more...)
}

// A new file is renamed over one of which half a tail is on the server, as log rotation
// and editors do: that half is replaced with the rest, and is nobody's change.
func TestAFileRenamedOverABrokenTail(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %v", restarted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, m, _ := halfSent(t, mem.Options{}, nil)
				m.must(m.write("/new", []byte("new")))
				m.must(m.rename("/new", "/log"))
				if restarted {
					m.stop()
					m.open()
				}
				store.Hook(nil)
				m.sync()
				m.onServer("/log", "new")
				m.wantClean()
				m.wantRead("/log", "new")
			})
		})
	}
}

// A rename whose answer was lost, of a file of which half a tail is on the server: the
// tail goes on under the new name.
func TestABrokenTailWhoseRenameLostItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m, want := halfSent(t, mem.Options{}, nil)
		var lost atomic.Bool
		store.HookAfter(func(op, _ string) error {
			if op == mem.OpRename && lost.CompareAndSwap(false, true) {
				return &remote.Error{Kind: remote.Timeout}
			}
			return nil
		})
		if err := m.rename("/log", "/log.1"); err == nil {
			t.Fatal("the rename did not fail")
		}
		store.Hook(nil)
		m.sync()
		m.onServer("/log.1", string(want))
		m.wantRead("/log.1", string(want))
		m.wantClean()
		if p := store.Disk().Paths(); len(p) != 1 {
			t.Errorf("the server has %q, want the log alone", p)
		}
	})
}

// However often a tail is cut, no more than one piece is in doubt and read back.
func TestATailThatIsCutAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m, want := logs(t, large, mem.Options{}, func(c *Config) { c.maxTail = 100_000 })
		var n atomic.Int32
		store.Hook(func(op, _ string) error {
			if op == mem.OpData && n.Add(1)%2 == 0 {
				return &remote.Error{Kind: remote.Temporary}
			}
			return nil
		})
		more := noise(500_000)
		want = append(want, more...)
		m.must(m.grow("/log", more))
		for range 8 {
			synctest.Wait() // it is cut, and pauses
			f := m.fileAt("/log")
			m.mu.Lock()
			tail := f.tail
			m.mu.Unlock()
			if tail == nil || tail.To-tail.From > 100_000 {
				t.Fatalf("in doubt is %+v, want at most 100000 bytes", tail)
			}
			time.Sleep(2 * time.Second) // the longest pause after an attempt that got on
		}
		store.Hook(nil)
		m.sync()
		m.onServer("/log", string(want))
		if in, up := store.Bytes(); up != int64(len(more)) || in > int64(len(more)) {
			t.Errorf("%d bytes were sent and %d read back of a tail of %d", up, in, len(more))
		}
		m.wantClean()
	})
}

// A publication whose answer was lost, on a server that cannot set times: what it left
// is known by the time the server gave it, and replaced by what was written since.
func TestALostAnswerWhereTimesCannotBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []mem.Options{{NoTimes: true}, {NoTimes: true, Unique: true}, {}} {
			store := mem.New(o)
			m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
			m.must(m.write("/f", []byte("first")))
			m.sync()
			var lost atomic.Bool
			store.HookAfter(func(op, _ string) error {
				if op == mem.OpPublish && lost.CompareAndSwap(false, true) {
					return &remote.Error{Kind: remote.Down}
				}
				return nil
			})
			m.must(m.write("/f", []byte("second, of which the answer is lost")))
			n, err := m.walk("/f")
			m.must(err)
			old := time.Unix(1_000_000_000, 0) // another than the server gives it
			_, err = m.SetAttr(t.Context(), n, nil, Set{MTime: &old})
			m.must(err)
			f := m.fileAt("/f")
			if err := m.publishNow(t.Context(), f, f.changes); err == nil {
				t.Fatal("the answer was not lost")
			}
			m.Forget(n)
			m.must(m.write("/f", []byte("third")))
			m.sync()
			m.onServer("/f", "third")
			m.wantClean()
		}
	})
}

// Killed at any step, the next daemon sends what is missing, and only that.
func TestAppendKilledAtAnyStep(t *testing.T) {
	const tail = 200_000
	for name, at := range map[string]func(op string, n int) bool{
		"before it is looked at": func(op string, n int) bool { return op == mem.OpStat && n == 1 },
		"before it is sent":      func(op string, n int) bool { return op == mem.OpWrite },
		"in its middle":          func(op string, n int) bool { return op == mem.OpData && n == 4 },
		"before its time is set": func(op string, n int) bool { return op == mem.OpSetAttr },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, m, want := logs(t, large, mem.Options{}, nil)
				m.names("/")
				counts := map[string]int{}
				hold := store.Hold(func(op, p string) bool {
					if p == "/log" {
						counts[op]++
					}
					return p == "/log" && at(op, counts[op])
				})
				more := noise(tail)
				want = append(want, more...)
				m.must(m.grow("/log", more))
				<-hold.Arrived()
				m.crash()
				hold.Release()
				m.sync()
				m.onServer("/log", string(want))
				m.wantClean()
				if _, up := store.Bytes(); up > tail {
					t.Errorf("%d bytes were sent of a tail of %d", up, tail)
				}
				if store.Count(mem.OpPublish) != 0 {
					t.Error("it was replaced")
				}
				m.wantRead("/log", string(want))
			})
		})
	}
}

// A tail that broke off goes on where it ended; also under the file's new name, and
// after its answer was lost.
func TestABrokenTailGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, name := range []string{"/log", "/log.1"} {
			store, m, want := logs(t, large, mem.Options{}, nil)
			var n atomic.Int32
			store.Hook(func(op, _ string) error {
				if op == mem.OpData && n.Add(1) == 3 {
					return &remote.Error{Kind: remote.Down}
				}
				return nil
			})
			more := noise(150_000)
			want = append(want, more...)
			m.must(m.grow("/log", more))
			m.waitFailed("/log")
			if name != "/log" {
				m.must(m.rename("/log", name))
			}
			m.sync()
			m.onServer(name, string(want))
			if _, up := store.Bytes(); up != 150_000 {
				t.Errorf("%d bytes were sent, want 150000", up)
			}
			m.wantClean()
		}
		store, m, want := logs(t, large, mem.Options{}, nil)
		var lost atomic.Bool
		store.HookAfter(func(op, _ string) error {
			if op == mem.OpWrite && lost.CompareAndSwap(false, true) {
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.must(m.grow("/log", []byte("more")))
		m.waitFailed("/log")
		m.sync()
		m.onServer("/log", string(append(want, "more"...)))
		m.wantClean()
	})
}

// A full disk in the middle of a tail parks it; retry goes on where it ended.
func TestATailOnAFullDiskIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m, want := logs(t, large, mem.Options{}, nil)
		var full atomic.Bool
		full.Store(true)
		var n atomic.Int32
		store.Hook(func(op, _ string) error {
			if op == mem.OpData && full.Load() && n.Add(1) > 2 {
				return &remote.Error{Kind: remote.NoSpace}
			}
			return nil
		})
		more := noise(150_000)
		want = append(want, more...)
		m.must(m.grow("/log", more))
		m.waitFailed("/log")
		if s := m.Status(); s.Parked != 1 {
			t.Fatalf("status %+v, want a parked file", s)
		}
		m.wantRead("/log", string(want))
		full.Store(false)
		_, err := m.Retry("/log")
		m.must(err)
		m.sync()
		m.onServer("/log", string(want))
		m.wantClean()
	})
}

// A tail broke off, and then the file is changed in another way: what is on the server
// is known for ours, and replaced.
func TestABrokenTailIsOursToReplace(t *testing.T) {
	for name, change := range map[string]func(h *Handle, data []byte) ([]byte, error){
		"emptied": func(h *Handle, data []byte) ([]byte, error) { return nil, h.Truncate(context.Background(), 0) },
		"cut into the tail": func(h *Handle, data []byte) ([]byte, error) {
			return data[:large+10_000], h.Truncate(context.Background(), large+10_000)
		},
		"written over in the tail": func(h *Handle, data []byte) ([]byte, error) {
			_, err := h.WriteAt(context.Background(), []byte("other"), large+5)
			copy(data[large+5:], "other")
			return data, err
		},
		"written over in the base": func(h *Handle, data []byte) ([]byte, error) {
			_, err := h.WriteAt(context.Background(), []byte("other"), 5)
			copy(data[5:], "other")
			return data, err
		},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store, m, want := logs(t, large, mem.Options{}, nil)
					var n atomic.Int32
					store.Hook(func(op, _ string) error {
						if op == mem.OpData && n.Add(1) > 3 {
							return &remote.Error{Kind: remote.Down}
						}
						return nil
					})
					more := noise(150_000)
					want = append(want, more...)
					m.must(m.grow("/log", more))
					m.waitFailed("/log")
					if on, _ := store.Disk().Stat("/log"); on.Size == large {
						t.Fatal("nothing of the tail is on the server")
					}
					h, err := m.openAt("/log", OpenFlags{Write: true})
					m.must(err)
					want, err = change(h, want)
					m.must(err)
					m.must(h.Flush(t.Context()))
					h.Release()
					if restarted {
						m.stop()
						m.open()
					}
					store.Hook(nil)
					m.sync()
					m.onServer("/log", string(want))
					m.wantClean()
					m.wantRead("/log", string(want))
					if left, _ := filepath.Glob(filepath.Join(m.cfg.StateDir, "sent-*")); len(left) > 0 {
						t.Errorf("left behind: %q", left)
					}
				})
			})
		}
	}
}
