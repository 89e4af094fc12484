package ftpconn

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
)

// endlessly repeats a line.
type endlessly struct {
	line string
	n    int64
}

func (e *endlessly) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.line) <= len(p) {
		n += copy(p[n:], e.line)
	}
	e.n += int64(n)
	return n, nil
}

func nothing(string) error { return nil }

func smallBounds(all *atomic.Int64) *bounds {
	return &bounds{lines: 1000, bytes: 1 << 20, all: all, most: 1 << 30,
		until: func(int) time.Time { return time.Now().Add(time.Hour) }}
}

// A listing without end ends, whatever its lines are.
func TestListingWithoutEnd(t *testing.T) {
	for _, line := range []string{"\r\n", strings.Repeat("x", 50_000) + "\r\n"} {
		src := &endlessly{line: line}
		err := scan(src, smallBounds(new(atomic.Int64)), nothing)
		if !errors.As(err, new(tooMuch)) {
			t.Errorf("%.10q: %v", line, err)
		}
		if src.n > 2<<20 {
			t.Errorf("%.10q: read %d bytes", line, src.n)
		}
	}
	if err := scan(bytes.NewReader([]byte("a\r\nb\n")), smallBounds(new(atomic.Int64)), nothing); err != nil {
		t.Error(err)
	}
}

// Many listings at once hold no more than one may, and what one held is free again
// when it is done.
func TestListingsTogether(t *testing.T) {
	var all atomic.Int64
	first := smallBounds(&all)
	first.most = 700 * perEntry
	if err := scan(strings.NewReader(strings.Repeat("a\n", 500)), first, nothing); err != nil {
		t.Fatal(err)
	}
	second := smallBounds(&all)
	second.most = first.most
	if err := scan(strings.NewReader(strings.Repeat("a\n", 500)), second, nothing); !remote.Is(err, remote.Temporary) {
		t.Errorf("a second listing beside the first: %v", err)
	}
	second.giveBack()
	first.giveBack()
	if n := all.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// dripping gives a line each so often, for ever.
type dripping struct{ pause time.Duration }

func (d dripping) Read(p []byte) (int, error) {
	time.Sleep(d.pause)
	return copy(p, "a\r\n"), nil
}

// A listing that comes a line at a time, each within the timeout, ends: nobody can
// wait for a year. One that is merely slow is read.
func TestListingTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{cfg: Config{Timeout: 30 * time.Second}}
		from := time.Now()
		err := scan(dripping{20 * time.Second}, s.budget(), nothing)
		if !remote.Is(err, remote.Timeout) || time.Since(from) > 10*time.Minute {
			t.Errorf("after %v: %v", time.Since(from), err)
		}
		if err = scan(dripping{5 * time.Millisecond}, s.budget(), nothing); !errors.As(err, new(tooMuch)) {
			t.Errorf("one of 600 bytes a second: %v", err)
		}
	})
}

// A listing that was too long is not fetched again at once, and not never.
func TestTooLongIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v server
		for i := range 3 * maxTooLong {
			v.noteTooLong(fmt.Sprint(i), tooMuch("too long"))
		}
		v.noteTooLong("/d", tooMuch("too long"))
		if len(v.long) > maxTooLong {
			t.Errorf("%d directories remembered", len(v.long))
		}
		if err := v.tooLong("/d"); !remote.Is(err, remote.Protocol) {
			t.Errorf("asked again at once: %v", err)
		}
		time.Sleep(tooLongMemory + time.Second)
		if err := v.tooLong("/d"); err != nil {
			t.Errorf("never asked again: %v", err)
		}
	})
}
