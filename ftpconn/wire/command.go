package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"time"
)

// How much of a long batch is under way at once: replies are read while the
// rest is written, so that neither side ever waits with full buffers.
const (
	windowBytes    = 32 << 10
	windowCommands = 400
	maxCommand     = 8 << 10
)

// trialWait is how long the second reply to a first segment may take after the
// first: a server that lost what came with a command never gives it.
const trialWait = 5 * time.Second

// Refused says why a command cannot be sent at all, or nil.
func Refused(cmd string) error {
	switch {
	case strings.ContainsAny(cmd, "\r\n\x00"):
		return errors.New("CR, LF and NUL cannot be sent")
	case len(cmd) > maxCommand:
		return errors.New("too long to be sent")
	}
	return nil
}

func refuse(cmds ...string) error {
	for _, cmd := range cmds {
		if err := Refused(cmd); err != nil {
			return &Error{Fault: Unsent, Step: verbOf(cmd), Err: err}
		}
	}
	return nil
}

func verbOf(cmd string) string {
	v, _, _ := strings.Cut(cmd, " ")
	return strings.ToUpper(v)
}

// Cmd sends one command and reads its one reply. Whatever the reply's code, the
// error is nil unless the dialogue broke.
func (c *Conn) Cmd(cmd string) (Reply, error) {
	if err := refuse(cmd); err != nil {
		return Reply{}, err
	}
	if err := c.check(verbOf(cmd)); err != nil {
		return Reply{}, err
	}
	if err := c.write(cmd); err != nil {
		return Reply{}, err
	}
	return c.readFor(cmd)
}

// Batch sends commands that do not depend on each other's replies, in as few
// segments as the server stands, and returns a reply for each. When it fails at
// the first try of one segment the fault is Surprise; none of the commands may
// be one that must not be sent twice.
func (c *Conn) Batch(cmds ...string) ([]Reply, error) {
	if err := refuse(cmds...); err != nil {
		return nil, err
	}
	if len(cmds) == 0 {
		return nil, nil
	}
	replies := make([]Reply, 0, len(cmds))
	state := c.cfg.Traits.get(&c.cfg.Traits.segments)
	if len(cmds) == 1 || state == Off {
		for _, cmd := range cmds {
			r, err := c.Cmd(cmd)
			if err != nil {
				return replies, err
			}
			replies = append(replies, r)
		}
		return replies, nil
	}
	if err := c.check(verbOf(cmds[0])); err != nil {
		return nil, err
	}
	next, out, bytes := 0, 0, 0 // commands written; unanswered ones and their bytes
	held := 0
	for len(replies) < len(cmds) {
		if next < len(cmds) && out <= windowCommands/2 && bytes <= windowBytes/2 {
			from := next
			for next < len(cmds) && out < windowCommands && (out == 0 || bytes+len(cmds[next]) < windowBytes) {
				out++
				bytes += len(cmds[next])
				next++
			}
			if err := c.write(cmds[from:next]...); err != nil {
				return replies, c.surprised(state, err)
			}
		}
		i := len(replies)
		if state == Untried && i > 0 {
			c.wait = min(trialWait, c.cfg.Timeout/3)
		}
		r, err := c.readFor(cmds[i])
		c.wait = 0
		if err != nil {
			return replies, c.surprised(state, err)
		}
		out--
		bytes -= len(cmds[i])
		replies = append(replies, r)
		for _, l := range r.Lines {
			held += len(l) + perLine
		}
		if held > maxBatchBytes {
			return replies, c.condemn(&Error{Fault: Garbage, Step: verbOf(cmds[i]), Sent: true, Err: errLongReply})
		}
	}
	if err := c.check(verbOf(cmds[len(cmds)-1])); err != nil {
		// One reply too many: which of them answers what, nobody can say.
		if e := FaultOf(err); e != nil {
			e.Sent = true
		}
		return replies, err
	}
	c.cfg.Traits.Segments(Proven)
	return replies, nil
}

// surprised turns a fault into Surprise when the trick that was used had never
// worked before, and gives the trick up.
func (c *Conn) surprised(was Trait, err error) error {
	e := FaultOf(err)
	if e == nil || was != Untried || e.Fault == Stopped || e.Fault == Unsent {
		return err
	}
	if c.cfg.Traits.learn(&c.cfg.Traits.segments, Off) {
		c.trace("! one segment failed, sending commands singly from now on")
	}
	return c.condemn(&Error{Fault: Surprise, Step: e.Step, Sent: e.Sent, Reply: e.Reply, Err: e.Err})
}

// write sends commands in one segment.
func (c *Conn) write(cmds ...string) error {
	var b strings.Builder
	for _, cmd := range cmds {
		c.trace("> " + redact(cmd))
		verb, secret, _ := strings.Cut(cmd, " ")
		if confidential(verb) {
			c.secret = secret
		}
		if asksForPort(verb) {
			c.Drop() // the server forgets what it had, without a word: vsftpd waits for another connection then
		}
		b.WriteString(cmd)
		b.WriteString("\r\n")
	}
	c.sent += int64(len(cmds))
	c.arm(c.raw, c.cfg.Timeout)
	for _, part := range c.records(b.String()) {
		if _, err := io.WriteString(c.ctl, part); err != nil {
			return c.broken(verbOf(cmds[0]), true, err)
		}
	}
	return nil
}

// recordBytes is what one record of TLS may hold of commands. ProFTPD takes some out of a
// record and waits on the socket for the next, where what is left of the record is not: a
// window of MDTMs was never answered to its end.
const recordBytes = 512

// records splits commands at their ends, where they are encrypted.
func (c *Conn) records(text string) (parts []string) {
	if _, encrypted := c.ctl.(*tls.Conn); !encrypted {
		return []string{text}
	}
	for len(text) > recordBytes {
		n := strings.LastIndex(text[:recordBytes], "\r\n") + 2
		if n < 2 { // one long command
			n = strings.Index(text, "\r\n") + 2
		}
		parts, text = append(parts, text[:n]), text[n:]
	}
	if text != "" {
		parts = append(parts, text)
	}
	return parts
}

// asksForPort says that a command settles anew where the next data connection comes from.
func asksForPort(verb string) bool {
	return verb == "EPSV" || verb == "PASV" || verb == "EPRT" || verb == "PORT"
}

func (c *Conn) readFor(cmd string) (Reply, error) {
	r, err := c.readReply(verbOf(cmd))
	if err == nil && r.Class() == 1 && !transfers(cmd) {
		r, err = c.afterPreliminary(verbOf(cmd))
	}
	if err == nil && (r.Code == 225 || r.Code == 226 || r.Code == 426) && !transfers(cmd) {
		// The end of a transfer, told once too often: what answers this command
		// is still to come.
		return r, c.condemn(&Error{Fault: Garbage, Step: verbOf(cmd), Sent: true, Reply: r, Err: errors.New("the reply belongs to a transfer")})
	}
	if verb := verbOf(cmd); err == nil && (r.Code == 229 && verb != "EPSV" || r.Code == 227 && verb != "PASV") {
		return r, c.condemn(&Error{Fault: Garbage, Step: verb, Sent: true, Reply: r, Err: errors.New("a port that nobody asked for")})
	}
	return r, err
}

// maxPreliminary bounds the preliminary replies ahead of a final one.
const maxPreliminary = 8

// afterPreliminary returns the final reply that a preliminary one has announced.
func (c *Conn) afterPreliminary(step string) (Reply, error) {
	for range maxPreliminary {
		r, err := c.readReply(step)
		if err != nil || r.Class() != 1 {
			return r, err
		}
	}
	return c.last, c.condemn(&Error{Fault: Garbage, Step: step, Sent: true, Reply: c.last, Err: errors.New("preliminary replies without end")})
}

func transfers(cmd string) bool {
	switch verbOf(cmd) {
	case "RETR", "STOR", "APPE", "LIST", "NLST", "MLSD", "STOU":
		return true
	}
	return false
}

// readReply reads one reply within the timeout. A 421 is an error.
func (c *Conn) readReply(step string) (Reply, error) {
	wait := c.cfg.Timeout
	if c.wait > 0 {
		wait = c.wait
	}
	c.arm(c.raw, wait)
	r, err := readReply(c.br)
	if confidential(step) {
		err = withoutEcho(&r, err, c.secret)
	}
	if err != nil {
		return r, c.broken(step, true, err)
	}
	c.trace("< " + r.String())
	c.alive()
	c.last = r
	if r.Code == 421 {
		return r, c.condemn(&Error{Fault: Closing, Step: step, Sent: true, Reply: r})
	}
	return r, nil
}
