package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// situation is a state in which a tree may be when it is closed.
type situation struct {
	name  string
	opts  mem.Options
	cfg   func(*Config)
	reach func(c *census)
}

// census is a mount in a situation, and who is in the middle of a call to it.
type census struct {
	*mount
	ctx   context.Context // of the calls: ends as it does for a caller who is interrupted
	calls []chan error
	open  []*Handle // not released before the tree is closed
}

// call is in the middle of something when the tree is closed, and ends then.
func (c *census) call(do func(ctx context.Context) error) {
	ended := make(chan error, 1)
	c.calls = append(c.calls, ended)
	go func() { ended <- do(c.ctx) }()
}

func (c *census) keep(h *Handle) *Handle {
	c.open = append(c.open, h)
	return h
}

func (c *census) openFile(p string, fl OpenFlags) *Handle {
	c.t.Helper()
	h, err := c.openAt(p, fl)
	c.must(err)
	return c.keep(h)
}

// refuse has the operations of one sort fail.
func (c *census) refuse(kind remote.Kind, ops ...string) {
	c.store.Hook(func(op, _ string) error {
		if slices.Contains(ops, op) {
			return &remote.Error{Kind: kind, Text: "by the test"}
		}
		return nil
	})
}

// holding has the server take its time over one sort of operation, and arrive waits
// until one is under way.
func (c *census) holding(op string) (arrive func()) {
	hold := c.store.Hold(func(o, _ string) bool { return o == op })
	return func() { <-hold.Arrived() }
}

func (c *census) theirs(p string, n int) {
	c.t.Helper()
	c.must(c.store.Disk().WriteFile(p, noise(n)))
}

func (c *census) wantStatus(what string, ok func(Status) bool) {
	c.t.Helper()
	if s := c.Status(); !ok(s) {
		c.t.Fatalf("not %s: %+v", what, s)
	}
}

var situations = []situation{
	{name: "nothing", reach: func(*census) {}},
	{name: "uploading", reach: func(c *census) {
		arrive := c.holding(mem.OpData)
		c.must(c.write("/f", noise(1000)))
		arrive()
	}},
	{name: "publishing", reach: func(c *census) {
		arrive := c.holding(mem.OpPublish)
		c.must(c.write("/f", noise(1000)))
		arrive()
	}},
	{name: "appending", reach: func(c *census) {
		c.theirs("/log", large)
		arrive := c.holding(mem.OpData)
		c.must(c.grow("/log", noise(1000)))
		arrive()
	}},
	{name: "appending, and written over", reach: func(c *census) {
		c.theirs("/log", large)
		arrive := c.holding(mem.OpData)
		c.must(c.grow("/log", noise(1000)))
		arrive()
		h := c.openFile("/log", OpenFlags{Read: true, Write: true})
		c.call(func(ctx context.Context) error { _, err := h.WriteAt(ctx, []byte("over"), large+10); return err })
		synctest.Wait()
	}},
	{name: "sending what is still written", cfg: func(c *Config) { c.earlyStep = 1 }, reach: func(c *census) {
		arrive := c.holding(mem.OpData)
		c.writeAt(c.keep(c.make("/f")), noise(300_000), 0)
		arrive()
	}},
	{name: "more than the spool holds", cfg: smallSpool, reach: func(c *census) {
		h := c.keep(c.make("/f"))
		c.writeAt(h, noise(2<<20), 0)
		synctest.Wait()
	}},
	{name: "fetching", reach: func(c *census) {
		c.theirs("/f", 3<<20)
		arrive := c.holding(mem.OpRead)
		h := c.openFile("/f", OpenFlags{Read: true})
		for i := range int64(3) {
			c.call(func(ctx context.Context) error { _, err := h.ReadAt(ctx, make([]byte, 1000), i<<20); return err })
		}
		arrive()
	}},
	{name: "a transfer that waits for its reader", reach: func(c *census) {
		c.theirs("/f", 8<<20)
		h := c.openFile("/f", OpenFlags{Read: true})
		_, err := h.ReadAt(c.ctx, make([]byte, 1000), 0)
		c.must(err)
		synctest.Wait()
		if c.store.Readers() == 0 {
			c.t.Fatal("the transfer is over")
		}
	}},
	{name: "fetched, not confirmed yet", reach: func(c *census) {
		c.theirs("/f", 1000)
		h := c.openFile("/f", OpenFlags{Read: true})
		_, err := h.ReadAt(c.ctx, make([]byte, 1000), 0)
		c.must(err)
	}},
	{name: "open, and replaced on the server", reach: func(c *census) {
		c.theirs("/f", 1000)
		h := c.openFile("/f", OpenFlags{Read: true})
		_, err := h.ReadAt(c.ctx, make([]byte, 1000), 0)
		c.must(err)
		time.Sleep(2 * time.Minute)
		c.theirs("/f", 2000)
		time.Sleep(2 * time.Minute)
		c.names("/")
		g := c.openFile("/f", OpenFlags{Read: true})
		_, err = g.ReadAt(c.ctx, make([]byte, 1000), 0)
		c.must(err)
	}},
	{name: "open, and removed here", reach: func(c *census) {
		c.writeAt(c.keep(c.make("/new")), noise(1000), 0)
		c.must(c.remove("/new"))
		c.theirs("/f", 1000)
		h := c.openFile("/f", OpenFlags{Read: true, Write: true})
		_, err := h.WriteAt(c.ctx, []byte("x"), 0)
		c.must(err)
		c.must(c.remove("/f"))
	}},
	{name: "listing", opts: mem.Options{CostlyStat: true}, reach: func(c *census) {
		arrive := c.holding(mem.OpList)
		c.call(func(ctx context.Context) error { _, err := c.OpenDir(ctx, c.Root()); return err })
		c.call(func(ctx context.Context) error { _, _, err := c.Lookup(ctx, c.Root(), "f"); return err })
		arrive()
	}},
	{name: "asking", reach: func(c *census) {
		arrive := c.holding(mem.OpStat)
		c.call(func(ctx context.Context) error { _, _, err := c.Lookup(ctx, c.Root(), "f"); return err })
		arrive()
	}},
	{name: "renaming", reach: func(c *census) {
		c.theirs("/f", 1000)
		arrive := c.holding(mem.OpRename)
		c.call(func(ctx context.Context) error { return c.Rename(ctx, c.Root(), "f", c.Root(), "g", false) })
		arrive()
	}},
	{name: "parked", reach: func(c *census) {
		c.refuse(remote.Permission, mem.OpWrite)
		c.must(c.write("/f", noise(1000)))
		synctest.Wait()
		c.wantStatus("parked", func(s Status) bool { return s.Parked == 1 })
	}},
	{name: "waiting to try again", reach: func(c *census) {
		c.refuse(remote.Temporary, mem.OpWrite)
		c.must(c.write("/f", noise(1000)))
		c.waitFailed("/f")
		c.call(func(ctx context.Context) error { _, err := c.Sync(ctx, "/", func(Progress) {}); return err })
		synctest.Wait()
		c.wantStatus("waiting", func(s Status) bool { return s.OwedFiles == 1 })
	}},
	{name: "conflict", reach: func(c *census) {
		c.theirs("/f", 1000)
		h := c.openFile("/f", OpenFlags{Read: true, Write: true})
		_, err := h.WriteAt(c.ctx, []byte("ours"), 0)
		c.must(err)
		time.Sleep(2 * time.Second)
		c.theirs("/f", 2000)
		c.must(h.Flush(c.ctx))
		h.Release()
		c.sync()
		c.wantStatus("a conflict", func(s Status) bool { return len(s.Conflicts) == 1 })
	}},
	{name: "server down", reach: func(c *census) {
		c.theirs("/f", 1000)
		c.names("/")
		h := c.openFile("/f", OpenFlags{Read: true, Write: true})
		_, err := h.ReadAt(c.ctx, make([]byte, 1000), 0)
		c.must(err)
		c.store.SetOnline(false)
		_, err = h.WriteAt(c.ctx, []byte("ours"), 0)
		c.must(err)
		c.must(c.write("/g", noise(1000)))
		c.waitFailed("/g")
		c.names("/")
		time.Sleep(10 * time.Minute)
	}},
	{name: "spool full", cfg: smallSpool, reach: func(c *census) {
		c.names("/")
		c.store.SetOnline(false)
		h := c.keep(c.make("/f"))
		c.writeAt(h, noise(900<<10), 0)
		c.call(func(ctx context.Context) error { _, err := h.WriteAt(ctx, noise(900<<10), 900<<10); return err })
		g := c.keep(c.make("/g"))
		c.call(func(ctx context.Context) error { _, err := g.WriteAt(ctx, noise(900<<10), 0); return err })
		synctest.Wait()
	}},
	{name: "a time is owed to a directory", cfg: func(c *Config) { c.PublishDelay = time.Hour }, reach: func(c *census) {
		c.must(c.mkdir("/d"))
		c.must(c.write("/d/f", noise(1000)))
		d, err := c.walk("/d")
		c.must(err)
		defer c.Forget(d)
		at := time.Unix(1_000_000_000, 0)
		_, err = c.SetAttr(c.ctx, d, nil, Set{MTime: &at})
		c.must(err)
	}},
	{name: "many open files that are owed", cfg: func(c *Config) { c.PublishDelay = time.Hour }, reach: func(c *census) {
		for i := range manyOwed + 10 {
			h := c.make(fmt.Sprint("/f", i))
			c.writeAt(h, []byte("x"), 0)
			if i%2 == 0 {
				c.keep(h)
			} else {
				c.closeFile(h)
			}
		}
	}},
}

// Whatever a tree is in the middle of when it is closed, nothing of it runs afterwards,
// who waited for it has an answer, and no descriptor and no transfer stays open. It is the
// same once more for the tree that takes up what the first one has left.
func TestNothingIsLeftAfterClose(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.count(t) })
		})
	}
}

func (s situation) count(t *testing.T) {
	files, others := openFiles(t), inBubble()
	m := mountMem(t, mem.New(s.opts), s.cfg)
	m.must(m.wait(t.Context(), "start", nil))
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	c := &census{mount: m, ctx: ctx}
	s.reach(c)
	for _, again := range []bool{false, true} {
		if again {
			m.open()
			m.must(m.wait(t.Context(), "start", nil))
			time.Sleep(time.Second)
		}
		interrupt() // as the kernel's requests are over
		m.stop()
		for i, ended := range c.calls {
			synctest.Wait()
			select {
			case <-ended:
			default:
				t.Errorf("call %d of those under way has not ended", i)
			}
		}
		c.calls = nil
		for _, h := range c.open {
			h.Release()
		}
		c.open = nil
		synctest.Wait()
		if now := inBubble(); len(now) > len(others) {
			t.Errorf("goroutines run on (in the second life: %v):\n%s", again, strings.Join(now, "\n\n"))
		}
		if now := openFiles(t); !slices.Equal(now, files) {
			t.Errorf("open files after (in the second life: %v):\n%s\nbefore:\n%s", again, strings.Join(now, "\n"), strings.Join(files, "\n"))
		}
		if n := m.store.Readers(); n != 0 {
			t.Errorf("%d transfers were never closed", n)
		}
	}
}

// inBubble is the stacks of the goroutines of this test, but for the one that asks.
func inBubble() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var out []string
	for i, g := range strings.Split(string(buf), "\n\n") {
		if head, _, _ := strings.Cut(g, "\n"); i > 0 && strings.Contains(head, "synctest bubble") {
			out = append(out, g)
		}
	}
	return out
}

// openFiles is what the descriptors of this process are of: files, not what the runtime
// waits on.
func openFiles(t *testing.T) []string {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && (strings.HasPrefix(to, "/") || strings.Contains(to, "memfd")) {
			out = append(out, to)
		}
	}
	slices.Sort(out)
	return out
}
