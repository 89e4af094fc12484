package wire

import "fmt"

// A short upload may be on its way with its command, where the data connection stands already: that
// spares the wait for the 150. Only who knows the server may ask for it (Transfer.Eager): one
// that waits for events on all its sockets sees the data before it has read the command,
// and may take it for anything.

// pour sends the body with the command, where that is wanted and stands to reason: in clear, as TLS begins
// after the 150, and with no other trick that is still on trial. What goes wrong with it the reply tells.
func (d *dialogue) pour() {
	c := d.c
	tr := c.cfg.Traits
	d.eagerT = tr.get(&tr.eager)
	if !d.pours() {
		return
	}
	cw := d.data.(closeWriter)
	d.poured, c.tricks.sent = true, true
	c.arm(d.data, c.cfg.Timeout)
	if _, d.spilled = d.data.Write(d.t.Body); d.spilled == nil {
		d.spilled = cw.CloseWrite()
	}
	c.trace(fmt.Sprintf("= %d bytes sent with it", len(d.t.Body)))
	if d.spilled != nil {
		reset(d.data) // a part must not pass for the whole
	}
}

// pours says whether the body goes with the command.
func (d *dialogue) pours() bool {
	_, ok := d.data.(closeWriter)
	return ok && d.t.Body != nil && d.t.Eager && d.early && d.eagerT != Off && (d.trailed || !d.untried()) && (d.c.sec == nil || d.c.sec.data == nil)
}

type closeWriter interface{ CloseWrite() error }

// send sends the body of an upload, unless it has gone with the command; spilled is what that came to.
func (d *Data) send(body []byte, spilled error) {
	switch {
	case !d.poured:
		d.c.tricks.sent = true
		d.Write(body)
	case spilled != nil:
		d.broken = d.dataError(spilled)
	default:
		d.moved(len(body))
	}
}

// arrived sorts the end of an upload that went with its command. A data connection that the server had given
// up meanwhile is no fault of the upload's: it is done again.
func (d *Data) arrived(r Reply, err error) (Reply, error) {
	tr := d.c.cfg.Traits
	e := FaultOf(err)
	switch {
	case err == nil && r.OK():
		tr.learn(&tr.eager, Proven)
	case e != nil && (e.Fault == Stopped || e.Fault == Local), err == nil && r.Code != 425 && r.Code != 426:
	case d.pouredT == Untried:
		err = d.c.unpoured(d.verb, r, err)
	case err == nil:
		err = d.c.condemn(&Error{Fault: Surprise, Step: d.verb, Sent: true, Reply: r})
	}
	return r, err
}

// unpoured gives the trick up, and makes what happened a Surprise.
func (c *Conn) unpoured(verb string, r Reply, err error) error {
	if e := FaultOf(err); e != nil && (e.Fault == Stopped || e.Fault == Local || e.Fault == Unsent) {
		return err
	}
	c.cfg.Traits.learn(&c.cfg.Traits.eager, Off)
	c.trace("! an upload that went with its command failed, not sent so from now on")
	return c.condemn(&Error{Fault: Surprise, Step: verb, Sent: true, Reply: r, Err: err})
}
