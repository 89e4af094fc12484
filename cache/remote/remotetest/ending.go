package remotetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"ftpfs/cache/remote"
)

// every calls each operation with a context, on names that are there.
func (s *suite) every(ctx context.Context, check func(op string, err error)) {
	mode := uint32(0o644)
	_, err := s.Store.List(ctx, "/")
	check("list", err)
	_, err = s.Store.Stat(ctx, "/file")
	check("stat", err)
	_, err = s.read(ctx, "/file", 0)
	check("open and read", err)
	check("write", s.Store.Write(ctx, "/new", strings.NewReader("x"), 0, 1))
	_, err = s.Store.Publish(ctx, "/file", remote.Publish{Path: "/new", Size: 100, Force: true})
	check("publish", err)
	check("rename", s.Store.Rename(ctx, "/file", "/new"))
	check("remove", s.Store.Remove(ctx, "/file"))
	check("mkdir", s.Store.Mkdir(ctx, "/new"))
	check("rmdir", s.Store.Rmdir(ctx, "/dir"))
	check("setattr", s.Store.SetAttr(ctx, "/file", remote.Attr{Mode: &mode}))
}

func (s *suite) cancel() {
	s.mkdirs("/dir")
	s.put("/file", content(100))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	s.every(ctx, func(op string, err error) {
		s.fails(err, op+" with a context that has ended", remote.Canceled)
	})
	s.holds("/file", content(100))
	s.has("/", "file", "dir")
}

func (s *suite) cancelTransfer() {
	data := content(16 << 20)
	s.put("/file", data)
	for _, n := range []int{0, 1, 1 << 20} {
		ctx, cancel := context.WithCancel(s.ctx)
		r, err := s.Store.Open(ctx, "/file", 0, nil)
		s.ok(err, "open")
		if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
			s.t.Errorf("read: %v", err)
		}
		cancel()
		rest, err := io.ReadAll(r)
		s.fails(err, fmt.Sprintf("read after its context ended (%d bytes more came)", len(rest)), remote.Canceled)
		if !bytes.HasPrefix(data[n:], rest) {
			s.t.Errorf("what came after the cancellation is not from the file")
		}
		_ = r.Close()
		s.usable()

		ctx, cancel = context.WithCancel(s.ctx)
		err = s.Store.Write(ctx, "/upload", &endless{after: n, then: cancel}, 0, -1)
		s.fails(err, fmt.Sprintf("write whose context ended after %d bytes", n), remote.Canceled)
		cancel()
		s.usable()
	}
	s.holds("/file", data)
}

// endless gives bytes without end and calls then after some.
type endless struct {
	after int
	then  func()
}

func (e *endless) Read(p []byte) (int, error) {
	p = p[:min(len(p), 8192)]
	e.after -= len(p)
	if e.after < 0 {
		e.then()
	}
	return len(p), nil
}

// frozen: a server that answers nothing holds nobody longer than a context does.
func (s *suite) frozen() {
	if s.Freeze == nil {
		s.t.Skip("this server cannot be frozen")
	}
	s.mkdirs("/dir")
	s.put("/file", content(100))
	// Read once: vsftpd gives up its lock on an uploaded file after the 226. Stopped
	// before that, it never does (its parent process waits for a child that was
	// stopped as if it had ended), and whoever reads that file waits for the lock.
	s.holds("/file", content(100))
	s.Freeze()
	thaw := sync.OnceFunc(s.Thaw)
	defer thaw()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
			defer cancel()
			_, err := s.Store.List(ctx, "/")
			s.fails(err, "list on a frozen server", remote.Canceled, remote.Timeout, remote.Down)
			_, err = s.Store.Stat(ctx, "/file")
			s.fails(err, "stat on a frozen server", remote.Canceled, remote.Timeout, remote.Down)
		})
	}
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
		defer cancel()
		_, err := s.read(ctx, "/file", 0)
		s.fails(err, "read on a frozen server", remote.Canceled, remote.Timeout, remote.Down)
	})
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
		defer cancel()
		err := s.Store.Write(ctx, "/upload", strings.NewReader("x"), 0, 1)
		s.fails(err, "write on a frozen server", remote.Canceled, remote.Timeout, remote.Down)
	})
	wg.Wait()
	thaw()
	s.holds("/file", content(100))
}

// parallel: everything at once, as many programs in one mount do.
func (s *suite) parallel() {
	shared := content(2 << 20)
	s.put("/shared", shared)
	s.mkdirs("/dir")
	var wg sync.WaitGroup
	var names []string
	for i := range 12 {
		name := fmt.Sprintf("file %d", i)
		names = append(names, name)
		wg.Go(func() {
			path, data := "/dir/"+name, content(100_000+i)
			for range 3 {
				if err := s.Store.Write(s.ctx, path+".tmp", bytes.NewReader(data), 0, int64(len(data))); err != nil {
					s.t.Errorf("write %s: %v", path, err)
					return
				}
				if _, err := s.Store.Publish(s.ctx, path+".tmp", remote.Publish{Path: path, Size: int64(len(data))}); err != nil {
					s.t.Errorf("publish %s: %v", path, err)
					return
				}
				at := i * 100_000
				if got, err := s.read(s.ctx, "/shared", int64(at)); err != nil || !bytes.Equal(got, shared[at:]) {
					s.t.Errorf("read /shared from %d beside others: %s, %v", at, brief(got), err)
				}
				if list, err := s.Store.List(s.ctx, "/"); err != nil || len(list) != 2 {
					s.t.Errorf("list / beside others: %d entries, %v", len(list), err)
				}
				if got, err := s.read(s.ctx, path, 0); err != nil || !bytes.Equal(got, data) {
					s.t.Errorf("read %s: %s, %v", path, brief(got), err)
				}
				if err := s.Store.Remove(s.ctx, path); err != nil {
					s.t.Errorf("remove %s: %v", path, err)
				}
			}
			if err := s.Store.Mkdir(s.ctx, path); err != nil {
				s.t.Errorf("mkdir %s: %v", path, err)
			}
		})
	}
	wg.Wait()
	s.has("/dir", names...)
	s.holds("/shared", shared)
}

func (s *suite) close() {
	s.mkdirs("/dir")
	s.put("/file", content(100))
	large := content(16 << 20)
	s.put("/large", large)
	r, err := s.Store.Open(s.ctx, "/large", 0, nil)
	s.ok(err, "open")
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		s.t.Errorf("read: %v", err)
	}
	for range 2 {
		if err := s.Store.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	}
	if _, err := io.ReadAll(r); err == nil {
		s.t.Errorf("read on after the store was closed: no error")
	} else {
		s.fails(err, "read after the store was closed", remote.Canceled)
	}
	_ = r.Close()
	s.every(s.ctx, func(op string, err error) {
		s.fails(err, op+" after the store was closed", remote.Canceled)
	})
	if s.Behind != nil {
		if got, err := s.Behind.ReadFile("/file"); err != nil || !bytes.Equal(got, content(100)) {
			s.t.Errorf("after close /file holds %s, %v", brief(got), err)
		}
	}
}
