package wire

import "time"

// LookNow lets the next look at whether passive mode works again be due.
func (t *Traits) LookNow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.modes.look = time.Time{}
}
