package wire

// What a dialogue does beyond the plain one: several commands in one segment, a data connection made before its
// command or asked for in its segment, a question behind a download, an upload that goes with its command. Each is on trial until it was
// seen to work on this server, and given up at its first failure then: the operation is done again without.

// Tricks are those that a transfer was begun with, and of which it shows at its end whether the server stands them.
type Tricks struct {
	asked      bool // a question behind it
	halfClosed bool
	sent       bool // the body of an upload went out, with its command or after the 150
}

// Tricks are those of the last transfer.
func (c *Conn) Tricks() Tricks { return c.tricks }

// Sent says that the body of a short upload is on its way: the server may take it although
// nothing was heard of that.
func (k Tricks) Sent() bool { return k.sent }

// Any says that a download that came out short may owe that to one of them.
func (k Tricks) Any() bool { return k.asked || k.halfClosed }

// Blame notes a download that came out short and was begun with them: once it is laid on the half-closed
// connection, which something between may not stand, and afterwards on the question.
func (t *Traits) Blame(k Tricks) {
	if !k.halfClosed || !t.learn(&t.halfClosed, Off) {
		t.failed()
	}
}

// strikes is how often in a row a trick may fail that has worked before: once anything may be the reason.
const strikes = 2

// strike notes that a trick failed, as often in a row as inRow says: it is given up where it never worked, or at the
// last of its strikes.
func (t *Traits) strike(trick *Trait, inRow *int) {
	t.mu.Lock()
	*inRow++
	off := *trick != Proven || *inRow >= strikes
	t.mu.Unlock()
	if off {
		t.learn(trick, Off)
	}
}

// Clear notes that all of a download was there, which was begun with them.
func (t *Traits) Clear(k Tricks) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.asked {
		t.struck = 0
	}
}

// odd says that a refusal may be owed to a trick not yet proven.
func (d *dialogue) odd(code int) bool {
	switch code {
	case 425, 426, 500, 501, 503:
		return d.untried()
	}
	return false
}

func (d *dialogue) untried() bool {
	return d.early && d.preparedT == Untried || d.joint && d.jointT == Untried || d.behind && d.behindT == Untried || d.poured && d.eagerT == Untried || d.trailed && d.trailT == Untried || d.joined && d.segments == Untried
}

// surprised gives up the trick that failed at its first try.
func (d *dialogue) surprised(err error) error {
	e := FaultOf(err)
	if e == nil || !d.untried() || e.Fault == Stopped || e.Fault == Local || e.Fault == Unsent || e.Fault == Insecure {
		return err
	}
	if d.early && d.preparedT == Untried {
		d.c.cfg.Traits.Prepared(Off)
		d.c.trace("! prepared data connection failed, not used from now on")
		return d.c.condemn(&Error{Fault: Surprise, Step: e.Step, Sent: e.Sent, Reply: e.Reply, Err: e.Err})
	}
	if d.joint && d.jointT == Untried && d.segments == Proven {
		d.c.cfg.Traits.learn(&d.c.cfg.Traits.joint, Off)
		d.c.trace("! a command in one segment with its data connection's failed, sent after it from now on")
		return d.c.condemn(&Error{Fault: Surprise, Step: e.Step, Sent: e.Sent, Reply: e.Reply, Err: e.Err})
	}
	if d.trailed && d.trailT == Untried {
		d.c.cfg.Traits.untrail()
		d.c.trace("! an upload with commands behind it failed, they are sent after it from now on")
		return d.c.condemn(&Error{Fault: Surprise, Step: e.Step, Sent: e.Sent, Reply: e.Reply, Err: e.Err})
	}
	if d.poured && d.eagerT == Untried {
		return d.c.unpoured(e.Step, e.Reply, err)
	}
	if d.behind && d.behindT == Untried {
		return d.c.unbehind(e.Step, e.Reply, err)
	}
	return d.c.surprised(d.segments, err)
}
