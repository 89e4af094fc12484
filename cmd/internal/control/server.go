package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"ftpfs/lastwords"
)

// Handler answers one request. ctx ends when the client goes away or the server
// closes. progress may be called any number of times, from one goroutine.
type Handler func(ctx context.Context, r Request, progress func(any)) (result any, err error)

// Server listens on one socket.
type Server struct {
	path    string // immutable
	ln      *net.UnixListener
	log     *slog.Logger
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool // no further connection is taken
}

// writeTimeout bounds what a client that does not read can hold up.
const writeTimeout = 10 * time.Second

// Listen makes the socket at path, mode 0600, taking the place of one that
// nobody listens on any more. Stale sockets beside it that match pattern (of
// filepath.Glob; "" for none) are removed.
func Listen(path, pattern string, log *slog.Logger) (*Server, error) {
	if pattern != "" {
		stale, _ := filepath.Glob(pattern)
		for _, s := range stale {
			if refused(s) {
				_ = os.Remove(s)
			}
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, syscall.EADDRINUSE) && refused(path) {
		_ = os.Remove(path)
		ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	}
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{path: path, ln: ln, log: log, ctx: ctx, cancel: cancel}, nil
}

func refused(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Path of the socket.
func (s *Server) Path() string { return s.path }

// Serve answers requests with h, in goroutines of its own, until Close.
func (s *Server) Serve(h Handler) {
	s.handler = h
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := s.ln.AcceptUnix()
			if err != nil {
				if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
					return
				}
				s.log.Warn("control socket", "error", err)
				select { // out of descriptors: let some be freed
				case <-time.After(100 * time.Millisecond):
				case <-s.ctx.Done():
					return
				}
				continue
			}
			s.mu.Lock()
			if s.closed {
				s.mu.Unlock()
				c.Close()
				return
			}
			s.wg.Add(1)
			s.mu.Unlock()
			go func() {
				defer lastwords.OnPanic()
				defer s.wg.Done()
				s.serve(c)
			}()
		}
	}()
}

// Close stops listening, waits up to grace for requests under way, then ends
// them. It returns when none runs any more.
func (s *Server) Close(grace time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.ln.Close() // removes the socket
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	s.cancel()
	<-done
}

func (s *Server) serve(c *net.UnixConn) {
	defer c.Close()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, func() { c.SetReadDeadline(time.Now()) })
	defer stop()

	uid, err := peerUID(c)
	if err != nil || uid != 0 && uid != os.Geteuid() {
		s.log.Warn("control request refused", "uid", uid, "error", err)
		s.send(c, frame{Error: "this mount belongs to another user"})
		return
	}
	c.SetReadDeadline(time.Now().Add(writeTimeout))
	in := bufio.NewReaderSize(c, maxRequest)
	line, err := in.ReadSlice('\n')
	if err != nil {
		if !errors.Is(err, io.EOF) || len(line) > 0 {
			s.send(c, frame{Error: "the request is not a line of JSON"})
		}
		return
	}
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		s.send(c, frame{Error: "bad request: " + err.Error()})
		return
	}
	if r.PathBytes != nil {
		r.Path = string(r.PathBytes)
	}
	if r.Path == "" {
		r.Path = "/"
	}
	c.SetReadDeadline(time.Time{})
	if s.ctx.Err() != nil {
		return
	}
	gone := make(chan struct{})
	go func() { // ends with c, which serve closes, and is waited for
		defer close(gone)
		io.Copy(io.Discard, in)
		cancel()
	}()
	defer func() { c.Close(); <-gone }()

	result, err := s.handler(ctx, r, func(p any) {
		if b, err := json.Marshal(p); err == nil && s.send(c, frame{Progress: b}) != nil {
			cancel()
		}
	})
	if err != nil {
		s.send(c, frame{Error: err.Error()})
		return
	}
	b, err := json.Marshal(result)
	if err != nil {
		s.send(c, frame{Error: err.Error()})
		return
	}
	s.send(c, frame{Result: b})
}

func (s *Server) send(c net.Conn, f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = c.Write(append(b, '\n'))
	return err
}

// encodePath puts a path that JSON would change into PathBytes.
func (r *Request) encodePath() {
	if !utf8.ValidString(r.Path) {
		r.PathBytes, r.Path = []byte(r.Path), ""
	}
}
