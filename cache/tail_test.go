package cache

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// noise is n bytes that no other part of a file is like.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// logs is a server with a log of n bytes, and a mount of it.
func logs(t *testing.T, n int, o mem.Options, change func(*Config)) (*mem.Store, *mount, []byte) {
	t.Helper()
	store := mem.New(o)
	base := noise(n)
	if err := store.Disk().WriteFile("/log", base); err != nil {
		t.Fatal(err)
	}
	return store, mountMem(t, store, change), base
}

// grow appends to a file as a shell does.
func (m *mount) grow(p string, more []byte) error {
	n, err := m.walk(p)
	if err != nil {
		return err
	}
	defer m.Forget(n)
	h, err := m.Open(context.Background(), n, OpenFlags{Write: true, Append: true})
	if err != nil {
		return err
	}
	defer h.Release()
	a, err := m.GetAttr(context.Background(), n)
	if err != nil {
		return err
	}
	if _, err := h.WriteAt(context.Background(), more, a.Size); err != nil {
		return err
	}
	return h.Flush(context.Background())
}

// waitWhole waits until all of a file is held.
func (m *mount) waitWhole(p string) {
	m.t.Helper()
	m.must(m.fileAt(p).cur.fetchAll(m.t.Context()))
}

func (m *mount) wantClean() {
	m.t.Helper()
	if s := m.Status(); len(s.Owed) != 0 || s.SpoolUsed != 0 {
		m.t.Errorf("still owed: %+v, spool %d bytes", s.Owed, s.SpoolUsed)
	}
	if p := m.store.Disk().Paths(); strings.Contains(fmt.Sprint(p), "conflict") {
		m.t.Errorf("a conflict copy: %q", p)
	}
}

const large = leanAbove + 12345

// Of a large file that only grew nothing but the tail is sent, reserved or read.
func TestAppendSendsTheTailAlone(t *testing.T) {
	store, m, want := logs(t, large, mem.Options{}, func(c *Config) { c.SpoolSize = 1 << 20 })
	var sent int64
	for i := range 10 {
		more := noise(100 + i)
		want = append(want, more...)
		sent += int64(len(more))
		m.must(m.grow("/log", more))
		m.sync()
		m.onServer("/log", string(want))
	}
	if in, up := store.Bytes(); in != 0 || up != sent {
		t.Errorf("%d bytes were read and %d sent, want 0 and %d", in, up, sent)
	}
	if n := store.Count(mem.OpPublish); n != 0 {
		t.Errorf("the file was replaced %d times", n)
	}
	m.wantClean()
	m.wantRead("/log", string(want))
}

// A small file is replaced at once: nobody sees half of the change.
func TestAppendToASmallFileReplacesIt(t *testing.T) {
	store, m, want := logs(t, 1000, mem.Options{}, nil)
	want = append(want, "more"...)
	m.must(m.grow("/log", []byte("more")))
	m.sync()
	m.onServer("/log", string(want))
	if store.Count(mem.OpPublish) != 1 {
		t.Error("it was not replaced")
	}
}

// A write below the end makes it a change as any other.
func TestAppendAndAWriteBelow(t *testing.T) {
	store, m, want := logs(t, large, mem.Options{}, nil)
	h, err := m.openAt("/log", OpenFlags{Write: true})
	m.must(err)
	_, err = h.WriteAt(t.Context(), []byte("more"), large)
	m.must(err)
	if used := m.Status().SpoolUsed; used != 4 {
		t.Errorf("4 bytes appended, %d reserved", used)
	}
	_, err = h.WriteAt(t.Context(), []byte("below"), 10)
	m.must(err)
	if used := m.Status().SpoolUsed; used < large+4 {
		t.Errorf("of %d bytes in all %d are reserved", large+4, used)
	}
	h.Release()
	copy(want[10:], "below")
	want = append(want, "more"...)
	m.wantRead("/log", string(want))
	m.sync()
	m.onServer("/log", string(want))
	if store.Count(mem.OpPublish) != 1 {
		t.Error("it was not replaced")
	}
	m.wantClean()
}

// Servers that do not append, known or found out, get the whole file.
func TestAppendWhereTheServerDoesNot(t *testing.T) {
	for _, o := range []mem.Options{{NoAppend: true}, {NoAppend: true, LateNo: true}} {
		_, m, want := logs(t, large, o, nil)
		want = append(want, "more"...)
		m.must(m.grow("/log", []byte("more")))
		m.sync()
		m.onServer("/log", string(want))
		m.wantRead("/log", string(want))
		m.wantClean()
	}
}

// While a tail is under way readers see the whole, and what is appended meanwhile is
// another tail.
func TestAppendWhileATailIsSent(t *testing.T) {
	store, m, want := logs(t, large, mem.Options{}, nil)
	var chunks atomic.Int32
	hold := store.Hold(func(op, _ string) bool { return op == mem.OpData && chunks.Add(1) == 3 })
	first, second := noise(200_000), noise(50_000)
	m.must(m.grow("/log", first))
	<-hold.Arrived()
	if on, _ := store.Disk().Stat("/log"); on.Size <= large || on.Size >= large+200_000 {
		t.Fatalf("the server's file has %d bytes: not in the middle", on.Size)
	}
	want = append(want, first...)
	m.wantRead("/log", string(want)) // with the base fetched at this moment
	m.must(m.grow("/log", second))
	want = append(want, second...)
	m.wantRead("/log", string(want))
	hold.Release()
	m.sync()
	m.onServer("/log", string(want))
	if _, up := store.Bytes(); up != 250_000 {
		t.Errorf("%d bytes were sent, want 250000", up)
	}
	m.wantClean()
	m.wantRead("/log", string(want))
}

// A long tail goes in pieces, so that nothing waits long for it.
func TestALongTailGoesInPieces(t *testing.T) {
	store, m, want := logs(t, tailAbove+1, mem.Options{}, nil)
	more := noise(2*maxTail + 1000)
	m.must(m.grow("/log", more))
	m.sync()
	m.onServer("/log", string(append(want, more...)))
	if n := store.Count(mem.OpWrite); n != 3 {
		t.Errorf("sent in %d parts, want 3", n)
	}
	m.wantClean()
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
	}
}

// A tail that broke off goes on where it ended; also under the file's new name, and
// after its answer was lost.
func TestABrokenTailGoesOn(t *testing.T) {
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
}

// A full disk in the middle of a tail parks it; retry goes on where it ended.
func TestATailOnAFullDiskIsParked(t *testing.T) {
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
}

// Another client appended before: theirs stays. With the base here ours goes beside it,
// else it is parked until the server's file is as expected, or discarded.
func TestAppendAfterSomebodyElses(t *testing.T) {
	for _, size := range []int{leanAbove / 2, large} {
		store, m, base := logs(t, size, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
		was, _ := store.Disk().Stat("/log")
		m.must(m.grow("/log", []byte("ours")))
		if size == large {
			m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
		} else {
			m.waitWhole("/log")
			m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		m.Sync(ctx, "/", func(Progress) {})
		cancel()
		m.onServer("/log", string(base)+"theirs")
		if size != large {
			found := false
			for _, p := range store.Disk().Paths() {
				got, _ := store.Disk().ReadFile(p)
				found = found || strings.Contains(p, ".conflict-") && string(got) == string(base)+"ours"
			}
			if !found {
				t.Errorf("no conflict copy: %q", store.Disk().Paths())
			}
			continue
		}
		s := m.Status()
		if s.Parked != 1 || !strings.Contains(fmt.Sprint(s.Owed), "changed there while only what was appended is held") {
			t.Fatalf("status %+v, want it parked", s)
		}
		m.must(store.Disk().WriteFile("/log", base))
		m.must(store.Disk().Chtimes("/log", was.MTime))
		_, err := m.Retry("/log")
		m.must(err)
		m.sync()
		m.onServer("/log", string(base)+"ours")
		m.wantClean()
	}
}

// Somebody else's bytes behind the base are not taken for the beginning of our tail,
// though the record says that one was under way.
func TestTheirsIsNotTakenForABeginningOfOurs(t *testing.T) {
	store, m, base := logs(t, large, mem.Options{}, nil)
	store.Hook(func(op, _ string) error {
		if op == mem.OpWrite {
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	m.must(m.grow("/log", noise(50_000)))
	m.waitFailed("/log")
	m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
	store.Hook(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m.Sync(ctx, "/", func(Progress) {})
	m.onServer("/log", string(base)+"theirs")
	if s := m.Status(); s.Parked != 1 {
		t.Errorf("status %+v, want it parked", s)
	}
	kept, dir, err := m.Discard("/log")
	if err != nil || kept != 1 || dir == "" {
		t.Errorf("discard: %d in %q, %v", kept, dir, err)
	}
	m.wantRead("/log", string(base)+"theirs")
}

// Both append in the same moment: both are there, and the mount shows both.
func TestAppendTogetherWithSomebodyElse(t *testing.T) {
	store, m, base := logs(t, large, mem.Options{}, nil)
	hold := store.HoldOp(mem.OpData, "/log")
	m.must(m.grow("/log", []byte("ours")))
	<-hold.Arrived()
	m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
	hold.Release()
	m.sync()
	m.onServer("/log", string(base)+"theirsours")
	m.wantClean()
	m.wantRead("/log", string(base)+"theirsours")
}

// A file that stays open, as a log does, is sent piece by piece too, also one that was
// born here.
func TestALongOpenLogSendsWhatIsNew(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	var h *Handle
	m.must(m.with("/", func(dir *Node, _ string) error {
		n, created, _, err := m.Create(t.Context(), dir, "log", 0o644, true, OpenFlags{Write: true, Append: true})
		if err == nil {
			m.Forget(n)
		}
		h = created
		return err
	}))
	defer h.Release()
	var want []byte
	for _, n := range []int{300_000, 1000, 50_000} {
		more := noise(n)
		_, err := h.WriteAt(t.Context(), more, int64(len(want)))
		m.must(err)
		want = append(want, more...)
		m.must(m.publishNow(t.Context(), m.fileAt("/log"), m.fileAt("/log").changes))
		m.onServer("/log", string(want))
		if _, up := store.Bytes(); up != int64(len(want)) {
			t.Errorf("%d bytes sent for a file of %d", up, len(want))
		}
	}
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
		}
	}
}

// What was cut off and then grew again as a hole is not the server's any more, also after
// a restart: nothing is appended to the bytes that were cut.
func TestAHoleWhereTheFileWasCutIsNotTheBase(t *testing.T) {
	for name, sizes := range map[string][]int64{"cut to nothing": {0, large + 500}, "cut to a part": {1000, large - 5, large + 500}} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) {
				store, m, base := logs(t, large, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
				h, err := m.openAt("/log", OpenFlags{Write: true})
				m.must(err)
				for _, n := range sizes {
					m.must(h.Truncate(t.Context(), n))
				}
				m.must(h.Flush(t.Context()))
				h.Release()
				want := make([]byte, large+500)
				copy(want, base[:sizes[0]])
				if restarted {
					m.stop()
					m.open()
				}
				m.wantRead("/log", string(want))
				m.sync()
				m.onServer("/log", string(want))
				m.wantClean()
				if store.Count(mem.OpPublish) != 1 {
					t.Error("it was not replaced")
				}
			})
		}
	}
}

// A gap that a writer leaves behind the end of a file that was cut is zeros, though the
// daemon was killed before it closed.
func TestAGapAfterACutIsZerosAfterACrash(t *testing.T) {
	_, m, base := logs(t, large, mem.Options{}, nil)
	h, err := m.openAt("/log", OpenFlags{Write: true})
	m.must(err)
	m.must(h.Truncate(t.Context(), 1000))
	_, err = h.WriteAt(t.Context(), []byte("end"), 5000)
	m.must(err)
	want := append(append(bytes.Clone(base[:1000]), make([]byte, 4000)...), "end"...)
	m.crash()
	_, err = m.Retry("/")
	m.must(err)
	m.wantRead("/log", string(want))
	m.sync()
	m.onServer("/log", string(want))
	m.wantClean()
}
