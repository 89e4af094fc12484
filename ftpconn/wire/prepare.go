package wire

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// preparedAge is how long a data connection may wait for its command: one
// server no longer answers a transfer on a connection that waited 16 seconds.
const preparedAge = 4 * time.Second

// coming is the data connection of the next transfer, made before its command. It is
// connected to while other commands go on, and belongs to who uses the Conn.
type coming struct {
	told   time.Time // when the server told its port
	cancel context.CancelFunc
	done   chan struct{} // closed when nc or err is there

	mu      sync.Mutex
	nc      net.Conn
	err     error
	dropped bool
}

// arrived is a connection that stands already.
func arrived(nc net.Conn) *coming {
	w := &coming{told: time.Now(), cancel: func() {}, done: make(chan struct{}), nc: nc}
	close(w.done)
	return w
}

// comeTo connects to port in the background, for as long as a data connection may take.
func (c *Conn) comeTo(port int) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience())
	w := &coming{told: time.Now(), cancel: cancel, done: make(chan struct{})}
	c.prepared = w
	c.mu.Lock()
	c.giveUp = cancel
	c.mu.Unlock()
	go func() {
		defer cancel()
		defer close(w.done)
		nc, err := c.reach(ctx, port)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.nc, w.err = nc, err; w.dropped && nc != nil {
			nc.Close()
		}
	}()
}

// drop ends it, whether it stands or not.
func (w *coming) drop() {
	w.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped = true; w.nc != nil {
		w.nc.Close()
	}
}

// Prepare makes the data connection of the next transfer now, while nobody
// waits. It does nothing in active mode, but to look now and then whether passive mode
// works again, where passive mode is not yet proven, or where the server was shown not to
// stand it. After an error the connection
// is condemned.
func (c *Conn) Prepare() error {
	if m, _ := c.mode(); m == Active {
		if c.cfg.Auto {
			return c.homeward()
		}
		return nil
	}
	if c.nextPort() == "" {
		return nil
	}
	nc, refused, err := c.openPassive()
	c.attach(nil)
	if err != nil {
		return err
	}
	if refused.Code != 0 {
		c.cfg.Traits.Prepared(Off)
		return nil
	}
	c.prepared = arrived(nc)
	return nil
}

// Prepared says that the data connection of the next transfer stands or is being made.
func (c *Conn) Prepared() bool { return c.prepared != nil }

// takePrepared returns the prepared connection if it still stands, or comes within the
// time that any may take. The error is that this was waited for in vain: another one would not be made either.
func (c *Conn) takePrepared() (net.Conn, error) {
	w := c.prepared
	c.prepared = nil
	if w == nil {
		return nil, nil
	}
	if time.Since(w.told) > preparedAge {
		w.drop()
		return nil, nil
	}
	select {
	case <-w.done:
	case <-c.context().Done():
		w.drop()
		return nil, c.context().Err()
	}
	if w.err != nil {
		c.trace("! no data connection beforehand: " + w.err.Error())
		if timedOut(w.err) || errors.Is(w.err, context.DeadlineExceeded) {
			return nil, w.err
		}
		return nil, nil
	}
	if pending(w.nc) {
		w.nc.Close()
		return nil, nil
	}
	c.attach(w.nc)
	return w.nc, nil
}

// Drop closes a prepared data connection that nobody came for.
func (c *Conn) Drop() {
	if c.prepared != nil {
		c.prepared.drop()
		c.prepared = nil
	}
}
