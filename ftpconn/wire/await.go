package wire

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// awaiting is somebody who waits for what the server says on an idle connection.
type awaiting struct {
	mu    sync.Mutex
	done  chan struct{} // nil: nobody; closed when the wait has ended
	spoke atomic.Bool
}

// Await prepares to wait until the server says something on an idle connection, or
// closes it, which the returned function does: true is that, false that Rouse or the
// connection's end came first. It is nil where the socket does not let itself be looked
// at. Until Rouse nobody else may use the connection, but for Quiet, Quit and Close.
func (c *Conn) Await() func() bool {
	sc, ok := c.raw.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	a := &c.await
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done != nil {
		return nil
	}
	done := make(chan struct{})
	a.done = done
	a.spoke.Store(false)
	c.raw.SetReadDeadline(time.Time{})
	return func() bool {
		defer close(done)
		err := rc.Read(func(fd uintptr) bool {
			var b [1]byte
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			return err != syscall.EAGAIN && err != syscall.EINTR
		})
		if err == nil {
			a.spoke.Store(true)
		}
		return err == nil
	}
}

// Rouse ends the wait, if there is one.
func (c *Conn) Rouse() {
	a := &c.await
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		return
	}
	c.raw.SetReadDeadline(time.Unix(1, 0))
	<-a.done
	a.done = nil
	c.raw.SetReadDeadline(time.Time{})
}

// awaited reports whether somebody waits, and whether the server spoke.
func (c *Conn) awaited() (waits, spoke bool) {
	a := &c.await
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done != nil, a.spoke.Load()
}
