package wire

import "time"

// LookNow lets the next look at whether passive mode works again be due.
func (t *Traits) LookNow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.modes.look = time.Time{}
}

// SetTimeout sets how long a step may take from now on. The goroutine that uses the connection calls it.
func (c *Conn) SetTimeout(d time.Duration) { c.cfg.Timeout = d }
