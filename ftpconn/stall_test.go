package ftpconn_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// One transfer that never begins, on a server that answers everything else (a
// vsftpd session waiting for the lock on a file), fails by itself: nobody else's
// call fails with it, and no idle connection is given up for it.
func TestOneStuckTransfer(t *testing.T) {
	t.Parallel() // it mostly waits
	srv, s := start(t, ftpscript.Options{}, impatient)
	srv.Tree.Put("/f", content)
	srv.Tree.Put("/g", content)
	ok(t, "connect", s.Connect(t.Context()))
	hold := make(chan struct{})
	defer close(hold)
	srv.Add(ftpscript.Rule{Verb: "RETR", Path: "/f", Hold: hold})
	for range 2 {
		_, err := read(s, "/f", 0)
		kind(t, "the stuck read", err, remote.Timeout)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := s.Stat(t.Context(), "/g"); err != nil {
					t.Errorf("stat right after: %v", err)
				}
				if got, err := read(s, "/g", 0); err != nil || !bytes.Equal(got, content) {
					t.Errorf("read right after: %d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
	}
	if up, _, _ := s.Health(); !up {
		t.Error("the server counts as down")
	}
}

// A final reply that takes longer than the timeout, on a server that is well, is
// settled by SIZE: else a large upload would begin again for ever.
func TestSlowFinalReply(t *testing.T) {
	t.Parallel() // it mostly waits
	srv, s := start(t, ftpscript.Options{}, impatient)
	srv.Add(ftpscript.Rule{Verb: "STOR", Swallow: true})
	for range 2 {
		ok(t, "upload", s.Write(t.Context(), "/tag7", bytes.NewReader(content), 0, int64(len(content))))
	}
	if b, _ := srv.Tree.Get("/tag7"); !bytes.Equal(b, content) {
		t.Errorf("%d bytes arrived", len(b))
	}
	srv.Add(ftpscript.Rule{Verb: "RNTO", Swallow: true})
	_, err := s.Publish(t.Context(), "/tag7", remote.Publish{Path: "/f", Size: int64(len(content))})
	ok(t, "publish", err)
}

// While one transfer is stuck others are at work: that is proof enough.
func TestStuckBesideOthers(t *testing.T) {
	t.Parallel() // it mostly waits
	srv, s := start(t, ftpscript.Options{}, impatient)
	srv.Tree.Put("/f", content)
	srv.Tree.Put("/g", content)
	ok(t, "connect", s.Connect(t.Context()))
	told := make(chan bool, 100)
	s.OnHealth(func(up bool) { told <- up })
	hold := make(chan struct{})
	defer close(hold)
	srv.Add(ftpscript.Rule{Verb: "RETR", Path: "/f", Hold: hold})
	done := make(chan error, 1)
	go func() {
		_, err := read(s, "/f", 0)
		done <- err
	}()
	for {
		r, err := s.Open(t.Context(), "/g", 0, nil)
		ok(t, "open", err)
		_, err = io.ReadAll(r)
		ok(t, "read", err)
		r.Close()
		select {
		case err := <-done:
			kind(t, "the stuck read", err, remote.Timeout)
			if len(told) > 0 {
				t.Error("the server was called down")
			}
			return
		default:
		}
	}
}

// New connections that are refused while others stand (a firewall that counts) are
// no reason to give up those.
func TestRefusedDialBesideIdle(t *testing.T) {
	var refuse atomic.Bool
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if refuse.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	srv.Tree.Put("/f", content)
	hold := make(chan struct{})
	held := srv.Add(ftpscript.Rule{Verb: "MLST", Hold: hold})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := s.Stat(t.Context(), "/f"); err != nil {
				t.Error(err)
			}
		})
	}
	for held.Hits() < 2 {
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	held.Remove()
	refuse.Store(true)
	srv.Add(ftpscript.Rule{Verb: "MLST", Times: 1, Hangup: true})
	for range 3 {
		_, err := s.Stat(t.Context(), "/f")
		ok(t, "stat", err)
	}
	// When the last has gone too, the server is down.
	srv.KillSessions()
	_, err := s.Stat(t.Context(), "/f")
	kind(t, "stat with nothing left", err, remote.Down)
	if up, _, _ := s.Health(); up {
		t.Error("the server counts as up")
	}
}
