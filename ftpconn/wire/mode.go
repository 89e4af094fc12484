package wire

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Mode is who makes data connections.
type Mode uint8

const (
	Passive Mode = iota // we connect to the server
	Active              // the server connects to us
)

func (m Mode) String() string { return [...]string{"passive", "active"}[m] }

// way is what is known of one mode.
type way struct {
	proven bool      // a data connection was made since this mode was turned to
	failed int       // in a row
	err    error     // of the last failure
	barred time.Time // until then it is not turned to
	pause  time.Duration
}

// modes is which mode a server is spoken to in, where that may change (Config.Auto). A
// mode that never worked is left at its first failure, one that did at the second in a
// row, if the server answers on the control connection all the while. The other is then on
// trial: it stays if its first data connection is made, else it is barred for a while.
type modes struct {
	now   Mode
	trial bool
	ways  [2]way

	// Passive mode is the better one, and comes back when it works again; see homeward.
	look  time.Time // when that is looked at next
	pause time.Duration
}

const (
	barAtFirst, barAtMost   = time.Minute, 30 * time.Minute
	lookAtFirst, lookAtMost = 10 * time.Minute, 6 * time.Hour
)

// mode is the present one, and whether it is on trial.
func (c *Conn) mode() (m Mode, trial bool) {
	switch {
	case c.cfg.Active:
		return Active, false
	case !c.cfg.Auto:
		return Passive, false
	}
	t := c.cfg.Traits
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.modes.now, t.modes.trial
}

// Mode is the present mode where it may change, and why passive mode was left.
func (t *Traits) Mode() (Mode, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.modes.now == Passive || t.modes.trial {
		return Passive, nil
	}
	return Active, t.modes.ways[Passive].err
}

// faltering says that the last data connection in this mode was not made.
func (t *Traits) faltering(m Mode) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.modes.ways[m].failed > 0
}

// reached notes a data connection that was made.
func (c *Conn) reached(m Mode) {
	if !c.cfg.Auto {
		return
	}
	t := c.cfg.Traits
	t.mu.Lock()
	s := &t.modes
	w := &s.ways[m]
	w.proven, w.failed = true, 0
	settled := false
	switch {
	case !s.trial:
	case m == s.now:
		settled = true
		s.trial, w.pause = false, 0
		s.look, s.pause = time.Now().Add(lookAtFirst), lookAtFirst
	default: // one in the mode that was given up came through
		s.now, s.trial = m, false
	}
	because := s.ways[1-m].err
	t.mu.Unlock()
	if settled {
		t.turned(m, because)
	}
}

// turned tells of another mode.
func (t *Traits) turned(m Mode, because error) {
	if t.Learned != nil {
		t.Learned()
	}
	if t.Turned != nil {
		t.Turned(m, because)
	}
}

// unreached notes a data connection that was not made. It reports whether the operation
// should be done again: the mode has changed, or it is worth another try. living says
// that the server answered on the control connection since.
func (t *Traits) unreached(m Mode, living bool, err error) (again bool, other error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.modes
	w, o := &s.ways[m], &s.ways[1-m]
	if m != s.now { // another connection has changed it meanwhile
		return true, nil
	}
	w.err = err
	if !living { // the next one goes alone, and knows
		w.failed = max(w.failed, 1)
		return true, nil
	}
	now := time.Now()
	switch w.failed++; {
	case w.proven && w.failed < 2:
		return true, nil
	case s.trial:
		w.pause = min(max(2*w.pause, barAtFirst), barAtMost)
		w.barred = now.Add(w.pause)
		s.now, s.trial = 1-m, false
		return !o.proven, err
	case now.Before(o.barred):
		return false, o.err
	}
	s.now, s.trial = 1-m, true
	o.proven, o.failed = false, 0
	return true, nil
}

// turnTo has a mode on trial that worked in an earlier life.
func (t *Traits) turnTo(m Mode, because error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.modes.ways[t.modes.now].err = because
	t.modes.now, t.modes.trial = m, true
}

// judge draws the conclusion from a data connection that was not made. If there is another
// way the fault is Surprise: the same operation will find it.
func (c *Conn) judge(m Mode, e *Error) error {
	c.trace("! " + m.String() + " mode: " + e.Error())
	if c.cfg.Auto {
		again, other := c.cfg.Traits.unreached(m, e.living, e)
		if again {
			return &Error{Fault: Surprise, Step: e.Step, Sent: e.Sent, Reply: e.Reply, Err: fmt.Errorf("no data connection in %v mode: %w", m, e)}
		}
		if other != nil && other != error(e) {
			e.Err = fmt.Errorf("%w; in %v mode: %w (a firewall between? %s)", e.Err, 1-m, other, hints[Active])
		}
	} else if !c.cfg.Proxied {
		e.Err = fmt.Errorf("%w (%s)", e.Err, hints[m])
	}
	return e
}

var hints = [...]string{
	Passive: "a firewall between? active mode may work",
	Active:  "a router or firewall on this side? have it forward ports to this machine, and name them with active_address and active_ports; or leave active away",
}

// patience is how long a data connection is waited for: where there is another way, so
// long that there is time for it too.
func (c *Conn) patience() time.Duration {
	if !c.cfg.Auto {
		return c.cfg.Timeout
	}
	return max(c.cfg.Timeout/4, min(c.cfg.Timeout, time.Second))
}

// living asks whether the control connection still answers; the error is that it does not.
func (c *Conn) living() error {
	c.wait = max(c.cfg.Timeout/2, min(c.cfg.Timeout, time.Second))
	defer func() { c.wait = 0 }()
	_, err := c.Cmd("NOOP")
	return err
}

// homeward looks, while nobody waits, whether passive mode works again, and returns to it.
func (c *Conn) homeward() error {
	t := c.cfg.Traits
	t.mu.Lock()
	s := &t.modes
	due := s.now == Active && !s.trial && time.Now().After(s.look)
	if due {
		s.pause = min(2*s.pause, lookAtMost)
		s.look = time.Now().Add(s.pause)
	}
	t.mu.Unlock()
	if !due {
		return nil
	}
	nc, _, err := c.openPassive()
	c.attach(nil)
	if nc == nil {
		if e := FaultOf(err); e != nil && e.Fault == Unreached {
			return nil
		}
		return err
	}
	c.prepared = arrived(nc)
	t.mu.Lock()
	s.now = Passive
	s.ways[Passive] = way{proven: true}
	t.mu.Unlock()
	t.turned(Passive, nil)
	return nil
}

// notMade is the fault of a data connection that was not made.
func (c *Conn) notMade(sent, living bool, err error) error {
	if c.interrupted() || c.context().Err() != nil || errors.Is(err, context.Canceled) {
		return c.broken("data connection", sent, err)
	}
	return &Error{Fault: Unreached, Step: "data connection", Sent: sent, living: living, Err: err}
}

// noWay is a refusal to open a data connection at all, nil if r is about something else:
// a login or an encryption that is wanted. vsftpd says "550 Permission denied." to a
// mode that its configuration turns off.
func (c *Conn) noWay(r Reply) error {
	if r.WantsTLS() {
		if err := c.tooOpen("data connection", r); err != nil {
			return err
		}
	}
	if r.Code == 425 || r.Class() == 5 && r.Code/10 != 53 {
		return &Error{Fault: Unreached, Step: "data connection", Reply: r, living: true, Err: errors.New("the server does not open one")}
	}
	return nil
}
