package ftpconn_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// slow gives bytes at a modest pace until it is told to end, and remembers them.
type slow struct {
	end  chan struct{}
	tick *time.Ticker
	sent []byte
}

func newSlow(t *testing.T) *slow {
	s := &slow{end: make(chan struct{}), tick: time.NewTicker(5 * time.Millisecond)}
	t.Cleanup(s.tick.Stop)
	return s
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-s.end:
		return 0, io.EOF
	case <-s.tick.C:
	}
	n := copy(p, content[len(s.sent)%1000:][:777])
	s.sent = append(s.sent, p[:n]...)
	return n, nil
}

// With one connection a long upload and those who ask something take turns, and
// the upload arrives as it was.
func TestUploadTakesTurns(t *testing.T) {
	t.Parallel() // it mostly waits
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 1; c.Timeout = short })
	srv.Tree.Put("/f", content)
	src := newSlow(t)
	done := make(chan error, 1)
	begun := srv.Add(ftpscript.Rule{Verb: "STOR"})
	go func() { done <- s.Write(t.Context(), "/tag7", src, 0, -1) }()
	<-begun.Hit()
	for range 2 {
		_, err := s.Stat(t.Context(), "/f")
		ok(t, "stat during an upload", err)
		got, err := read(s, "/f", 0)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("read during an upload: %d bytes, %v", len(got), err)
		}
	}
	close(src.end)
	ok(t, "upload", <-done)
	if b, _ := srv.Tree.Get("/tag7"); !bytes.Equal(b, src.sent) {
		t.Errorf("%d bytes arrived of %d, or others", len(b), len(src.sent))
	}
	if n := len(srv.Since(0).Verbs("APPE")); n == 0 {
		t.Error("the upload never gave way")
	}
}

// Transfers that begin before the server's cap is known leave a connection for
// metadata all the same.
func TestTransfersLeaveOne(t *testing.T) {
	srv, s := start(t, ftpscript.Options{MaxSessions: 2}, nil)
	hold := make(chan struct{})
	var wg sync.WaitGroup
	stor := srv.Add(ftpscript.Rule{Verb: "STOR", Data: &ftpscript.DataFault{Hold: hold, On: true}})
	for range 5 {
		wg.Go(func() {
			if err := s.Write(t.Context(), "/x", bytes.NewReader(content), 0, -1); err != nil {
				t.Error(err)
			}
		})
	}
	<-stor.Hit()
	for s.Stats().LearnedCap != 2 {
		if t.Context().Err() != nil {
			t.Fatal("the cap is not learned")
		}
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), cellMost) // the uploads are held for as long
	defer cancel()
	for range 3 {
		if _, err := s.Stat(ctx, "/"); err != nil {
			t.Errorf("stat beside uploads: %v", err)
			break
		}
	}
	close(hold)
	wg.Wait()
}

// Close ends the connection of a download that nobody reads at the moment.
func TestCloseEndsRestingDownloads(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", bytes.Repeat(content, 50))
	r, err := s.Open(t.Context(), "/f", 0, nil)
	ok(t, "open", err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 10))
	ok(t, "read", err)
	s.Close()
	settled(t, "the server's sessions after Close", func() (bool, string) { return srv.Open() == 0, "the connection is still open" })
	_, err = io.ReadAll(r)
	kind(t, "read after Close", err, remote.Canceled)
}

// Whoever waits for the only connection ends with its context, also while the
// download that holds it is slow to let go.
func TestPreemptDoesNotHoldItsCaller(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	letGo := make(chan struct{}, 10) // a data connection is closed
	s := open(t, srv, func(c *ftpconn.Config) {
		c.MaxConns, c.Timeout = 1, time.Hour // only the server ends the download
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil || nc.RemoteAddr().(*net.TCPAddr).Port == srv.Port {
				return nc, err
			}
			return &tellsClose{TCPConn: nc.(*net.TCPConn), told: letGo}, nil
		}
	})
	srv.Tree.Put("/f", bytes.Repeat(content, 50))
	hold := make(chan struct{})
	defer close(hold)
	srv.Add(ftpscript.Rule{Verb: "RETR", Data: &ftpscript.DataFault{After: 100, Hold: hold}})
	r, err := s.Open(t.Context(), "/f", 0, nil)
	ok(t, "open", err)
	_, err = io.ReadFull(r, make([]byte, 100))
	ok(t, "read", err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Stat(ctx, "/f"); done <- err }()
	<-letGo // the download is told to end, and the server has not answered
	cancel()
	select {
	case err := <-done:
		kind(t, "stat", err, remote.Canceled)
		if s.Stats().Busy != 1 { // a server is given seconds to notice, and does not here
			t.Error("stat ended only when the download had let go")
		}
	case <-time.After(cellMost):
		t.Error("stat does not end with its context")
	}
}

type tellsClose struct {
	*net.TCPConn
	told chan<- struct{}
}

func (c *tellsClose) Close() error {
	select {
	case c.told <- struct{}{}:
	default:
	}
	return c.TCPConn.Close()
}
