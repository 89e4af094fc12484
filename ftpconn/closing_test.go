package ftpconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/ftpconn/ticket"
	"ftpfs/test/ftpscript"
)

// slowLogins has logins take so long that turns last twelve seconds: who is not called is
// found out.
func slowLogins(srv *ftpscript.Server) { srv.Add(ftpscript.Rule{Verb: "PASS", Delay: 2 * time.Second}) }

// within fails if b gets no answer in a moment, which is far less than a turn.
func within(t *testing.T, what string, s *ftpconn.Store, most time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	begun := time.Now()
	if _, err := s.Stat(ctx, "/f"); err != nil {
		t.Errorf("%s: %v after %v", what, err, time.Since(begun))
	}
}

// held begins n operations that the server answers when it is let go, as it does soon
// after it was asked to.
func held(t *testing.T, srv *ftpscript.Server, s *ftpconn.Store, n int) (letGo func()) {
	t.Helper()
	hold := make(chan struct{})
	rule := srv.Add(ftpscript.Rule{Verb: "MLST", Path: "/held", Hold: hold})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { s.Stat(t.Context(), "/held") })
	}
	settled(t, "the operations under way", func() (bool, string) { return rule.Hits() == n, "" })
	soon := time.AfterFunc(time.Hour, sync.OnceFunc(func() { close(hold) }))
	t.Cleanup(func() { soon.Reset(0); wg.Wait() })
	return func() { soon.Reset(50 * time.Millisecond) }
}

func queuedNow(t *testing.T, s *ftpconn.Store) {
	t.Helper()
	settled(t, "its place in the queue", func() (bool, string) { return s.Stats().Queued, "" })
}

// A program that ends leaves its place to who waits for it: to one that has left it the
// place a moment ago, and would look again only when the turn is over, too; and also if
// that one comes when it has ended.
func TestWhoEndsHandsItsPlaceOn(t *testing.T) {
	for what, o := range map[string]ftpscript.Options{"421": {MaxSessions: 1}, "530": {MaxLogins: 1}} {
		for _, when := range []string{"before", "before, busy", "after"} {
			t.Run(what+" "+when, func(t *testing.T) {
				t.Parallel() // it mostly waits
				srv := ftpscript.Start(t, o)
				srv.Tree.Put("/f", content)
				slowLogins(srv)
				a, b, _ := neighbors(t, srv, nil)
				within(t, "the first", a, 2*soon)
				within(t, "the second", b, 2*soon)
				done, letGo := make(chan struct{}), func() {}
				waits := func() { within(t, "who waits", a, 2*soon); close(done) }
				if when == "before, busy" {
					letGo = held(t, srv, b, 1)
				}
				if when != "after" {
					go waits()
					queuedNow(t, a)
				}
				letGo()
				ok(t, "close", b.Close())
				if when == "after" {
					go waits()
				}
				<-done
			})
		}
	}
}

// Each place is left to another one, which by then looks every three seconds only.
func TestWhoEndsHandsAllItsPlacesOn(t *testing.T) {
	t.Parallel() // it mostly waits
	srv := ftpscript.Start(t, ftpscript.Options{MaxLogins: 2})
	srv.Tree.Put("/f", content)
	dir := filepath.Join(t.TempDir(), "waiting")
	one := func() (*ftpconn.Store, *atomic.Int64) {
		dialed := new(atomic.Int64)
		return open(t, srv, func(c *ftpconn.Config) {
			c.Queue = ticket.Open(dir, "server")
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialed.Add(1)
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
		}), dialed
	}
	last, _ := one()
	letGo := held(t, srv, last, 2)
	done := make(chan struct{}, 2)
	b, triedB := one()
	c, triedC := one()
	for _, s := range []*ftpconn.Store{b, c} {
		go func() {
			if _, err := s.Stat(t.Context(), "/f"); err != nil {
				t.Error(err)
			}
			done <- struct{}{}
		}()
	}
	settled(t, "their fifth tries", func() (bool, string) {
		n, m := triedB.Load(), triedC.Load()
		return n >= 5 && m >= 5, fmt.Sprint(n, m)
	})
	letGo()
	ok(t, "close", last.Close())
	if ticket.Open(dir, "server").Waiting() {
		t.Error("it has not called both")
	}
	settled(t, "they have a connection each", func() (bool, string) {
		n, m := b.Stats().Open, c.Stats().Open
		return n == 1 && m == 1, fmt.Sprint(n, m)
	})
	<-done
	<-done
}

// A call that comes to who is about to end is for the next.
func TestACallForWhoEndsIsPassedOn(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{MaxLogins: 1})
	stranger := open(t, srv, nil)
	_, err := stranger.Stat(t.Context(), "/")
	ok(t, "stat", err)
	dir := filepath.Join(t.TempDir(), "waiting")
	who, next := ticket.Open(dir, "server"), ticket.Open(dir, "server")
	b := open(t, srv, func(c *ftpconn.Config) { c.Queue = who })
	done := make(chan error, 1)
	go func() { _, err := b.Stat(t.Context(), "/"); done <- err }()
	queuedNow(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { next.Watch(ctx, func() {}); close(watched) }()
	defer func() { cancel(); <-watched }()
	younger, err := next.Take(time.Now())
	ok(t, "take", err)
	defer younger.Return()
	never := make(chan struct{})
	defer close(never)
	dead := srv.Add(ftpscript.Rule{Verb: "USER", Hold: never})
	if !next.Call() {
		t.Fatal("nobody waits")
	}
	<-dead.Hit() // it tries
	ok(t, "close", b.Close())
	if err := <-done; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stat: %v", err)
	}
	select {
	case <-younger.Called():
	case <-time.After(cellMost):
		t.Error("the next is not called")
	}
}
