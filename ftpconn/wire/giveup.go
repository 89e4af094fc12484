package wire

import "net"

// killed ends a transfer that began but must not be, and reads its reply.
func (d *dialogue) killed() error {
	if d.door != nil {
		// The server may connect at any moment or be connected already.
		nc, gaveUp, err := d.c.accept(d.door, verbOf(d.t.Verb))
		if err != nil || gaveUp.Code != 0 {
			return err
		}
		d.data = nc
	}
	if c := d.c; d.data != nil && c.sec != nil && c.sec.data != nil {
		return d.discard()
	}
	if d.data != nil {
		d.c.taste(d.data)
	}
	d.drop()
	return d.c.finishAborted(verbOf(d.t.Verb))
}

// drop resets whatever part of a data connection there is.
func (d *dialogue) drop() {
	if d.data != nil {
		reset(d.data)
		d.data = nil
	}
	if d.door != nil {
		d.door.Close()
		d.door = nil
	}
	d.c.attach(nil)
}

// reset closes with RST, which every server takes as the end of a transfer; an
// ordinary close kills some servers' control connection.
func reset(nc net.Conn) {
	if l, ok := nc.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	nc.Close()
}
