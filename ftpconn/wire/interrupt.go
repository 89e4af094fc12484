package wire

import (
	"context"
	"net"
	"time"
)

// Bind makes every step end with ctx until the returned function is called.
// An interrupt in the middle of a dialogue condemns the connection; one that
// comes after it leaves no trace. While a download goes on it ends only its data: who reads
// is to Finish the transfer, which takes haltWait three times at most (a first byte, its reply, and that to a
// question behind it), and the connection lives.
func (c *Conn) Bind(ctx context.Context) (unbind func()) {
	c.mu.Lock()
	c.bound++
	n := c.bound
	c.ctx = ctx
	c.stopped, c.halted = false, false
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bound != n {
			return
		}
		switch {
		case !c.flowing:
			c.stopLocked()
		case c.data != nil:
			c.halted = true
			c.data.SetDeadline(past)
		default: // its reply is awaited already
			c.halted = true
			c.raw.SetDeadline(time.Now().Add(haltWait))
		}
	})
	return func() {
		stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bound == n {
			c.bound++
			c.ctx, c.stopped, c.halted = nil, false, false
		}
	}
}

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

func (c *Conn) stopLocked() {
	c.stopped = true
	if c.giveUp != nil {
		c.giveUp()
	}
	c.raw.SetDeadline(past)
	if c.data != nil {
		c.data.SetDeadline(past)
	}
}

// haltWait is how long what ends a download may take once somebody has lost patience.
const haltWait = 2 * time.Second

// arm gives nc the timeout from now on, or none at all once stopped.
func (c *Conn) arm(nc net.Conn, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		nc.SetDeadline(past)
		return
	}
	if c.halted {
		d = min(d, haltWait)
	}
	nc.SetDeadline(time.Now().Add(d))
}

// armFlow is arm for the data of a download.
func (c *Conn) armFlow(nc net.Conn, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.halted {
		nc.SetDeadline(past)
		return
	}
	nc.SetDeadline(time.Now().Add(d))
}

// attach makes nc the data socket that interrupts reach.
func (c *Conn) attach(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = nc
	if c.stopped && nc != nil {
		nc.SetDeadline(past)
	}
}

// flow says that from now on nothing is awaited but the data of a download and the reply
// that ends it; or nothing of that any more.
func (c *Conn) flow(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flowing = on && !c.stopped
}

// inDownload says that a download has begun, and not ended.
func (c *Conn) inDownload() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flowing
}

// context of the present binding.
func (c *Conn) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		return context.Background()
	}
	return c.ctx
}

// cause of an interrupt: the context's end, or Interrupt.
func cause(ctx context.Context) error {
	if ctx != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return context.Canceled
}

// Interrupt ends whatever step is under way, as a cancelled context would, and
// condemns the connection. Any goroutine may call it.
func (c *Conn) Interrupt() {
	c.condemn(&Error{Fault: Stopped, Step: "interrupt", Err: context.Canceled})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked()
}

func (c *Conn) interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

func (c *Conn) halting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.halted
}
