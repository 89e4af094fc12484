package link

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// linkTimeout is more than a connection over a line needs.
const linkTimeout = 10 * time.Second

// peer is a server at the far end: it sends back what it gets, or, with 's' as
// its first byte, sends as much as it can.
func peer(t *testing.T, l *Link) (address string) {
	t.Helper()
	var ln net.Listener
	err := l.Far.Do(func() (err error) {
		ln, err = net.Listen("tcp4", net.JoinHostPort(l.Far.Host, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				first := make([]byte, 1)
				if _, err := io.ReadFull(c, first); err != nil {
					return
				}
				if first[0] != 's' {
					_, _ = c.Write(first)
					_, _ = io.Copy(c, c)
					return
				}
				for block := make([]byte, 1<<16); err == nil; {
					_, err = c.Write(block)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func dial(t *testing.T, l *Link, address string, first byte) (net.Conn, error) {
	t.Helper()
	var c net.Conn
	err := l.Near.Do(func() (err error) {
		c, err = net.DialTimeout("tcp4", address, linkTimeout)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte{first})
	return c, err
}

// echo sends a byte and waits for it.
func echo(c net.Conn) error {
	b := []byte{'x'}
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

// A line is never faster than it says; on a machine that has a moment for it, it
// is not more than a few percent slower either. So the best of many tries counts.
func TestTheLineIsAsSlowAsItSays(t *testing.T) {
	const rtt, rate = 20 * time.Millisecond, 200e6
	l := New(t, Options{RTT: rtt, Rate: rate})
	address := peer(t, l)

	c, err := dial(t, l, address, 'e')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	best := time.Hour
	for i := 0; i < 100 && (i < 20 || best > rtt*104/100); i++ {
		begun := time.Now()
		if err := echo(c); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(begun))
	}
	if best < rtt || best > rtt*105/100 {
		t.Errorf("a byte went there and back in %v at best, want %v and at most 5 %% more", best, rtt)
	}

	if c, err = dial(t, l, address, 's'); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // until the test's end closes it
	fastest := 0.0
	begun := time.Now()
	_, before := l.Stats()
	for i := 0; i < 40 && (i < 4 || fastest < rate*0.98); i++ {
		<-time.After(250 * time.Millisecond)
		next := time.Now()
		_, now := l.Stats()
		took := time.Since(begun) // from before one count to after the other: whoever is held up between them finds the line no faster
		fastest = max(fastest, float64(now.Bytes-before.Bytes)*8/took.Seconds())
		before, begun = now, next
	}
	toFar, toNear := l.Stats()
	t.Logf("round trip %v; %.1f Mbit/s; carried %+v there, %+v back", best, fastest/1e6, toFar, toNear)
	if fastest < rate*0.95 || fastest > rate*1.05 {
		t.Errorf("%.1f Mbit/s at best, want %.1f", fastest/1e6, rate/1e6)
	}
	if toFar.Packets == 0 || toNear.Overflow == 0 {
		t.Errorf("carried %+v there, %+v back: want bytes, and a full queue's losses", toFar, toNear)
	}
}

// The rate is an upper bound over any stretch, whatever the machine is doing.
func TestTheLineIsNeverFasterThanItsRate(t *testing.T) {
	const rate = 40e6
	l := New(t, Options{RTT: 10 * time.Millisecond, Rate: rate})
	c, err := dial(t, l, peer(t, l), 's')
	if err != nil {
		t.Fatal(err)
	}
	_, before := l.Stats()
	begun := time.Now()
	if _, err := io.CopyN(io.Discard, c, 5<<20); err != nil {
		t.Fatal(err)
	}
	_, after := l.Stats()
	took := time.Since(begun)
	// What was in the queue when the clock started may be added.
	if got := float64(after.Bytes-before.Bytes) * 8; got > rate*took.Seconds()+8*(64<<10)+1500*8 {
		t.Errorf("%.0f bits in %v: more than %.0f bits a second", got, took, float64(rate))
	}
	if took < 5<<20*8*time.Second/rate {
		t.Errorf("5 MiB in %v, faster than the line", took)
	}
}

// A silent link tells nobody: what waits goes on waiting, and what was sent
// arrives when the link is back, by TCP's own doing.
func TestASilentLinkLosesPacketsAndTellsNobody(t *testing.T) {
	l := New(t, Options{RTT: 2 * time.Millisecond})
	address := peer(t, l)
	c, err := dial(t, l, address, 'e')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l.Silence()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatalf("write into a silent link: %v, want that it is taken", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read from a silent link: %v, want nothing until the deadline", err)
	}
	toFar, _ := l.Stats()
	if toFar.Silenced == 0 {
		t.Error("no packet was lost")
	}
	l.Restore()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("after the silence: %v, want what had been sent", err)
	}
}

// A cut link is known to the system: no way to the other end, at once.
func TestACutLinkIsAnErrorAtOnce(t *testing.T) {
	l := New(t, Options{RTT: 2 * time.Millisecond})
	address := peer(t, l)
	l.Cut()
	if _, err := dial(t, l, address, 'e'); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("dial over a cut link: %v, want ENETUNREACH", err)
	}
	l.Restore()
	c, err := dial(t, l, address, 'e')
	if err != nil {
		t.Fatalf("dial over a restored link: %v", err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// What is started in a side's network is found there if it stays.
func TestWhoStaysAtAnEndIsNamed(t *testing.T) {
	l := New(t, Options{})
	if left := l.Far.inhabitants(); len(left) > 0 {
		t.Fatalf("at the far end: %q, want nobody", left)
	}
	stay := exec.Command("sleep", "60")
	err := l.Far.Do(stay.Start)
	if err != nil {
		t.Fatal(err)
	}
	if left := l.Far.inhabitants(); len(left) != 1 {
		t.Errorf("at the far end: %q, want sleep", left)
	}
	if left := l.Near.inhabitants(); len(left) != 0 {
		t.Errorf("at the near end: %q, want nobody", left)
	}
	_ = stay.Process.Kill()
	_ = stay.Wait()
}
