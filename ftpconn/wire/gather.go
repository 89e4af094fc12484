package wire

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// On a line each packet wakes who reads, some ten thousand times a second, for a few bytes each time.
// So a download that has shown that it is a large one waits until a piece has gathered that is worth
// a step: before that the socket wakes nobody (SO_RCVLOWAT), but for the end of the connection.
const (
	gatherFrom = 64 << 10              // bytes of the download before that
	gatherMost = 256 << 10             // bytes of a piece
	gatherTime = 10 * time.Millisecond // and how long its first bytes may wait for the last
	anyTime    = time.Duration(1 << 62)
)

// gatherer reads a socket in pieces.
type gatherer struct {
	raw    syscall.RawConn
	low    int   // the socket's SO_RCVLOWAT
	failed error // what ended the connection, behind the bytes that were given out last
}

// gathering is nil for what is not just a socket.
func gathering(nc net.Conn) *gatherer {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return &gatherer{raw: raw, low: 1}
}

// read waits until p is full, a piece has gathered or the connection has ended, or else for the
// socket's deadline. Then it may return nothing.
func (g *gatherer) read(p []byte) (n int, err error) {
	if g.failed != nil {
		return 0, g.failed
	}
	_ = g.raw.Read(func(fd uintptr) bool {
		for n < len(p) {
			k, err := unix.Read(int(fd), p[n:])
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				if n < gatherMost {
					g.wakeAt(int(fd), min(len(p), gatherMost)-n)
				}
				return n >= gatherMost
			case err != nil: // the socket says it once
				g.failed = os.NewSyscallError("read", err)
				return true
			case k == 0:
				g.failed = io.EOF
				return true
			default:
				n += k
			}
		}
		return true
	})
	if n > 0 {
		return n, nil
	}
	return 0, g.failed
}

// wakeAt has the socket wake who reads once n bytes are there. Where it cannot, it wakes sooner.
func (g *gatherer) wakeAt(fd, n int) {
	if g.low != n && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, n) == nil {
		g.low = n
	}
}

// pull reads a socket: what has gathered, or, when that takes long, what there is.
func (g *gatherer) pull(p []byte, nc net.Conn, arm func(most time.Duration)) (int, error) {
	arm(gatherTime)
	if n, err := g.read(p); n > 0 || err != nil {
		return n, err
	}
	_ = g.raw.Control(func(fd uintptr) { g.wakeAt(int(fd), 1) })
	arm(anyTime)
	return nc.Read(p)
}

// receive reads what comes of a download: the first of it as it comes, then what has gathered.
func (d *Data) receive(p []byte) (int, error) {
	large := d.n >= gatherFrom && !d.upload && len(p) > 0
	if d.paced != nil {
		d.paced.large = large
		return d.records(p)
	}
	arm := func(most time.Duration) { d.c.armFlow(d.nc, min(most, d.patience())) }
	if large && d.gather == nil {
		d.gather = gathering(d.raw)
	}
	if large && d.gather != nil {
		return d.gather.pull(p, d.nc, arm)
	}
	arm(anyTime)
	return d.nc.Read(p)
}
