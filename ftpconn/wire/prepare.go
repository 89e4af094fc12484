package wire

import (
	"net"
	"time"
)

// preparedAge is how long a data connection may wait for its command: one
// server no longer answers a transfer on a connection that waited 16 seconds.
const preparedAge = 4 * time.Second

// Prepare makes the data connection of the next transfer now, while nobody
// waits. It does nothing in active mode, but to look now and then whether passive mode
// works again, where passive mode is not yet proven, or where the server was shown not to
// stand it. After an error the connection
// is condemned.
func (c *Conn) Prepare() error {
	tr := c.cfg.Traits
	if m, _ := c.mode(); m == Active {
		if c.cfg.Auto {
			return c.homeward()
		}
		return nil
	}
	if c.prepared != nil || tr.get(&tr.prepared) == Off ||
		tr.get(&tr.epsv) != Proven && tr.get(&tr.pasv) != Proven {
		return nil
	}
	nc, refused, err := c.openPassive()
	c.attach(nil)
	if err != nil {
		return err
	}
	if refused.Code != 0 {
		tr.Prepared(Off)
		return nil
	}
	c.prepared, c.ready = nc, time.Now()
	return nil
}

// takePrepared returns the prepared connection if it still stands.
func (c *Conn) takePrepared() net.Conn {
	nc := c.prepared
	c.prepared = nil
	if nc == nil {
		return nil
	}
	if time.Since(c.ready) > preparedAge || pending(nc) {
		nc.Close()
		return nil
	}
	c.attach(nc)
	return nc
}

// Drop closes a prepared data connection that nobody came for.
func (c *Conn) Drop() {
	if c.prepared != nil {
		c.prepared.Close()
		c.prepared = nil
	}
}
