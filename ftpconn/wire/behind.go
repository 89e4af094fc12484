package wire

import (
	"errors"
	"time"
)

// The data connection of the next transfer costs two round trips, a question for its port and
// a connection to it. Where commands go anyway the question goes with them: in a batch
// (NextPort), and behind a short download, so that the port comes with its last byte.
// Then a connection carries a small file every second round trip.

// nextPort is the question for a port, "" where none is to be asked beforehand: one was,
// passive mode is not proven or not in use, or the server does not stand it.
func (c *Conn) nextPort() string {
	tr := c.cfg.Traits
	if c.prepared != nil && time.Since(c.prepared.told) > preparedAge {
		c.Drop()
	}
	if m, _ := c.mode(); m == Active || c.prepared != nil || tr.get(&tr.prepared) == Off || tr.faltering(Passive) {
		return ""
	}
	switch {
	case tr.get(&tr.epsv) == Proven:
		return "EPSV"
	case tr.get(&tr.epsv) == Off && tr.get(&tr.pasv) == Proven:
		return "PASV"
	}
	return ""
}

// NextPort returns the question for the port of the next data connection, to go along in a
// Batch, or "". Its reply is for Come.
func (c *Conn) NextPort() string {
	if c.cfg.Traits.get(&c.cfg.Traits.segments) == Off {
		return ""
	}
	return c.nextPort()
}

// Come begins to make the data connection whose port is told in the reply to cmd. What is no
// port is let go: the next transfer asks for itself. It reports whether it was one.
func (c *Conn) Come(cmd string, r Reply) bool {
	if r.Class() == 5 {
		c.cfg.Traits.Prepared(Off)
	}
	if !r.OK() {
		return false
	}
	port, err := parsePort(cmd, r.Text())
	if err != nil {
		return false
	}
	c.Drop()
	c.comeTo(port)
	return true
}

// mostAhead bounds the bytes of what goes in a segment with a question behind a download. A server that
// looks at what comes meanwhile, as ProFTPD does, has read the question then with the command
// before it, and does not look at it until it is done.
const mostAhead = recordBytes

// goesBehind is the question that may go behind this download, or "". It takes a server that has
// shown that it stands everything else first, so that it is clear what failed.
func (d *dialogue) goesBehind(opening string) string {
	tr := d.c.cfg.Traits
	if d.behindT = tr.get(&tr.behind); !d.t.Short || d.mode == Active || d.behindT == Off || d.segments != Proven || d.untried() {
		return ""
	}
	cmd := d.c.nextPort()
	n := len(opening) + 2 + len(cmd) + 2
	for _, c := range d.cmds {
		n += len(c) + 2
	}
	if n > mostAhead {
		return ""
	}
	return cmd
}

// behind reads the reply to the question behind a download that ended with r, and returns what
// ended the download: some answer the question first. It does nothing where no question was sent.
// After an error the connection is condemned, as it is when all that failed is the answer.
func (c *Conn) behind(verb string, r Reply) (Reply, error) {
	cmd := c.asked
	if c.asked = ""; cmd == "" {
		return r, nil
	}
	tr := c.cfg.Traits
	c.wait = min(trialWait, c.cfg.Timeout/3)
	other, err := c.readReply(cmd)
	c.wait = 0
	if e := FaultOf(err); e != nil {
		if e.Fault == Stalled || e.Fault == Lost || e.Fault == Garbage {
			tr.failed()
		}
		if told(cmd, r) || meanwhile(r) {
			return r, err
		}
		return r, nil // the end of the download is known
	}
	if told(cmd, r) || meanwhile(r) && ends(other) {
		r, other = other, r
	}
	switch {
	case told(cmd, other) && c.Come(cmd, other):
		if r.OK() {
			tr.learn(&tr.behind, Proven)
		}
	case other.Code == 425 && r.OK(): // no port is free
	case other.Class() >= 4 && !cuts(other): // refused, as a transfer was under way
		tr.learn(&tr.behind, Off)
	default: // which of them is the end, and what else is to come, nobody can say
		return r, c.condemn(&Error{Fault: Garbage, Step: cmd, Sent: true, Reply: other, Err: errors.New("an answer to something else")})
	}
	return r, nil
}

// told says that r answers cmd with a port.
func told(cmd string, r Reply) bool {
	return cmd == "EPSV" && r.Code == 229 || cmd == "PASV" && r.Code == 227
}

// ends says that r is the good end of a transfer, and cuts that it is a bad one.
func ends(r Reply) bool { return r.Code == 225 || r.Code == 226 || r.Code == 250 }
func cuts(r Reply) bool { return r.Code == 425 || r.Code == 426 || r.Code == 451 }

// meanwhile says that r may refuse a question because a transfer is under way.
func meanwhile(r Reply) bool {
	return r.Code == 450 || r.Code == 500 || r.Code == 501 || r.Code == 502 || r.Code == 503
}

// failed notes a download with a question behind it that failed.
func (t *Traits) failed() { t.strike(&t.behind, &t.struck) }

// unbehind gives up the trick, which is on trial, and makes err its fault: what was done
// is done again without it.
func (c *Conn) unbehind(verb string, r Reply, err error) error {
	if e := FaultOf(err); e != nil && (e.Fault == Stopped || e.Fault == Local || e.Fault == Unsent) {
		return err
	}
	c.cfg.Traits.failed()
	c.trace("! a question in one segment with a download failed, not sent there from now on")
	return c.condemn(&Error{Fault: Surprise, Step: verb, Sent: true, Reply: r, Err: err})
}
