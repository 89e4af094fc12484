package wire

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Transfer is a command that moves data.
type Transfer struct {
	Verb   string   // "RETR /x", "LIST -a", "STOR /y"
	Offset int64    // REST before Verb, when > 0; downloads only
	Ahead  []string // commands answered before Verb, in its segment where that works
	Upload bool
	// Body is all of a short upload, which Transfer sends itself; nil: the caller does. With
	// Eager it goes with the command, if its data connection stands.
	Body  []byte
	Eager bool
	// Behind are commands that may go in the segment of such an upload, to be answered after its end; Trailed
	// gives the replies if they did.
	Behind []string
	// Alone: Verb is never sent before its data connection stands.
	Alone bool
	// Short: a download of few bytes, of which it is known how many. The next port may
	// be asked for in its segment: a server that cuts it then must be noticed.
	Short bool
	// HalfClose: the data connection of a short download in clear is closed on our side at once. ProFTPD tells the
	// end of a download only when it has seen that, a round trip after the data. It is for who
	// knows the size: something between that ends both ways at the end of one would cut it.
	HalfClose bool
	// Check judges the replies to Ahead; an error ends the transfer before any
	// of its data is believed, and leaves the connection usable.
	Check func(ahead []Reply) error
}

// Outcome is how a transfer began. Data is nil when the server refused it;
// Refusal is the reply then.
type Outcome struct {
	Ahead   []Reply
	Refusal Reply
	Rest    bool // it is REST that was refused, and nothing else
	Data    *Data
}

// Transfer starts moving data: it opens (or has opened) the data connection,
// sends Ahead, REST and Verb, and reads their replies up to the preliminary
// reply of Verb. The caller must bring a non-nil Outcome.Data to its end with
// Finish or Abort before the next command.
func (c *Conn) Transfer(t Transfer) (Outcome, error) {
	cmds := slices.Clone(t.Ahead)
	rest := -1
	if t.Offset > 0 && t.Upload {
		return Outcome{}, &Error{Fault: Unsent, Step: verbOf(t.Verb), Err: errors.New("REST is not for uploads: some servers cut the file there")}
	}
	if t.Offset > 0 {
		rest = len(cmds)
		cmds = append(cmds, fmt.Sprintf("REST %d", t.Offset))
	}
	cmds = append(cmds, t.Verb)
	if err := refuse(append(slices.Clip(cmds), t.Behind...)...); err != nil {
		return Outcome{}, err
	}
	if err := c.check(verbOf(t.Verb)); err != nil {
		return Outcome{}, err
	}
	c.tricks = Tricks{}
	c.trail, c.port, c.trailed = nil, "", nil
	d := &dialogue{c: c, t: t, cmds: cmds, rest: rest}
	out, err := d.run()
	if d.inVain(out, err) && c.cfg.Ports != nil && c.cfg.Ports.Count() > 1 {
		// That port may not be forwarded, or the server cannot use it again so soon.
		d = &dialogue{c: c, t: t, cmds: cmds, rest: rest}
		out, err = d.run()
	}
	if d.inVain(out, err) {
		err = &Error{Fault: Unreached, Step: "data connection", Sent: true, Reply: out.Refusal, living: true, Err: errors.New("the server cannot connect to us")}
	}
	if e := FaultOf(err); e != nil && e.Fault == Unreached {
		return Outcome{}, c.judge(d.mode, e)
	}
	return out, err
}

// inVain says that the server tried to connect to us.
func (d *dialogue) inVain(out Outcome, err error) bool {
	return err == nil && out.Data == nil && d.mode == Active && out.Refusal.Code == 425
}

// dialogue is the state of one transfer's beginning.
type dialogue struct {
	c    *Conn
	t    Transfer
	cmds []string // Ahead, REST, Verb
	rest int      // index of REST in cmds, or -1

	mode      Mode
	trial     bool // of the mode
	replies   []Reply
	data      net.Conn // passive: connected before the verb's reply is read
	failed    error    // passive: the connection was not made
	door      *door    // active: where the server connects to
	segments  Trait    // as it was when the dialogue began; Off: not used
	early     bool     // the data connection was prepared
	joined    bool     // several commands went in one segment
	joint     bool     // the data connection's command went along
	behind    bool     // the next one's command went behind
	preparedT Trait
	jointT    Trait
	behindT   Trait
	poured    bool  // the body went with the command
	spilled   error // or not all of it
	eagerT    Trait
	trailed   bool // and what follows it went along
	trailT    Trait
}

func (d *dialogue) run() (Outcome, error) {
	c := d.c
	d.segments = c.cfg.Traits.get(&c.cfg.Traits.segments)
	d.preparedT = c.cfg.Traits.get(&c.cfg.Traits.prepared)
	out, err := d.begin()
	if err == nil && out.Data == nil && out.Refusal.Class() < 4 && out.Refusal.Code != 0 {
		// To EPSV, EPRT or REST: neither what was asked for nor a refusal.
		err = c.condemn(&Error{Fault: Garbage, Step: verbOf(d.t.Verb), Sent: true, Reply: out.Refusal, Err: errors.New("an answer to something else")})
		err = d.surprised(err)
	} else if err == nil && out.Data == nil && !out.Rest && d.odd(out.Refusal.Code) {
		// Such a refusal may be of the trick and not of the command.
		err = c.condemn(&Error{Fault: Lost, Step: verbOf(d.t.Verb), Sent: true, Reply: out.Refusal})
		err = d.surprised(err)
	} else if err == nil && out.Data == nil && d.early && out.Refusal.Code == 425 {
		// The server forgot the prepared connection, as it may: nothing was moved.
		err = c.condemn(&Error{Fault: Surprise, Step: verbOf(d.t.Verb), Sent: true, Reply: out.Refusal})
	} else if err != nil {
		err = d.surprised(err)
	}
	if r := out.Refusal; err == nil && out.Data == nil && (r.Code == 521 || r.Code == 522) { // as RFC 4217 has it, and vsftpd
		err = c.tooOpen(verbOf(d.t.Verb), r)
	}
	if err != nil || out.Data == nil {
		d.drop()
	}
	return out, err
}

// begin sends the commands and reads the replies, in one segment or singly.
func (d *dialogue) begin() (Outcome, error) {
	c := d.c
	opening, err := d.open()
	if err != nil {
		return Outcome{}, err
	}
	if r := opening.refused; r.Code != 0 {
		return Outcome{Refusal: r}, c.noWay(r)
	}
	if d.segments == Off {
		return d.singly()
	}
	d.joined = opening.cmd != "" || len(d.cmds) > 1
	segment := d.cmds
	if opening.cmd != "" {
		segment = append([]string{opening.cmd}, segment...)
	}
	if next := d.goesBehind(opening.cmd); next != "" {
		c.tricks.asked = true
		segment = append(slices.Clip(segment), next)
		d.behind, c.asked = true, next
	}
	if d.trails() {
		segment = append(slices.Clip(segment), d.trailing()...)
	}
	if err := c.write(segment...); err != nil {
		return Outcome{}, err
	}
	d.pour()
	d.halfClose()
	if opening.cmd == "" {
		return d.answers(0)
	}
	r, err := c.readFor(opening.cmd)
	if err != nil {
		return Outcome{}, err
	}
	if err := opening.done(r); err != nil {
		// The verb is under way without its data connection; nobody can say
		// what the server does now.
		return Outcome{}, c.condemn(err)
	}
	d.halfClose()
	return d.answers(0)
}

// halfClose tells the server that no more comes on the connection of a download.
func (d *dialogue) halfClose() {
	cw, ok := d.data.(interface{ CloseWrite() error })
	c := d.c
	if ok && d.t.Short && d.t.HalfClose && !c.cfg.Proxied && c.cfg.Traits.get(&c.cfg.Traits.halfClosed) != Off && (c.sec == nil || c.sec.data == nil) {
		_ = cw.CloseWrite()
		c.tricks.halfClosed = true
	}
}

// singly sends each command after the reply to the one before.
func (d *dialogue) singly() (Outcome, error) {
	for i, cmd := range d.cmds {
		if i == len(d.t.Ahead) { // REST and the verb share a segment only in answers
			if err := d.judge(); err != nil {
				return Outcome{Ahead: d.replies}, err
			}
		}
		if err := d.c.write(cmd); err != nil {
			return Outcome{}, err
		}
		if i == len(d.cmds)-1 {
			return d.answers(i)
		}
		r, err := d.c.readFor(cmd)
		if err != nil {
			return Outcome{}, err
		}
		d.replies = append(d.replies, r)
		if i == d.rest && r.Code != 350 {
			return Outcome{Ahead: d.replies[:len(d.t.Ahead)], Refusal: r, Rest: true}, nil
		}
	}
	panic("unreachable")
}

// judge asks the caller's Check once, when all of Ahead is answered.
func (d *dialogue) judge() error {
	if d.t.Check == nil || len(d.replies) < len(d.t.Ahead) {
		return nil
	}
	return d.t.Check(d.replies[:len(d.t.Ahead)])
}

// answers reads the replies from the from'th command on; all of them were sent.
func (d *dialogue) answers(from int) (Outcome, error) {
	c := d.c
	var verdict error
	restRefused := Reply{}
	for i := from; i < len(d.cmds)-1; i++ {
		r, err := c.readFor(d.cmds[i])
		if err != nil {
			return Outcome{}, err
		}
		d.replies = append(d.replies, r)
		if i == d.rest && r.Code != 350 {
			restRefused = r // the transfer starts at the beginning: nothing of it may be seen
		}
	}
	if from == 0 {
		verdict = d.judge()
	}
	out := Outcome{Ahead: d.replies[:len(d.t.Ahead)]}
	defer d.brief()()
	if d.failed != nil {
		// The server may refuse the verb too, or wait for a connection that will
		// not come: that is not worth the whole timeout.
		c.wait = min(trialWait, c.cfg.Timeout/3)
	}
	if d.joint && d.jointT == Untried || d.poured && d.eagerT == Untried || d.trailed && d.trailT == Untried {
		c.wait = min(trialWait, c.cfg.Timeout/3)
	}
	r, err := c.readReply(verbOf(d.t.Verb))
	c.wait = 0
	if err != nil && d.failed != nil && FaultOf(err).Fault == Stalled {
		return out, c.condemn(c.notMade(true, false, d.failed))
	}
	if err != nil {
		return out, d.givenUp(err)
	}
	switch {
	case d.failed != nil && (r.Code == 425 || r.Code == 426):
		if r, err = c.behind(verbOf(d.t.Verb), r); err != nil {
			return out, err
		}
		c.Drop() // the next would go where this one did not arrive
		return out, c.notMade(true, true, d.failed)
	case r.Class() != 1:
		if r.OK() || r.Class() == 3 {
			return out, c.condemn(&Error{Fault: Garbage, Step: verbOf(d.t.Verb), Sent: true, Reply: r,
				Err: errors.New("no data connection was announced")})
		}
		if r, err = c.behind(verbOf(d.t.Verb), r); err == nil {
			err = c.trailers(verbOf(d.t.Verb), r)
		}
		if err == nil && r.Class() < 4 {
			err = c.condemn(&Error{Fault: Garbage, Step: verbOf(d.t.Verb), Sent: true, Reply: r, Err: errors.New("refused, and done")})
		}
		if err != nil {
			return out, err
		}
		if verdict != nil {
			return out, verdict
		}
		out.Refusal = r
		if restRefused.Code != 0 {
			out.Refusal = restRefused
		}
		return out, nil
	case d.failed != nil:
		return out, c.condemn(c.notMade(true, true, d.failed))
	case restRefused.Code != 0 || verdict != nil:
		if err := d.killed(); err != nil && (verdict == nil || lists(verbOf(d.t.Verb))) {
			return out, err
		}
		out.Refusal, out.Rest = restRefused, restRefused.Code != 0
		return out, verdict
	}
	if d.door != nil {
		var gaveUp Reply
		if d.data, gaveUp, err = c.accept(d.door, verbOf(d.t.Verb)); err != nil || d.data == nil {
			out.Refusal = gaveUp
			return out, err
		}
	}
	c.attach(d.data)
	c.traceData(d.data)
	nc, under, err := c.secureData(d.data, verbOf(d.t.Verb))
	if err != nil {
		return out, err
	}
	out.Data = &Data{c: c, raw: d.data, nc: nc, paced: under, upload: d.t.Upload, verb: verbOf(d.t.Verb), began: time.Now(), trial: d.behind && d.behindT == Untried,
		poured: d.poured, pouredT: d.eagerT, trailed: d.trailed && d.trailT == Untried}
	d.door, d.data = nil, nil
	c.flow(!d.t.Upload)
	c.reached(d.mode)
	if d.joined {
		c.cfg.Traits.Segments(Proven)
	}
	if d.joint {
		c.cfg.Traits.learn(&c.cfg.Traits.joint, Proven)
	}
	if d.early {
		c.cfg.Traits.Prepared(Proven)
	}
	if d.t.Body != nil {
		out.Data.send(d.t.Body, d.spilled)
	}
	return out, nil
}
