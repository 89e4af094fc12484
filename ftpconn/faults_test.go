package ftpconn_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

// How long a cell of the matrix may take in all before it counts as hanging: many
// timeouts, and a busy machine.
const (
	cellTimeout = 500 * time.Millisecond // of the network
	cellMost    = 4 * time.Minute
)

var everyCell = flag.Bool("faults.all", false, "every fault at every command of every operation, once and always, where otherwise they take turns")

// TestFaultMatrix does every operation on a server that misdeeds at one of the
// operation's commands, once or for as long as it is asked: every misdeed in every
// operation, at the commands in turn, or with -faults.all at each. Whatever comes
// of it: the answer is true or an error that is no answer; what changes something is
// done whole or not at all; it ends; nothing is left behind; and when the fault is
// lifted the operation succeeds.
func TestFaultMatrix(t *testing.T) {
	before, files := runtime.NumGoroutine(), descriptors(t)
	var work []cell
	lines := 0
	for _, how := range []setting{
		{name: "MLSD", options: ftpscript.Options{ListSelf: true}},
		{name: "delivering", delivers: true, options: ftpscript.Options{ListSelf: true, Greeting: "ProFTPD Server"}, only: []string{"deliver", "deliver over"}},
		{name: "LIST", options: ftpscript.Options{ListSelf: true, Refuse: []string{"MLSD", "MLST"}}, only: []string{"lookup of a file", "lookup of a directory", "readdir", "read at an offset", "overwrite", "unlink"}},
		{name: "active", active: true, options: ftpscript.Options{ListSelf: true}, only: []string{"readdir", "read of a small file", "create"}},
		{name: "first", cold: true, options: ftpscript.Options{ListSelf: true}, only: []string{"readdir", "read at an offset", "create", "mount"}},
	} {
		for i, op := range operations {
			if how.only != nil && !slices.Contains(how.only, op.name) || how.only == nil && (op.name == "mount" || op.delivers) {
				continue
			}
			lines++
			steps := how.steps(t, op)
			moves := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return !s.moves() })
			for k, m := range misdeeds(nil) {
				// Waiting costs time: in all ways only where most is different.
				first := how.name == "MLSD" || how.delivers
				if m.stalls && (testing.Short() || !first && m.name != "stuck before it" && !m.data) {
					continue
				}
				if how.cold && op.name == "readdir" && m.name == "nothing, 226" {
					continue // nothing tells that from a directory that is empty
				}
				at := steps
				if m.data {
					at = moves
				}
				for j, s := range at {
					turn := (i + k) % len(at)
					if *everyCell || j == turn {
						work = append(work, cell{how, op, m.name, s, true, m.waits()})
					}
					if !m.stalls && !m.harmless && first && (*everyCell || j == (turn+1)%len(at) && (i+k)%2 == 0) {
						work = append(work, cell{how, op, m.name, s, false, m.waits()})
					}
				}
			}
		}
	}
	// Most of a cell that stalls is waiting: those go first, many at a time, and the
	// others keep the machine busy meanwhile.
	slices.SortStableFunc(work, func(a, b cell) int { return cmp.Compare(b.waits, a.waits) })
	inParallel(40, work, func(c cell) { c.run(t) })
	settled(t, "goroutines", func() (bool, string) {
		n := runtime.NumGoroutine()
		return n <= before, fmt.Sprintf("%d, %d before", n, before)
	})
	settled(t, "descriptors", func() (bool, string) {
		n := descriptors(t)
		return n <= files, fmt.Sprintf("%d, %d before", n, files)
	})
	t.Logf("figure: faults: %d kinds × %d operations, at their commands = %d cells", len(misdeeds(nil)), lines, len(work))
}

// setting is a kind of server and the operations tried on it.
type setting struct {
	name     string
	options  ftpscript.Options
	active   bool
	delivers bool     // an upload goes with its command, and what is asked before the rename with that
	cold     bool     // the Store has never been used
	only     []string // nil: all
}

// step is a command in an operation: the n'th with its verb.
type step struct {
	verb string
	n    int
}

func (s step) moves() bool {
	switch s.verb {
	case "RETR", "STOR", "APPE", "LIST", "MLSD":
		return true
	}
	return false
}

// steps are the commands that an operation sends when all goes well.
func (h setting) steps(t *testing.T, op operation) []step {
	t.Helper()
	w := h.start(t)
	defer w.end()
	mark := w.srv.Mark()
	if h.cold {
		mark = 0
	}
	if err := op.do(t.Context(), w.s); err != nil {
		t.Fatalf("%s, %s, without any fault: %v\n%s", h.name, op.name, err, w.srv.Transcript(40))
	}
	if op.done != nil && !op.done(w.srv.Tree) {
		t.Fatalf("%s, %s, without any fault: not done", h.name, op.name)
	}
	var steps []step
	count := map[string]int{}
	for _, c := range w.srv.Since(mark) {
		if count[c.Verb]++; count[c.Verb] <= 2 && c.Verb != "NOOP" && c.Verb != "QUIT" {
			steps = append(steps, step{c.Verb, count[c.Verb]})
		}
	}
	return steps
}

// world is a server with a Store on it.
type world struct {
	srv  *ftpscript.Server
	s    *ftpconn.Store
	open atomic.Int64 // sockets
	up   chan bool
}

func (h setting) start(t *testing.T) *world {
	t.Helper()
	believe := func(*ftpconn.Config) {}
	if *overTLS {
		pair := certs.Issue(t, certs.Options{})
		h.options.TLS, believe = serving(pair), believing(pair)
	}
	if !*overTLS { // certificates are for 127.0.0.1
		// A port that one cell gave up must not lead its clients into another's.
		h.options.Host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		h.options.DataFrom = h.options.Host
	}
	srv, err := ftpscript.New(h.options)
	if err != nil {
		t.Fatal(err)
	}
	plant(srv.Tree)
	w := &world{srv: srv, up: make(chan bool, 100)}
	cfg := ftpconn.Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password,
		Timeout: cellTimeout, MountTag: "tag7", Active: h.active, MaxConns: 3,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			w.open.Add(1)
			return &countedClose{TCPConn: nc.(*net.TCPConn), n: &w.open}, nil
		}}
	believe(&cfg)
	w.s = ftpconn.New(cfg)
	w.s.OnHealth(func(up bool) { w.up <- up })
	if h.cold {
		return w
	}
	ctx, cancel := context.WithTimeout(t.Context(), cellMost)
	defer cancel()
	for range 2 { // what a server can do is learned by then
		for _, warm := range []func(context.Context, *ftpconn.Store) error{lists, stats("/old", remote.File, 11), reads("/old", 3, []byte(" content"))} {
			for err = warm(ctx, w.s); err != nil && ctx.Err() == nil; err = warm(ctx, w.s) {
				_ = w.heal(ctx) // the timeout is short for a machine that has much to do
			}
		}
	}
	for i := 0; h.delivers && i < 4 && err == nil; i++ {
		for err = delivered(fmt.Sprintf("/warm-%d", i), nil)(ctx, w.s); err != nil && ctx.Err() == nil; err = delivered("/warm", nil)(ctx, w.s) {
			_ = w.heal(ctx)
		}
	}
	if err != nil {
		t.Errorf("%s, before any fault: %v", h.name, err)
	}
	return w
}

func (w *world) end() {
	w.s.Close()
	w.srv.Stop()
}

type cell struct {
	setting
	op    operation
	what  string // the misdeed's name
	at    step
	once  bool
	waits int // how much of it is waiting
}

func (c cell) String() string {
	often := "always"
	if c.once {
		often = "once"
	}
	return fmt.Sprintf("%s: %s, %s at %s %d, %s", c.setting.name, c.op.name, c.what, c.at.verb, c.at.n, often)
}

func (c cell) run(t *testing.T) {
	w := c.start(t)
	defer w.srv.Stop()
	fail := func(format string, args ...any) {
		t.Errorf("%v: %s\n%s", c, fmt.Sprintf(format, args...), w.srv.Transcript(25))
	}
	lift := make(chan struct{})
	all := misdeeds(lift)
	m := all[slices.IndexFunc(all, func(m misdeed) bool { return m.name == c.what })]
	rule := m.rule
	rule.Verb, rule.Skip = c.at.verb, c.at.n-1
	if c.once {
		rule.Times = 1
	}
	applied := w.srv.Add(rule)
	ctx, cancel := context.WithTimeout(t.Context(), cellMost)
	defer cancel()

	err := c.op.do(ctx, w.s)
	if ctx.Err() != nil {
		fail("still not done after %v: %v", cellMost, err)
	}
	c.judge(w, m, err, fail)

	// Lifted, all is well again, and the operation can be done.
	applied.Remove()
	close(lift)
	// A command that was held up is carried out now, on a connection that was given up
	// meanwhile: it is to have been, before the operation is done again.
	settled(t, "commands given up", func() (bool, string) {
		open := w.s.Stats().Open
		return w.srv.Open() <= open, fmt.Sprintf("%v: %d sessions, %d connections", c, w.srv.Open(), open)
	})
	if err := w.heal(ctx); err != nil {
		fail("never well again: %v", err)
	}
	// What a server once called unknown is not asked of it again.
	now := c.again(w)(ctx, w.s)
	for remote.KindOf(now).Offline() && ctx.Err() == nil { // a short timeout, a busy machine
		_ = w.heal(ctx)
		now = c.again(w)(ctx, w.s)
	}
	if known := (m.refuses || c.otherwise(m, now)) && remote.Is(now, remote.Unsupported); now != nil && !known {
		fail("afterwards: %v (at first: %v)", now, err)
	} else if c.op.done != nil && !known && !c.op.done(w.srv.Tree) {
		fail("afterwards: not done")
	}
	settled(t, "connections at rest", func() (bool, string) {
		st := w.s.Stats()
		return st.Busy == 0 && st.Waiting == 0 && w.open.Load() <= 2*int64(st.Open), fmt.Sprintf("%v: %d sockets, %+v", c, w.open.Load(), st)
	})
	w.s.Close()
	if n := w.open.Load(); n != 0 {
		fail("%d sockets are open after Close", n)
	}
	settled(t, "sessions at the server", func() (bool, string) {
		return w.srv.Open() == 0, fmt.Sprintf("%v: %d", c, w.srv.Open())
	})
}

// otherwise: the caller is told to do it another way, for what the server did with
// the scratch file of an append is no proof. A broken connection does not do that.
func (c cell) otherwise(m misdeed, err error) bool {
	return c.op.name == "append" && (m.data || m.lies || m.refuses) && remote.Is(err, remote.Unsupported)
}

// again is what does the operation after it failed, as far as it is not done.
func (c cell) again(w *world) func(context.Context, *ftpconn.Store) error {
	switch {
	case c.op.done != nil && c.op.done(w.srv.Tree):
		return func(context.Context, *ftpconn.Store) error { return nil }
	case c.op.again != nil:
		return c.op.again
	}
	return c.op.do
}

// judge looks at the outcome under the fault.
func (c cell) judge(w *world, m misdeed, err error, fail func(string, ...any)) {
	var no wrong
	allowed := broken
	if m.refuses || m.lies {
		allowed = refusals
	}
	if m.lies && c.setting.cold || m.refuses && c.setting.cold {
		allowed = append(slices.Clone(allowed), remote.Auth)
	}
	switch {
	case m.lies: // what a server says we can only believe
	case errors.As(err, &no):
		fail("a false answer: %v", err)
	case err != nil && m.harmless && !remote.KindOf(err).Offline(): // or the machine was too busy for the timeout
		fail("%v", err)
	case c.otherwise(m, err):
	case err != nil && !slices.Contains(allowed, remote.KindOf(err)) && !slices.Contains(m.kinds, remote.KindOf(err)):
		fail("the error is %v, of kind %q", err, remote.KindOf(err))
	}
	if c.op.done == nil || m.lies {
		return
	}
	before := c.op.before(w.srv.Tree) // first, as what was given up may still be carried out
	done := c.op.done(w.srv.Tree)
	switch {
	case err == nil && !done:
		fail("no error, and it is not done")
	case !done && !before && c.op.name != "append":
		fail("half done (error: %v)", err)
	}
}

// heal waits until the server counts as well and answers.
func (w *world) heal(ctx context.Context) error {
	for {
		err := stats("/old", remote.File, -1)(ctx, w.s)
		var no wrong
		if err == nil || errors.As(err, &no) { // the file may have been written
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		w.s.LoginAgain() // a login that was refused is not tried again by itself
		select {
		case <-w.up:
		case <-time.After(50 * time.Millisecond): // down tells, a refusal does not
		case <-ctx.Done():
		}
	}
}

// settled waits until what ends in the background has ended.
func settled(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	for deadline := time.Now().Add(cellMost); ; runtime.Gosched() {
		good, now := ok()
		if good {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %s", what, now)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func inParallel[T any](n int, work []T, f func(T)) {
	queue := make(chan T)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for w := range queue {
				f(w)
			}
		})
	}
	for _, w := range work {
		queue <- w
	}
	close(queue)
	wg.Wait()
}

// descriptors are the open files of this process that are sockets.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
