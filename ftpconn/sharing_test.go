package ftpconn_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/ftpconn/ticket"
	"ftpfs/test/ftpscript"
)

// soon is within what somebody waits for an idle program.
const soon = 4 * time.Second

// neighbors gives Stores on srv that share its connections as programs do, and counts
// the control connections that they try.
func neighbors(t *testing.T, srv *ftpscript.Server, change func(*ftpconn.Config)) (a, b *ftpconn.Store, dialed *atomic.Int64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "waiting")
	dialed = new(atomic.Int64)
	one := func() *ftpconn.Store {
		return open(t, srv, func(c *ftpconn.Config) {
			c.Queue = ticket.Open(dir, "server")
			c.Timeout = 20 * time.Second
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == srv.Addr() {
					dialed.Add(1)
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			if change != nil {
				change(c)
			}
		})
	}
	return one(), one(), dialed
}

// works lists, writes and reads within soon.
func works(t *testing.T, who string, s *ftpconn.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := s.List(ctx, "/"); err != nil {
		t.Fatalf("%s: list: %v", who, err)
	}
	ok(t, who+": write", s.Write(ctx, "/"+who, bytes.NewReader(content), 0, int64(len(content))))
	r, err := s.Open(ctx, "/"+who, 0, nil)
	ok(t, who+": open", err)
	defer r.Close()
	got := new(bytes.Buffer)
	if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%s: read %d bytes, %v", who, got.Len(), err)
	}
}

// A program that does nothing with its connections leaves one to another that has none,
// at once, and gets it back when it needs it.
func TestAnIdleProgramGivesWay(t *testing.T) {
	for what, o := range map[string]ftpscript.Options{
		"one, 421": {MaxSessions: 1}, "one, 530": {MaxLogins: 1},
		"two, 421": {MaxSessions: 2}, "two, 530": {MaxLogins: 2},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // it mostly waits
			srv := ftpscript.Start(t, o)
			srv.Tree.Put("/f", content)
			a, b, dialed := neighbors(t, srv, nil)
			crowd(t, a)
			if st := a.Stats(); st.Open != max(o.MaxSessions, o.MaxLogins) {
				t.Fatalf("%d connections before", st.Open)
			}
			dialed.Store(0)
			works(t, "b", b)
			works(t, "a", a)
			works(t, "b", b)
			if n := dialed.Load(); n > 16 {
				t.Errorf("%d connections were tried", n)
			}
			if sa, sb := a.Stats(), b.Stats(); !sa.Up || !sb.Up || sa.Queued || sb.Queued || sb.Full != "" {
				t.Errorf("in the end: %+v, %+v", sa, sb)
			}
		})
	}
}

// With max_conns=1 a program meets no cap by itself.
func TestAnIdleProgramWithOneConnectionGivesWay(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{MaxSessions: 1})
	a, b, _ := neighbors(t, srv, func(c *ftpconn.Config) { c.MaxConns = 1 })
	works(t, "a", a)
	works(t, "b", b)
	works(t, "a", a)
}

// Programs that all have much to do with one connection take turns of some seconds, so
// that neither waits for long and the server sees few logins.
func TestBusyProgramsTakeTurns(t *testing.T) {
	for what, work := range map[string]func(ctx context.Context, s *ftpconn.Store) error{
		"stat": func(ctx context.Context, s *ftpconn.Store) error {
			_, err := s.Stat(ctx, "/f")
			return err
		},
		"read": func(ctx context.Context, s *ftpconn.Store) error {
			got, err := read(s, "/f", 0)
			if err == nil && !bytes.Equal(got, content) {
				err = fmt.Errorf("read %d bytes of %d", len(got), len(content))
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // it mostly waits
			srv := ftpscript.Start(t, ftpscript.Options{MaxSessions: 1, Latency: 2 * time.Millisecond})
			srv.Tree.Put("/f", content)
			a, b, dialed := neighbors(t, srv, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			begun := time.Now()
			var waits [2]atomic.Int64 // of more than half a second: for the other's turn
			enough := func() bool { return waits[0].Load() >= 3 && waits[1].Load() >= 3 }
			for i, s := range []*ftpconn.Store{a, b} {
				wg.Go(func() { // for as long as the other needs somebody to wait for
					for !enough() && ctx.Err() == nil {
						from := time.Now()
						if err := work(ctx, s); err != nil {
							if ctx.Err() == nil {
								t.Errorf("after %v: %v", time.Since(from), err)
							}
							break
						}
						took := time.Since(from)
						if took > 10*time.Second {
							t.Errorf("one waited for %v", took)
						}
						if took > 500*time.Millisecond {
							waits[i].Add(1)
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Error("one does not get on")
			}
			cancel()
			<-done
			turns := time.Since(begun)/time.Second + 2
			if n := dialed.Load(); n > 2*int64(turns) {
				t.Errorf("%d connections were tried in %v", n, time.Since(begun))
			}
		})
	}
}

// A long upload gives way to another program as it does within one, and arrives whole.
func TestAnUploadGivesWayToAnotherProgram(t *testing.T) {
	t.Parallel() // it mostly waits
	srv := ftpscript.Start(t, ftpscript.Options{MaxSessions: 1})
	srv.Tree.Put("/f", content)
	a, b, _ := neighbors(t, srv, func(c *ftpconn.Config) { c.MaxConns = 1 })
	src := newSlow(t)
	done := make(chan error, 1)
	begun := srv.Add(ftpscript.Rule{Verb: "STOR"})
	go func() { done <- a.Write(t.Context(), "/tag7", src, 0, -1) }()
	<-begun.Hit()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 3*soon)
		defer cancel()
		mark := srv.Mark()
		_, err := b.Stat(ctx, "/f")
		ok(t, "stat during an upload", err)
		goesOn := func(c ftpscript.Commands) bool { // it may do so before we look
			asked := slices.IndexFunc(c, func(c ftpscript.Command) bool { return c.Verb == "MLST" && c.Path == "/f" })
			return asked >= 0 && len(c[asked:].Verbs("APPE")) > 0
		}
		if got, err := srv.Await(ctx, mark, goesOn); err != nil {
			t.Fatalf("the upload goes on: %v\n%s", err, got)
		}
	}
	close(src.end)
	ok(t, "upload", <-done)
	if got, _ := srv.Tree.Get("/tag7"); !bytes.Equal(got, src.sent) {
		t.Errorf("%d bytes arrived of %d, or others", len(got), len(src.sent))
	}
}

// Who waits for a place that somebody else has says so, and is not in the way of
// others for it.
func TestWaitingForAPlaceIsTold(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{MaxLogins: 1})
	stranger := open(t, srv, nil)
	_, err := stranger.Stat(t.Context(), "/")
	ok(t, "stat", err)
	var mu sync.Mutex
	var at []time.Time
	tries := func() []time.Time { mu.Lock(); defer mu.Unlock(); return slices.Clone(at) }
	_, b, _ := neighbors(t, srv, func(c *ftpconn.Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == srv.Addr() {
				mu.Lock()
				at = append(at, time.Now())
				mu.Unlock()
			}
			return dial(ctx, network, addr)
		}
	})
	done := make(chan error, 1)
	go func() { _, err := b.Stat(t.Context(), "/"); done <- err }()
	settled(t, "the status of who waits", func() (bool, string) {
		st := b.Stats()
		return st.Queued && strings.HasPrefix(st.Full, "530 ") && st.Up, fmt.Sprintf("%+v", st)
	})
	settled(t, "the fourth try", func() (bool, string) { return len(tries()) >= 4, fmt.Sprint(len(tries())) })
	stranger.Close()
	ok(t, "stat", <-done)
	settled(t, "the status of who has waited", func() (bool, string) {
		st := b.Stats()
		return !st.Queued && st.Full == "", fmt.Sprintf("%+v", st)
	})
	// However slow this machine is, the next try comes no sooner than that after the last.
	all := tries()
	for i, pause := 1, 200*time.Millisecond; i < len(all); i, pause = i+1, min(2*pause, 3*time.Second) {
		if gap := all[i].Sub(all[i-1]); gap < pause {
			t.Errorf("try %d came %v after the one before, want %v", i+1, gap, pause)
		}
	}
	if n := b.Stats().Logins; n != 1 {
		t.Errorf("%d logins", n)
	}
}
