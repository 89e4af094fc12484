package wire

import "errors"

// What follows a short upload, the questions before a rename, may go in its segment too, where the upload goes
// with its command (pour.go): with the port of the next data connection a file then costs two round trips, one of them
// the rename. The server answers when it is done with the upload. As behind a download, all must have come when the
// server looks for commands during the transfer: ProFTPD refuses what it finds then, and Pure-FTPd drops it.

// trails says whether Transfer.Behind goes along: where all else is proven, so that it is clear what failed,
// and the whole segment is read at once.
func (d *dialogue) trails() bool {
	tr := d.c.cfg.Traits
	d.trailT, d.eagerT = tr.get(&tr.trail), tr.get(&tr.eager)
	if len(d.t.Behind) == 0 || d.trailT == Off || d.eagerT != Proven || d.segments != Proven || !d.pours() {
		return false
	}
	n := len(d.t.Verb) + 2
	for _, cmd := range d.t.Behind {
		n += len(cmd) + 2
	}
	return n+len("EPSV\r\n") <= mostAhead
}

// trailing is what goes behind the upload, the question for a port first: the connection is made
// while the rest is answered.
func (d *dialogue) trailing() []string {
	c := d.c
	if c.port = c.nextPort(); c.port != "" {
		c.trail = append(c.trail, c.port)
	}
	c.trail = append(c.trail, d.t.Behind...)
	d.trailed = true
	return c.trail
}

// Trailed returns the replies to Transfer.Behind of the last transfer; nil if it was not sent, or not
// answered to its end.
func (c *Conn) Trailed() []Reply { return c.trailed }

// trailers reads the replies to what went behind an upload that ended with r. What goes wrong costs the
// connection and the answers, and not the upload, unless r may be an answer to something else.
func (c *Conn) trailers(verb string, r Reply) error {
	cmds, port := c.trail, c.port
	if c.trail, c.port = nil, ""; len(cmds) == 0 {
		return nil
	}
	tr := c.cfg.Traits
	if meanwhile(r) || r.OK() && !ends(r) {
		tr.untrail()
		c.trace("! an upload with commands behind it was refused, or they were")
		return c.condemn(&Error{Fault: Surprise, Step: verb, Sent: true, Reply: r})
	}
	replies := make([]Reply, 0, len(cmds))
	for _, cmd := range cmds {
		c.wait = min(trialWait, c.cfg.Timeout/3)
		reply, err := c.readFor(cmd)
		c.wait = 0
		if err == nil && r.OK() && (reply.Code == 450 || reply.Code == 503) {
			err = c.condemn(&Error{Fault: Garbage, Step: verbOf(cmd), Sent: true, Reply: reply, Err: errors.New("refused as a transfer was under way")})
		}
		if err != nil {
			if e := FaultOf(err); e != nil && e.Fault != Stopped && e.Fault != Local {
				tr.untrail()
				c.trace("! a command in one segment with an upload was not answered")
			}
			return nil // the end of the upload is known
		}
		if cmd == port {
			c.Come(cmd, reply)
			port = ""
			continue
		}
		replies = append(replies, reply)
	}
	if err := c.check(verbOf(cmds[len(cmds)-1])); err != nil { // one reply too many
		tr.untrail()
		return nil
	}
	if r.OK() {
		tr.trailed()
		c.trailed = replies
	}
	return nil
}

// trailLost notes that an upload with commands behind it did not come to an end that is known, which may be owed to them.
func (c *Conn) trailLost(err error) {
	e := FaultOf(err)
	if len(c.trail) == 0 || e == nil || e.Fault == Stopped || e.Fault == Local {
		return
	}
	c.cfg.Traits.untrail()
	c.trace("! an upload with commands behind it did not end")
}

// untrail notes that commands behind an upload failed.
func (t *Traits) untrail() { t.strike(&t.trail, &t.stumbled) }

// trailed notes that they worked.
func (t *Traits) trailed() {
	t.mu.Lock()
	t.stumbled = 0
	t.mu.Unlock()
	t.learn(&t.trail, Proven)
}
