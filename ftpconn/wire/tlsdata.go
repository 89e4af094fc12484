package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// ErrTorn says that an encrypted download ended without TLS's word for the end: the
// connection may have been cut by anybody. Only who knows the size may believe it.
var ErrTorn = errors.New("the encrypted data ended without close_notify: it may have been cut")

// errRefusedData is a server that closes encrypted data connections.
var errRefusedData = errors.New("the server does not take our encrypted data connection")

// secureData makes a data socket what data goes through. It comes after the
// preliminary reply: pyftpdlib closes what says ClientHello sooner. After a failure
// the connection is condemned, and the server's reply is in the error.
func (c *Conn) secureData(nc net.Conn, verb string) (net.Conn, *paced, error) {
	if c.sec == nil || c.sec.data == nil {
		return nc, nil, nil
	}
	p := &paced{Conn: nc, c: c, by: time.Now().Add(c.cfg.Timeout)}
	t := tls.Client(p, c.sec.data)
	err := t.Handshake()
	p.by = time.Time{}
	if err != nil {
		reset(nc)
		e := FaultOf(c.unprotected("TLS of the data connection", err))
		if e.Fault != Lost {
			return nil, nil, e
		}
		c.farewell(verb, e)
		return nil, nil, e
	}
	s := t.ConnectionState()
	c.cfg.TLS.Shared.moved(s.DidResume)
	c.trace("= data encrypted: " + describe(s))
	return t, p, nil
}

// discardMost is what is read of an encrypted download that nobody wants, to come to
// its end in peace.
const discardMost = 4 << 20

// discard ends an encrypted transfer that began but must not be: the wrong directory's
// listing, another version of a file. A listing or a short download is read to its end if that is near.
func (d *dialogue) discard() error {
	c, verb := d.c, verbOf(d.t.Verb)
	nc, under, err := c.secureData(d.data, verb)
	if err != nil {
		d.drop()
		return err
	}
	c.attach(d.data)
	data := &Data{c: c, raw: d.data, nc: nc, paced: under, verb: verb, began: time.Now()}
	d.door, d.data = nil, nil
	buf := make([]byte, 16<<10)
	for err == nil && ((lists(verb) || d.t.Short) && data.n < discardMost || data.n == 0) {
		_, err = data.Read(buf)
	}
	if !data.eof {
		return data.Abort()
	}
	if _, err = data.Finish(); errors.Is(err, ErrTorn) {
		err = nil
	}
	return err
}

// mute is the fault of an aborted transfer that gets no reply: Pure-FTPd says nothing
// when it cannot write to an encrypted data connection. It is waited for once.
func (c *Conn) mute(verb string) error {
	return c.condemn(&Error{Fault: Lost, Step: verb, Sent: true, Err: errors.New("this server does not answer when an encrypted transfer is given up")})
}

func lists(verb string) bool { return verb == "LIST" || verb == "MLSD" || verb == "NLST" }

// farewell reads what the server says of a data connection that it has closed, into
// e. The connection is condemned already.
func (c *Conn) farewell(verb string, e *Error) {
	c.arm(c.raw, min(abortWait, c.cfg.Timeout))
	r, err := readReply(c.br)
	if err != nil {
		return
	}
	c.trace("< " + r.String())
	c.last = r
	if r.Class() >= 4 {
		e.Fault, e.Reply, e.Err = c.refusal(r), r, errRefusedData
	}
}

// refusal draws the conclusion from a data connection that was refused: perhaps the
// session that this control connection resumed is not what the server wants to see
// again. It is worth another try without.
func (c *Conn) refusal(r Reply) Fault {
	if !c.sec.conn.ConnectionState().DidResume || r.Code != 425 && r.Code != 522 {
		return Lost
	}
	c.cfg.TLS.Shared.separate()
	c.trace("! data connections of a resumed control connection are refused, it is not resumed from now on")
	return Surprise
}

// refusedData is the fault of an encrypted transfer that the server ended because it
// does not take its data connection: a session that is too old, or not one it knows.
// Another control connection has another.
func (d *Data) refusedData(r Reply) error {
	if d.paced == nil || r.Code != 425 && r.Code != 522 {
		return nil
	}
	return d.c.condemn(&Error{Fault: d.c.refusal(r), Step: d.verb, Sent: true, Reply: r, Err: errRefusedData})
}

// paced is a data socket beneath TLS. The timeout counts from the last byte that came
// or went, and not for a record of 16 KiB: TLS would forget what a slow link has done.
// The deadlines that TLS sets itself are not obeyed: an upload's close_notify waits, as
// all of it did, until the socket takes it.
//
// TLS reads and writes record by record. A large download is read in pieces nevertheless, and what
// goes out goes in as large ones as it came in.
type paced struct {
	net.Conn
	c    *Conn
	by   time.Time     // when the handshake must be over; zero: it is
	wait time.Duration // instead of the timeout; 0: the timeout
	eof  bool          // the peer's end was seen; TLS, which reads no further than close_notify, has not got one then

	large  bool      // the download is one that is read in pieces
	gather *gatherer // nil: not yet
	buf    []byte    // of a piece
	came   []byte    // the rest of it in buf
	dry    bool      // only what came is wanted
	late   error     // what TLS said behind the bytes that were given out last

	hold bool // what is written waits in out for flush
	out  []byte
}

// pieceMost is how many bytes of records are read or written at once.
const pieceMost = 128 << 10

func (p *paced) arm(most time.Duration) {
	wait := p.c.cfg.Timeout
	if p.wait > 0 {
		wait = p.wait
	}
	if !p.by.IsZero() {
		wait = min(wait, time.Until(p.by))
	}
	wait = min(wait, most)
	if p.wait > 0 { // it is wanted though the download is given up
		p.c.arm(p.Conn, wait)
	} else {
		p.c.armFlow(p.Conn, wait)
	}
}

func (p *paced) Read(b []byte) (n int, err error) {
	if len(p.came) == 0 {
		if p.dry {
			return 0, os.ErrDeadlineExceeded // a temporary error, after which TLS keeps what it has of a record
		}
		if p.large && p.gather == nil {
			if p.gather = gathering(p.Conn); p.gather != nil {
				p.buf = make([]byte, pieceMost)
			}
		}
		if p.large && p.gather != nil {
			n, err = p.gather.pull(p.buf, p.Conn, p.arm)
			p.came = p.buf[:n]
		} else {
			p.arm(anyTime)
			n, err = p.Conn.Read(b)
		}
		if n > 0 {
			p.c.alive()
		}
		p.eof = p.eof || n == 0 && err == io.EOF
	}
	if len(p.came) > 0 {
		n, err = copy(b, p.came), nil // the socket will say again what ended it
		p.came = p.came[n:]
	}
	return n, err
}

// records reads what TLS has of a download: a record, and of a large one all whole records
// that came in one piece with it.
func (d *Data) records(b []byte) (n int, err error) {
	if d.paced.late != nil {
		return 0, d.paced.late
	}
	n, err = d.nc.Read(b)
	for d.paced.large && n > 0 && n < len(b) && err == nil {
		var k int
		d.paced.dry = true
		k, err = d.nc.Read(b[n:])
		d.paced.dry = false
		n += k
	}
	if n > 0 {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			d.paced.late = err
		}
		err = nil
	}
	return n, err
}

func (p *paced) Write(b []byte) (int, error) {
	if p.hold && len(p.out)+len(b) <= cap(p.out) {
		p.out = append(p.out, b...)
		return len(b), nil
	}
	if err := p.flush(); err != nil {
		return 0, err
	}
	if p.hold && len(b) <= cap(p.out) {
		p.out = append(p.out, b...)
		return len(b), nil
	}
	return p.send(b)
}

// flush sends what was held.
func (p *paced) flush() error {
	_, err := p.send(p.out)
	p.out = p.out[:0]
	return err
}

func (p *paced) send(b []byte) (done int, err error) {
	for done < len(b) {
		p.arm(anyTime)
		n, err := p.Conn.Write(b[done:])
		done += n
		if n > 0 {
			p.c.alive()
		}
		if err != nil && !(n > 0 && timedOut(err) && !p.c.interrupted()) {
			return done, err
		}
	}
	return done, nil
}

// writeHeld writes through TLS, and lets its records go out together.
func (d *Data) writeHeld(b []byte) (n int, err error) {
	p := d.paced
	if cap(p.out) == 0 && len(b) > 16<<10 {
		p.out = make([]byte, 0, pieceMost)
	}
	p.hold = true
	n, err = d.nc.Write(b)
	p.hold = false
	if ferr := p.flush(); err == nil {
		err = ferr
	}
	if err != nil {
		return 0, err // how much of it has gone nobody can tell
	}
	return n, nil
}

func (p *paced) SetDeadline(time.Time) error      { return nil }
func (p *paced) SetReadDeadline(time.Time) error  { return nil }
func (p *paced) SetWriteDeadline(time.Time) error { return nil }
