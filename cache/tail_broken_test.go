package cache

import (
	"fmt"
	"sync/atomic"
	"testing"
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
	}
}

// A rename whose answer was lost, of a file of which half a tail is on the server: the
// tail goes on under the new name.
func TestABrokenTailWhoseRenameLostItsAnswer(t *testing.T) {
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
}

// However often a tail is cut, no more than one piece is in doubt and read back.
func TestATailThatIsCutAgainAndAgain(t *testing.T) {
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
		m.waitFailed("/log")
		f := m.fileAt("/log")
		m.mu.Lock()
		tail := f.tail
		m.mu.Unlock()
		if tail == nil || tail.To-tail.From > 100_000 {
			t.Fatalf("in doubt is %+v, want at most 100000 bytes", tail)
		}
		m.queue.Kick()
	}
	store.Hook(nil)
	m.sync()
	m.onServer("/log", string(want))
	if in, up := store.Bytes(); up != int64(len(more)) || in > int64(len(more)) {
		t.Errorf("%d bytes were sent and %d read back of a tail of %d", up, in, len(more))
	}
	m.wantClean()
}

// A publication whose answer was lost, on a server that cannot set times: what it left
// is known by the time the server gave it, and replaced by what was written since.
func TestALostAnswerWhereTimesCannotBeSet(t *testing.T) {
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
}
