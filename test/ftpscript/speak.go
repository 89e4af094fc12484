package ftpscript

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Speak is a bad way to say a reply, which it gets with its line ends. It writes to
// the control connection and reports whether the session goes on: if not, the
// connection is closed.
type Speak func(w io.Writer, reply string) bool

// Twice says it twice.
func Twice(w io.Writer, reply string) bool { return Raw(reply+reply)(w, "") }

// Cut says the first n bytes and closes.
func Cut(n int) Speak {
	return func(w io.Writer, reply string) bool {
		_, _ = io.WriteString(w, reply[:min(n, len(reply))])
		return false
	}
}

// Part says the first n bytes and then nothing more.
func Part(n int) Speak {
	return func(w io.Writer, reply string) bool {
		_, err := io.WriteString(w, reply[:min(n, len(reply))])
		return err == nil
	}
}

// Raw says something else, byte for byte.
func Raw(text string) Speak {
	return func(w io.Writer, _ string) bool {
		_, err := io.WriteString(w, text)
		return err == nil
	}
}

// Endless says first, and then chunk for as long as somebody takes it.
func Endless(first, chunk string) Speak {
	return func(w io.Writer, _ string) bool {
		more := strings.Repeat(chunk, 1+(32<<10)/len(chunk))
		_, err := io.WriteString(w, first)
		for err == nil {
			_, err = io.WriteString(w, more)
		}
		return false
	}
}

// Drip says it byte by byte, with a pause after each.
func Drip(pause time.Duration) Speak {
	return func(w io.Writer, reply string) bool {
		for i := range len(reply) {
			if _, err := io.WriteString(w, reply[i:i+1]); err != nil {
				return false
			}
			time.Sleep(pause)
		}
		return true
	}
}

// Closed returns a loopback port that refuses connections until the test ends: it is
// bound, so that nobody else gets it, and nothing listens.
func Closed(t testing.TB) (port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*syscall.SockaddrInet4).Port
}

// Filtered returns a loopback port, until the test ends, on which an attempt to
// connect is neither accepted nor refused, as behind a firewall that drops packets.
func Filtered(t testing.TB) (port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = syscall.Listen(fd, 0) // one connection fits, and the kernel drops what comes after
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port = name.(*syscall.SockaddrInet4).Port
	for {
		nc, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), 200*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { nc.Close() })
	}
}
