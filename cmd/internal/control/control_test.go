package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/cache"
)

func serve(t *testing.T, h Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(h)
	t.Cleanup(func() { s.Close(0) })
	return path
}

func TestCall(t *testing.T) {
	path := serve(t, func(_ context.Context, r Request, progress func(any)) (any, error) {
		if r.Op == OpRetry {
			return nil, errors.New("no such file")
		}
		progress(cache.Progress{Files: 3, FilesDone: 1})
		progress(cache.Progress{Files: 3, FilesDone: 2})
		return Count{Files: len(r.Path), Kept: string(r.Op)}, nil
	})
	var lines []string
	var got Count
	odd := "/caf\xe9"
	err := Call(t.Context(), path, Request{Op: OpDiscard, Path: odd}, func(p json.RawMessage) { lines = append(lines, string(p)) }, &got)
	if err != nil || got.Files != len(odd) || got.Kept != "discard" || len(lines) != 2 {
		t.Errorf("got %+v, %v, progress %q", got, err, lines)
	}
	var a *Answer
	if err := Call(t.Context(), path, Request{Op: OpRetry}, nil, nil); !errors.As(err, &a) || a.Text != "no such file" {
		t.Errorf("the daemon's error came as %v", err)
	}
}

func TestClientGoingAwayEndsItsRequest(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	path := serve(t, func(ctx context.Context, _ Request, _ func(any)) (any, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if err := Call(ctx, path, Request{Op: OpSync}, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestCloseEndsRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	s.Serve(func(ctx context.Context, _ Request, _ func(any)) (any, error) {
		close(began)
		<-ctx.Done()
		return nil, errors.New("ending")
	})
	idle, err := net.Dial("unix", path) // says nothing, and must not hold Close up
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	got := make(chan error, 1)
	go func() { got <- Call(context.Background(), path, Request{Op: OpSync}, nil, nil) }()
	<-began
	s.Close(0)
	if err := <-got; err == nil || !strings.Contains(err.Error(), "ending") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := Call(t.Context(), path, Request{}, nil, nil); err != ErrGone {
		t.Errorf("after Close: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x-1.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, "", slog.Default()); err == nil {
		t.Fatal("a living socket was taken over")
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if err := Call(t.Context(), path, Request{}, nil, nil); err != ErrGone {
		t.Errorf("a stale socket: %v", err)
	}
	s, err := Listen(filepath.Join(dir, "x-2.sock"), filepath.Join(dir, "x-*.sock"), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(nil)
	defer s.Close(0)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the stale socket beside ours was left")
	}
}

func TestRubbishIsAnswered(t *testing.T) {
	path := serve(t, func(context.Context, Request, func(any)) (any, error) {
		t.Error("rubbish reached the handler")
		return nil, nil
	})
	for _, text := range []string{"hello\n", "{\"op\":1}\n", strings.Repeat("x", 2*maxRequest)} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		go c.Write([]byte(text))
		line, _ := bufio.NewReader(c).ReadString('\n')
		if !strings.Contains(line, `"error"`) && len(text) < maxRequest {
			t.Errorf("%.20q got %q", text, line)
		}
		c.Close()
	}
}
