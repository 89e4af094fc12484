package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// Data is the data connection of a transfer that has begun. It ends with
// exactly one Finish or Abort.
type Data struct {
	c       *Conn
	raw     net.Conn  // the socket
	nc      net.Conn  // what data goes through: the socket, or TLS over it
	paced   *paced    // the socket as TLS sees it; nil in clear
	gather  *gatherer // of a large download in clear; nil: of none, or not yet
	verb    string
	upload  bool
	eof     bool // a download was read to its end
	began   time.Time
	broken  error
	n       int64
	ended   bool
	poured  bool // an upload that was sent to its end with its command
	pouredT Trait
	trial   bool // a question went behind it, which was never seen to work
	trailed bool // and so did commands behind an upload
}

// Count is the number of bytes moved so far.
func (d *Data) Count() int64 { return d.n }

func (d *Data) moved(n int) {
	d.n += int64(n)
	switch t := d.c.cfg.Moved; {
	case t == nil:
	case d.upload:
		t.Sent.Add(int64(n))
	default:
		t.Received.Add(int64(n))
	}
}

// Read returns what comes within the timeout. io.EOF says only that the data
// connection ended; whether the transfer is complete, Finish tells. After a stall
// Finish resets the data connection, and leaves the control connection in use if
// the server answers there.
func (d *Data) Read(p []byte) (int, error) {
	if d.broken != nil {
		return 0, d.broken
	}
	n, err := d.receive(p)
	d.moved(n)
	if n > 0 {
		d.c.alive()
	}
	switch {
	case err == io.EOF:
		d.eof = true
	case err != nil && timedOut(err) && !d.c.interrupted():
		// The server may be well and only this transfer stuck, or given up: Finish
		// asks the control connection.
		d.broken = d.tried(d.dataError(err))
		err = d.broken
	case err != nil:
		d.broken = d.tried(d.c.broken("data of "+d.verb, true, err))
		err = d.broken
	}
	return n, err
}

// Write sends all of p; the timeout counts from the last byte that went out.
func (d *Data) Write(p []byte) (int, error) {
	done := 0
	for d.broken == nil && done < len(p) {
		d.c.arm(d.nc, d.c.cfg.Timeout)
		n, err := d.put(p[done:])
		done += n
		d.moved(n)
		if n > 0 {
			d.c.alive()
		}
		if err != nil && !(n > 0 && timedOut(err) && !d.c.interrupted()) {
			d.broken = d.dataError(err)
		}
	}
	return done, d.broken
}

func (d *Data) put(p []byte) (int, error) {
	if d.paced != nil {
		return d.writeHeld(p)
	}
	return d.nc.Write(p)
}

// dataError of an upload leaves the control connection alone: the server's
// reply says why it stopped reading.
func (d *Data) dataError(err error) error {
	f := Lost
	switch {
	case d.c.interrupted(), d.c.halting():
		f, err = Stopped, cause(d.c.context())
	case timedOut(err):
		f = Stalled
	}
	return &Error{Fault: f, Step: "data of " + d.verb, Sent: true, Err: err}
}

const copyBuffer = 256 << 10

// ReadFrom sends all of r. After a failure of r itself Finish fails, whatever the
// server says of the part it got.
func (d *Data) ReadFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, copyBuffer)
	for {
		n, rerr := r.Read(buf)
		if n > 0 {
			w, werr := d.Write(buf[:n])
			total += int64(w)
			if werr != nil {
				return total, werr
			}
		}
		if rerr == io.EOF {
			return total, nil
		}
		if rerr == nil && d.c.interrupted() {
			rerr = d.dataError(nil)
		}
		if rerr != nil {
			d.broken = rerr
			return total, rerr
		}
	}
}

// Shut closes the data connection as its state demands: an upload that is whole
// says so and waits until the server has seen it, a download read to its end is
// closed, everything else is reset.
func (d *Data) Shut() error {
	if d.ended {
		return nil
	}
	d.ended = true
	defer d.traceEnd()
	defer d.c.attach(nil)
	if !d.upload {
		if d.eof {
			if d.paced != nil {
				d.nc.(*tls.Conn).CloseWrite() // as the server has said it is done
			}
			return d.raw.Close()
		}
		if d.n == 0 && (d.broken == nil || d.c.halting()) {
			d.taste()
		}
		reset(d.raw)
		return nil
	}
	if FaultOf(d.broken) != nil {
		reset(d.raw)
		return nil
	}
	// Also when the source gave out: a reset that comes before the server has
	// accepted the connection leaves pyftpdlib waiting, and the file is partial
	// either way.
	defer d.raw.Close()
	if d.paced != nil {
		// First TLS's word for the end, then the socket's. To close it would be a reset, as
		// tickets nobody has read wait in it, and pyftpdlib loses the end of the file then,
		// and says 226.
		if err := d.nc.(*tls.Conn).CloseWrite(); err != nil {
			d.broken = d.dataError(err)
			return d.broken
		}
	}
	if cw, ok := d.raw.(interface{ CloseWrite() error }); ok {
		if !d.poured {
			if err := cw.CloseWrite(); err != nil {
				d.broken = d.dataError(err)
				return d.broken
			}
		}
		d.c.arm(d.raw, d.patience())
		if _, err := io.Copy(io.Discard, io.LimitReader(d.raw, 1<<20)); err != nil && timedOut(err) {
			// Some servers answer before they close: the reply decides.
			if d.c.interrupted() {
				d.broken = d.dataError(err)
				return d.broken
			}
		}
	}
	return nil
}

// Finish ends the transfer and returns the server's final reply. The transfer
// is complete only if that is a success and the data connection did not break. An
// encrypted download that ended without TLS's word for it is ErrTorn, and leaves the
// connection in use.
func (d *Data) Finish() (Reply, error) {
	defer d.c.flow(false)
	clean := d.upload && d.broken == nil || d.eof
	if err := d.Shut(); err != nil && FaultOf(err) != nil {
		return Reply{}, d.c.condemn(err)
	}
	if !clean {
		if err := d.finishAborted(); err != nil {
			d.c.trailLost(err)
			return d.c.last, err
		}
		if err := d.refusedData(d.c.last); err != nil {
			return d.c.last, err
		}
		if d.poured {
			return d.arrived(Reply{}, d.broken)
		}
		if FaultOf(d.broken) != nil && d.c.last.Class() >= 4 {
			return d.c.last, nil // the server says why it stopped reading
		}
		return d.c.last, d.broken
	}
	d.c.wait = d.patience()
	r, err := d.c.readReply(d.verb)
	d.c.wait = 0
	if err == nil && r.Class() == 1 { // some announce the transfer twice
		r, err = d.c.afterPreliminary(d.verb)
	}
	if err != nil {
		d.c.trailLost(err)
	}
	if err == nil {
		r, err = d.c.behind(d.verb, r)
	}
	if err == nil {
		err = d.c.trailers(d.verb, r)
	}
	if d.poured {
		r, err = d.arrived(r, err)
	} else if err != nil {
		err = d.tried(err)
	} else if d.trial && r.Class() >= 4 {
		err = d.tried(&Error{Fault: Lost, Step: d.verb, Sent: true, Reply: r})
	}
	if err == nil && !r.OK() && r.Class() < 4 {
		err = d.c.condemn(&Error{Fault: Garbage, Step: d.verb, Sent: true, Reply: r, Err: errors.New("no end of a transfer")})
	}
	if err == nil {
		err = d.refusedData(r)
	}
	if err == nil && r.OK() && d.paced != nil && d.eof && d.paced.eof {
		err = &Error{Fault: Lost, Step: "data of " + d.verb, Sent: true, Err: ErrTorn}
	}
	return r, err
}

// patience is how long a download may stand still, or the end of an upload take once all of it
// was sent.
func (d *Data) patience() time.Duration {
	if d.trial || d.trailed || d.poured && d.pouredT == Untried {
		return min(trialWait, d.c.cfg.Timeout/3)
	}
	return d.c.cfg.Timeout
}

// tried is err, unless that may be owed to the question behind this download.
func (d *Data) tried(err error) error {
	if !d.trial {
		return err
	}
	return d.c.unbehind(d.verb, Reply{}, err)
}

// Abort ends the transfer early and consumes its one reply, whatever that says.
func (d *Data) Abort() error {
	if d.ended {
		return nil
	}
	defer d.c.flow(false)
	d.eof = false
	d.Shut()
	if d.paced != nil && lists(d.verb) {
		// Pure-FTPd puts what it did not get rid of before the next listing.
		return d.c.condemn(&Error{Fault: Lost, Step: d.verb, Sent: true, Err: errors.New("an encrypted listing that was given up")})
	}
	return d.finishAborted()
}

// finishAborted consumes the reply to a transfer that was given up.
func (d *Data) finishAborted() error {
	tr := d.c.cfg.Traits
	if d.paced != nil && d.c.Dead() == nil && (tr.get(&tr.farewells) == Off || d.c.asked != "") {
		return d.c.mute(d.verb) // and an answer to what was sent behind it would be taken for its end
	}
	err := d.c.finishAborted(d.verb)
	if d.paced != nil && err != nil && timedOut(err) && !d.c.interrupted() {
		tr.learn(&tr.farewells, Off)
	}
	return err
}

// taste is that of the Conn; it sees to it that TLS's handshake has come to its end at
// the server too, as ProFTPD gives up the control connection for one that was reset.
func (d *Data) taste() {
	if d.paced == nil {
		d.c.taste(d.raw)
		return
	}
	var b [1]byte
	d.paced.wait = min(abortWait, d.c.cfg.Timeout)
	d.nc.Read(b[:])
}

// taste waits for the first byte or the end of a download that is to be reset: a
// connection reset before the server accepted it is one that never came, and
// pyftpdlib waits for another.
func (c *Conn) taste(nc net.Conn) {
	var b [1]byte
	c.arm(nc, min(abortWait, c.cfg.Timeout))
	nc.Read(b[:])
}

// abortWait is how long a server may take to notice a reset data connection.
const abortWait = 5 * time.Second

// finishAborted consumes the reply to a transfer whose data connection was reset.
func (c *Conn) finishAborted(verb string) error {
	if err := c.Dead(); err != nil {
		return err
	}
	c.arm(c.raw, min(abortWait, c.cfg.Timeout))
	r, err := readReply(c.br)
	if err != nil {
		err = c.broken(verb, true, err)
		if e := FaultOf(err); e.Fault == Stalled {
			e.Fault = Lost // slow to notice an abort is not down
		}
		return err
	}
	c.trace("< " + r.String() + " [aborted]")
	c.alive()
	c.last = r
	if r.Code == 421 {
		return c.condemn(&Error{Fault: Closing, Step: verb, Sent: true, Reply: r})
	}
	if c.last, err = c.behind(verb, r); err == nil {
		err = c.trailers(verb, c.last)
	}
	return err
}
