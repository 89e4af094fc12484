package ftpconn

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// trickle gives n bytes, a hundred each few milliseconds, and says whether it may be read again.
type trickle struct {
	n     int
	tick  *time.Ticker
	again bool
	asked atomic.Int64
}

func (s *trickle) Read(p []byte) (int, error) {
	if s.n == 0 {
		return 0, io.EOF
	}
	<-s.tick.C
	n := min(100, s.n, len(p))
	s.n -= n
	for i := range p[:n] {
		p[i] = 'x'
	}
	return n, nil
}

func (s *trickle) Again() bool {
	s.asked.Add(1)
	return s.again
}

// With one connection and a server that does not append a long upload gives way to who
// waits, begins again, and comes through although somebody always waits. One that
// cannot begin again is left alone.
func TestUploadsThatBeginAgainComeThrough(t *testing.T) {
	for what, again := range map[string]bool{"may begin again": true, "may not": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // it mostly waits
			srv := ftpscript.Start(t, ftpscript.Options{Refuse: []string{"APPE"}})
			srv.Tree.Put("/f", nil)
			s := hurriedStore(t, srv, func(c *Config) { c.MaxConns = 1 })
			ctx, cancel := context.WithCancel(t.Context())
			answered := make(chan int)
			go func() {
				n := 0
				for ; ; n++ {
					if _, err := s.Stat(ctx, "/f"); err != nil {
						if ctx.Err() == nil {
							t.Error(err)
						}
						answered <- n
						return
					}
				}
			}()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			const n = 70_000                   // more than is sent in one go
			s.pool.restarted(time.Millisecond) // its turn is short
			s.pool.restarts.least = 10 * time.Millisecond
			uploads := 0
			for {
				src := &trickle{n: n, tick: tick, again: again}
				err := s.Write(t.Context(), "/.ftpfs-tag7u00000001", src, 0, n)
				if uploads++; err == nil {
					if !again && src.asked.Load() == 0 {
						t.Error("nobody asked whether it may begin again: this shows nothing")
					}
					break
				}
				if !remote.Is(err, remote.Temporary) || !again || uploads > 5 {
					t.Fatalf("upload %d: %v", uploads, err)
				}
			}
			cancel()
			if n := <-answered; again && (n == 0 || uploads < 2) {
				t.Errorf("%d questions were answered, in %d uploads", n, uploads)
			}
			if b, _ := srv.Tree.Get("/.ftpfs-tag7u00000001"); !bytes.Equal(b, bytes.Repeat([]byte("x"), n)) {
				t.Errorf("%d bytes arrived of %d, or others", len(b), n)
			}
		})
	}
}

// With one connection a long download and a long upload take turns, neither waits for the
// end of the other.
func TestADownloadAndAnUploadTakeTurns(t *testing.T) {
	t.Parallel() // it mostly waits
	srv := ftpscript.Start(t, ftpscript.Options{})
	big := bytes.Repeat([]byte("0123456789"), 400<<10)
	srv.Tree.Put("/f", big)
	s := hurriedStore(t, srv, func(c *Config) { c.MaxConns = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, "/f", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := make(chan error, 1)
	var got bytes.Buffer
	go func() { // until told to hurry
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := io.CopyN(&got, r, 200); err != nil {
				if err == io.EOF {
					err = nil
				}
				read <- err
				return
			}
			if ctx.Err() == nil && got.Len() < len(big)/2 {
				<-tick.C
			}
		}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	const n = 70_000 // more than three seconds: it does not come through in one turn
	err = s.Write(t.Context(), "/.ftpfs-tag7u00000001", &trickle{n: n, tick: tick}, 0, -1)
	if err != nil {
		t.Errorf("the upload: %v", err)
	}
	select {
	case err := <-read:
		t.Errorf("the download ended before the upload: %v; this shows nothing", err)
		read <- err
	default:
	}
	if b, _ := srv.Tree.Get("/.ftpfs-tag7u00000001"); len(b) != n {
		t.Errorf("%d bytes arrived of %d", len(b), n)
	}
	if err := <-read; err != nil || !bytes.Equal(got.Bytes(), big) {
		t.Errorf("the download has %d bytes of %d, or others: %v", got.Len(), len(big), err)
	}
	cancel()
}
