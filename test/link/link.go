// Package link gives tests a slow line between two network namespaces of this
// machine: a server runs at the far end, the daemon under test at the near one,
// and a program carries the packets between a TUN device in each. The line has a
// round-trip time, a rate and a drop-tail queue; it can be silenced (packets are
// lost and nobody is told) or cut (the system sees that there is no way).
//
// The namespaces have no names. They live as long as somebody is in them or
// holds them open, so that nothing can be left behind, not even by a test that
// was killed. A process started in Side.Do is in that side's network and sees the
// same mounts as everybody else, which `ip netns exec` would not give it.
//
// It knows nothing of FTP. Link.mu is held while an order is with the carrier; a
// Side has no state that changes.
package link

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Options of a link; the zero value is 20 ms and 200 Mbit/s.
type Options struct {
	RTT   time.Duration // round-trip time without load
	Rate  int64         // bits a second in each direction, counted with IP headers
	Queue int64         // bytes that may wait for the line; 0: what it sends in one RTT, at least 64 KiB
}

// Link is a line, and the two networks at its ends.
type Link struct {
	Near, Far *Side

	tb      testing.TB
	carrier *exec.Cmd

	mu      sync.Mutex // guards what follows
	orders  io.WriteCloser
	answers *bufio.Scanner
}

// Stats are what happened in one direction.
type Stats struct {
	Packets, Bytes int64 // delivered
	Overflow       int64 // packets lost as the queue was full
	Silenced       int64 // packets lost because the link was silent or cut
	Late           int64 // nanoseconds: the most that a packet came after its time, since last asked
}

// New makes a link that lasts until the test ends. It skips the test where the
// machine does not allow it; with FTPFS_REQUIRE_ALL=1 it fails.
func New(t testing.TB, o Options) *Link {
	t.Helper()
	if err := available(); err != nil {
		if os.Getenv("FTPFS_REQUIRE_ALL") == "1" {
			t.Fatalf("no link, and FTPFS_REQUIRE_ALL=1: %v", err)
		}
		t.Skipf("SKIPPED link: %v", err)
	}
	l := &Link{tb: t}
	t.Cleanup(l.close)
	for _, side := range []struct {
		host string
		at   **Side
	}{{"10.213.0.1", &l.Near}, {"10.213.0.2", &l.Far}} {
		s, err := newSide(side.host)
		if err != nil {
			t.Fatalf("one end of a link: %v", err)
		}
		*side.at = s
	}
	if err := l.start(); err != nil {
		t.Fatalf("the carrier of a link: %v", err)
	}
	l.Shape(o)
	return l
}

// start builds and runs the carrier. It ends with our end of its standard input.
func (l *Link) start() error {
	program := filepath.Join(l.tb.TempDir(), "carrier")
	if out, err := exec.Command("go", "build", "-o", program, "ftpfs/test/link/carrier").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	l.carrier = exec.Command(program)
	l.carrier.ExtraFiles = []*os.File{l.Near.tun, l.Far.tun}
	l.carrier.Stderr = os.Stderr
	l.carrier.Env = append(os.Environ(), "GOMAXPROCS=4") // four threads wait in system calls
	orders, err := l.carrier.StdinPipe()
	if err != nil {
		return err
	}
	answers, err := l.carrier.StdoutPipe()
	if err != nil {
		return err
	}
	if err := l.carrier.Start(); err != nil {
		l.carrier = nil
		return err
	}
	l.orders, l.answers = orders, bufio.NewScanner(answers)
	return nil
}

// order has the carrier do something, and returns its answer.
func (l *Link) order(format string, args ...any) string {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	order := fmt.Sprintf(format, args...)
	_, err := fmt.Fprintln(l.orders, order)
	if err == nil && !l.answers.Scan() {
		err = errors.Join(l.answers.Err(), io.ErrUnexpectedEOF)
	}
	if err != nil {
		l.tb.Fatalf("the carrier of the link, asked to %s: %v", order, err)
	}
	return l.answers.Text()
}

func (l *Link) must(format string, args ...any) {
	l.tb.Helper()
	if answer := l.order(format, args...); answer != "ok" {
		l.tb.Fatalf("the carrier of the link: %s", answer)
	}
}

// Shape changes what the line is like, for packets sent from now on.
func (l *Link) Shape(o Options) {
	l.tb.Helper()
	if o.RTT == 0 {
		o.RTT = 20 * time.Millisecond
	}
	if o.Rate == 0 {
		o.Rate = 200e6
	}
	if o.Queue == 0 {
		o.Queue = max(64<<10, int64(o.RTT.Seconds()*float64(o.Rate)/8))
	}
	l.must("line %v %d %d", o.RTT, o.Rate, o.Queue)
}

// Silence loses every packet, those on their way too, and tells nobody: to both
// ends the other one has fallen silent.
func (l *Link) Silence() { l.tb.Helper(); l.must("drop") }

// Cut takes the devices at both ends down, as when a cable is pulled and the
// system sees it: what is sent fails at once.
func (l *Link) Cut() {
	l.tb.Helper()
	for _, s := range []*Side{l.Near, l.Far} {
		if err := s.Do(func() error { return setUp(device, false) }); err != nil {
			l.tb.Fatalf("cut the link at %s: %v", s.Host, err)
		}
	}
}

// Restore ends Silence and Cut.
func (l *Link) Restore() {
	l.tb.Helper()
	for _, s := range []*Side{l.Near, l.Far} {
		if err := s.Do(func() error { return setUp(device, true) }); err != nil {
			l.tb.Fatalf("restore the link at %s: %v", s.Host, err)
		}
	}
	l.must("pass")
}

// Stats tells what the carrier did in each direction.
func (l *Link) Stats() (toFar, toNear Stats) {
	l.tb.Helper()
	var both [2]Stats
	if err := json.Unmarshal([]byte(l.order("stats")), &both); err != nil {
		l.tb.Fatalf("statistics of the link: %v", err)
	}
	return both[0], both[1]
}

// close ends the carrier and lets go of the networks. The test fails if a process
// is still in one of them.
func (l *Link) close() {
	if l.carrier != nil {
		l.orders.Close()
		if err := l.carrier.Wait(); err != nil {
			l.tb.Errorf("the carrier of the link: %v", err)
		}
	}
	for _, s := range []*Side{l.Near, l.Far} {
		if s == nil {
			continue
		}
		if left := s.inhabitants(); len(left) > 0 {
			l.tb.Errorf("left at %s of the link: %v", s.Host, left)
		}
		s.close()
	}
}
