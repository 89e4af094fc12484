package cache

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
