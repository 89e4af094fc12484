package wire

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// facade is the control connection as the client library sees it. Each line the
// library writes is a command carried out at once; each reply it reads was
// waiting or is fetched then. It answers EPSV and REST itself: they are sent
// with the transfer they belong to.
type facade struct {
	c        *Conn
	in       strings.Builder // an unfinished line of the library's
	out      []byte          // replies it has not read
	err      error
	offset   int64 // a REST held back
	ahead    []string
	check    func([]Reply) error
	alone    bool
	short    bool
	half     bool
	body     []byte // of an upload; nil: the library sends it
	eager    bool
	behind   []string         // commands that go behind that
	replies  []Reply          // to ahead
	known    map[string]Reply // replies to commands sent before the library asked
	withFEAT []string         // sent in one segment with FEAT
	feat     Reply
	data     *libData // made by the library's dial, bound by the verb
	moving   bool     // the final reply of a transfer is due
	rest     bool     // the last transfer was not begun because REST was refused
}

// Library returns the dial function to hand to the client library: its first
// call gives the control connection, later ones data connections.
func (c *Conn) Library() func(network, addr string) (net.Conn, error) {
	first := true
	return func(network, addr string) (net.Conn, error) {
		if first {
			first = false
			c.lib.out = append(c.lib.out, c.greeting.render(220)...)
			return &c.lib, nil
		}
		c.lib.data = &libData{c: c}
		return c.lib.data, nil
	}
}

// Next sets what goes ahead of the library's next transfer; see Transfer.
func (c *Conn) Next(t Transfer) {
	c.lib.ahead, c.lib.check, c.lib.alone, c.lib.short = t.Ahead, t.Check, t.Alone, t.Short
	c.lib.body, c.lib.eager, c.lib.half, c.lib.behind = t.Body, t.Eager, t.HalfClose, t.Behind
}

// RestRefused says that the refusal of the library's last transfer was of its offset.
func (c *Conn) RestRefused() bool { return c.lib.rest }

// BeforeFeat names commands to be sent in one segment with the library's FEAT.
// Their replies are kept until the library, or KnownOr, asks for them.
func (c *Conn) BeforeFeat(cmds ...string) { c.lib.withFEAT = cmds }

// Features is the reply to FEAT.
func (c *Conn) Features() Reply { return c.lib.feat }

// KnownOr returns the reply to a command that was sent along with FEAT, or sends
// it now.
func (c *Conn) KnownOr(cmd string) (Reply, error) {
	if r, ok := c.lib.known[cmd]; ok {
		delete(c.lib.known, cmd)
		return r, nil
	}
	return c.Cmd(cmd)
}

// Write takes the library's commands. What goes wrong is told by the next Read:
// the library's writer would never forget an error, also of a connection that is
// still good.
func (f *facade) Write(p []byte) (int, error) {
	f.in.Write(p)
	s := f.in.String()
	for {
		line, rest, ok := strings.Cut(s, "\r\n")
		if !ok {
			break
		}
		s = rest
		if f.err == nil {
			f.err = f.command(line)
		}
	}
	f.in.Reset()
	f.in.WriteString(s)
	return len(p), nil
}

func (f *facade) answer(r Reply, code int) {
	f.out = append(f.out, r.render(code)...)
}

func (f *facade) synthetic(code int, text string) {
	f.answer(Reply{Code: code, Lines: []string{text}}, code)
}

func (f *facade) command(line string) error {
	if r, ok := f.known[line]; ok {
		delete(f.known, line)
		if verbOf(line) == "OPTS" { // names are bytes to us: a refusal changes nothing
			f.synthetic(200, "as you like")
			return nil
		}
		f.answer(r, normal(verbOf(line), r))
		return nil
	}
	switch verb := verbOf(line); verb {
	case "EPSV":
		f.offset = 0
		f.synthetic(229, "Entering Extended Passive Mode (|||1|)")
	case "PRET":
		f.synthetic(200, "not needed")
	case "REST":
		n, err := strconv.ParseInt(strings.TrimSpace(line[4:]), 10, 64)
		if err != nil {
			return err
		}
		f.offset = n
		f.synthetic(350, "held back")
	case "RETR", "STOR", "APPE":
		return f.transfer(verb, line)
	case "FEAT":
		replies, err := f.c.Batch(append([]string{line}, f.withFEAT...)...)
		if err != nil {
			return err
		}
		f.known = make(map[string]Reply)
		for i, cmd := range f.withFEAT {
			f.known[cmd] = replies[i+1]
		}
		f.feat = replies[0]
		f.answer(f.feat, normal(verb, f.feat))
	case "QUIT":
		f.c.Quit()
	default:
		f.offset, f.data = 0, nil // a transfer the library gave up before its verb
		r, err := f.c.Cmd(line)
		if err != nil {
			return err
		}
		f.answer(r, normal(verb, r))
	}
	return nil
}

func (f *facade) transfer(verb, line string) error {
	d := f.data
	t := Transfer{Verb: line, Offset: f.offset, Ahead: f.ahead, Check: f.check, Upload: verb != "RETR", Alone: f.alone, Short: f.short && verb == "RETR" && f.offset == 0, HalfClose: f.half}
	if t.Upload {
		t.Body, t.Eager, t.Behind = f.body, f.eager, f.behind
	}
	f.data, f.offset, f.ahead, f.check, f.alone, f.short, f.half, f.body, f.eager, f.behind = nil, 0, nil, nil, false, false, false, nil, false, nil
	if d == nil {
		return errors.New("wire: " + verb + " without a data connection")
	}
	out, err := f.c.Transfer(t)
	f.rest = out.Rest
	if err != nil {
		return err
	}
	if out.Data == nil {
		f.answer(out.Refusal, out.Refusal.Code)
		return nil
	}
	d.d = out.Data
	f.moving = true
	f.c.lib.data = d
	f.synthetic(150, "go")
	return nil
}

// Read gives the library its replies.
func (f *facade) Read(p []byte) (int, error) {
	if len(f.out) == 0 {
		if err := f.err; err != nil {
			if f.c.Dead() == nil {
				f.err = nil // only this command failed
			}
			return 0, err
		}
		if !f.moving || f.data == nil {
			return 0, errors.New("wire: the library reads a reply that is not due")
		}
		d := f.data.d
		f.moving, f.data = false, nil
		r, err := d.Finish()
		if err != nil {
			if f.c.Dead() != nil {
				f.err = err
			}
			return 0, err
		}
		f.answer(r, normal("RETR", r))
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n, nil
}

// normal is the code the library insists on, for replies of the right class.
func normal(verb string, r Reply) int {
	var want int
	switch verb {
	case "RNFR":
		if r.Class() == 3 {
			return 350
		}
		return r.Code
	case "RETR", "STOR", "APPE":
		want = 226
	case "MKD":
		want = 257
	case "DELE", "RMD", "RNTO", "CWD":
		want = 250
	case "MFMT", "MDTM", "SIZE":
		want = 213
	case "FEAT":
		want = 211
	case "TYPE", "NOOP", "OPTS", "PBSZ", "PROT":
		want = 200
	default:
		return r.Code
	}
	if r.OK() {
		return want
	}
	return r.Code
}

// Close belongs to the owner of the Conn; the library's is ignored.
func (f *facade) Close() error { return nil }

// LocalAddr and RemoteAddr are TCP addresses, as the library demands.
func (f *facade) LocalAddr() net.Addr  { return tcpAddr(f.c.raw.LocalAddr()) }
func (f *facade) RemoteAddr() net.Addr { return tcpAddr(f.c.raw.RemoteAddr()) }

func tcpAddr(a net.Addr) net.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t
	}
	return &net.TCPAddr{IP: net.IPv4zero}
}

// Deadlines are the wire's own.
func (f *facade) SetDeadline(time.Time) error      { return nil }
func (f *facade) SetReadDeadline(time.Time) error  { return nil }
func (f *facade) SetWriteDeadline(time.Time) error { return nil }

// libData is a data connection as the library sees it.
type libData struct {
	c *Conn
	d *Data // nil until the verb was accepted
}

var errUnbound = errors.New("wire: data connection used before its command")

func (l *libData) Read(p []byte) (int, error) {
	if l.d == nil {
		return 0, errUnbound
	}
	return l.d.Read(p)
}

func (l *libData) Write(p []byte) (int, error) {
	if l.d == nil {
		return 0, errUnbound
	}
	return l.d.Write(p)
}

func (l *libData) ReadFrom(r io.Reader) (int64, error) {
	if l.d == nil {
		return 0, errUnbound
	}
	return l.d.ReadFrom(r)
}

func (l *libData) Close() error {
	if l.d == nil {
		return nil
	}
	return l.d.Shut()
}

// Handshake is called by the library for uploads of no bytes.
func (l *libData) Handshake() error { return nil }

func (l *libData) LocalAddr() net.Addr              { return tcpAddr(l.c.raw.LocalAddr()) }
func (l *libData) RemoteAddr() net.Addr             { return tcpAddr(l.c.raw.RemoteAddr()) }
func (l *libData) SetDeadline(time.Time) error      { return nil }
func (l *libData) SetReadDeadline(time.Time) error  { return nil }
func (l *libData) SetWriteDeadline(time.Time) error { return nil }
