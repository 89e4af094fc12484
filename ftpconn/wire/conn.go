package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config tells how to reach one server.
type Config struct {
	Host    string // as the user named it
	Port    int
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Timeout time.Duration // for each step without progress

	Proxied bool   // by Dial, so that addresses of sockets are not the server's
	Auto    bool   // passive mode, and active where that does not work
	Active  bool   // the server makes the data connections
	Address string // then: what it is told to connect to, an address or a name; "": our own
	Ports   *Ports // and where; nil: anywhere
	// Lookup is of Address; nil: the system's.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	TLS    TLS
	Traits *Traits                   // shared by the connections to this server
	Moved  *Traffic                  // shared too; nil: not counted
	ID     int                       // the connection's number in the trace
	Trace  func(id int, line string) // nil: none; see trace.go
}

// Traffic counts the bytes of data connections, before encryption.
type Traffic struct{ Received, Sent atomic.Int64 }

// Conn is one control connection and the data connection that belongs to it.
type Conn struct {
	cfg      Config
	raw      net.Conn // the control socket
	ctl      net.Conn // what commands go through: the socket, or TLS over it
	sec      *secured // nil in clear
	br       *bufio.Reader
	peer     string     // host that passive data connections go to
	told     netip.Addr // that active ones come to, once it is known
	greeting Reply

	// Owned by the goroutine that uses the Conn.
	last     Reply
	lib      facade
	prepared *coming       // the next transfer's data connection; nil if none
	asked    string        // a question sent behind a download, whose reply is due after its end; or ""
	trail    []string      // what went behind an upload, whose replies are due after its end; none
	port     string        // the question for a port among them, or ""
	trailed  []Reply       // to the last transfer's, but for that one
	tricks   Tricks        // of the last transfer
	sent     int64         // commands
	secret   string        // the last one that was sent
	wait     time.Duration // for the next reply; 0: the timeout

	closed atomic.Bool

	await awaiting     // has locks of its own
	born  time.Time    // immutable
	heard atomic.Int64 // when the server last gave a sign of life, in nanoseconds since born: the clock may be set

	mu      sync.Mutex
	dead    error    // set once: the connection is condemned
	data    net.Conn // the data socket that an interrupt must reach
	flowing bool     // a download has begun, and not ended
	bound   int      // which binding an interrupt belongs to
	ctx     context.Context
	stopped bool               // all steps
	halted  bool               // the download
	giveUp  context.CancelFunc // ends what is being connected to beforehand; nil: nothing
}

// Dial connects, reads the greeting and encrypts the connection as cfg.TLS demands. A greeting that turns us away (421, 530)
// is an *Error with its Reply and fault Closing.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	dctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	nc, err := cfg.Dial(dctx, "tcp", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)))
	if err != nil {
		f := Lost
		switch {
		case ctx.Err() != nil:
			// What is wrapped in it says more, as does a timeout that was over a moment before.
			if f = Stopped; !errors.Is(err, ctx.Err()) && !(timedOut(err) && errors.Is(ctx.Err(), context.DeadlineExceeded)) {
				err = ctx.Err()
			}
		case timedOut(err) || errors.Is(err, context.DeadlineExceeded):
			f = Stalled
		}
		return nil, &Error{Fault: f, Step: "connect", Err: err}
	}
	c := &Conn{cfg: cfg, raw: nc, ctl: nc, peer: cfg.Host, born: time.Now()}
	c.lib.c = c
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok && !cfg.Proxied {
		c.peer = a.IP.String()
		if a.Zone != "" {
			c.peer += "%" + a.Zone
		}
	}
	c.br = bufio.NewReaderSize(c.ctl, maxLine)
	c.trace(fmt.Sprintf("= connected %v to %v", nc.LocalAddr(), nc.RemoteAddr()))
	defer c.Bind(ctx)()
	if cfg.TLS.Security == Implicit {
		if err := c.protect(); err != nil {
			c.Close()
			return nil, err
		}
	}
	r, err := c.readReply("greeting")
	if err == nil && r.Class() == 1 { // 120: ready in some minutes
		r, err = c.afterPreliminary("greeting")
	}
	if err == nil && !r.OK() {
		err = &Error{Fault: Closing, Step: "greeting", Reply: r}
	}
	if err == nil && cfg.TLS.Security != Implicit {
		err = c.protect()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.greeting = r
	cfg.Traits.greeting(r.Text())
	return c, nil
}

// Local reports whether the server is this machine.
func (c *Conn) Local() bool {
	if c.cfg.Proxied {
		return false
	}
	l, ok1 := c.raw.LocalAddr().(*net.TCPAddr)
	r, ok2 := c.raw.RemoteAddr().(*net.TCPAddr)
	return ok1 && ok2 && (r.IP.IsLoopback() || r.IP.Equal(l.IP))
}

// Peer is the address that data connections go to.
func (c *Conn) Peer() string { return c.peer }

// Greeting is the server's first reply.
func (c *Conn) Greeting() Reply { return c.greeting }

// Last is the last reply that was read.
func (c *Conn) Last() Reply { return c.last }

// Heard is when the server last answered here, or took or gave data. Any
// goroutine may ask.
func (c *Conn) Heard() time.Time { return c.born.Add(time.Duration(c.heard.Load())) }

func (c *Conn) alive() { c.heard.Store(int64(time.Since(c.born))) }

// Sent counts the commands sent so far.
func (c *Conn) Sent() int64 { return c.sent }

// Dead returns why the connection takes no more commands, or nil.
func (c *Conn) Dead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// condemn marks the connection unusable; the first reason stays.
func (c *Conn) condemn(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		c.dead = err
	}
	return err
}

// broken turns an I/O error at step into a fault and condemns the connection.
func (c *Conn) broken(step string, sent bool, err error) error {
	f := Lost
	c.mu.Lock()
	ctx := c.ctx
	stopped := c.stopped || ctx != nil && ctx.Err() != nil
	c.mu.Unlock()
	var m malformed
	switch {
	case stopped:
		f, err = Stopped, cause(ctx)
	case errors.As(err, &m) || err == errLongLine || err == errLongReply:
		f = Garbage
	case timedOut(err):
		f = Stalled
	case err == io.EOF:
		err = errors.New("closed by the server")
	}
	return c.condemn(&Error{Fault: f, Step: step, Sent: sent, Err: err})
}

// check fails when the connection is dead or holds bytes nobody asked for,
// before a command is sent.
func (c *Conn) check(step string) error {
	if err := c.Dead(); err != nil {
		return &Error{Fault: Lost, Step: step, Err: err}
	}
	if c.inDownload() { // neither Finish nor Abort: its reply would be taken for another's
		return c.condemn(&Error{Fault: Lost, Step: step, Err: errors.New("a download was left without an end")})
	}
	if c.asked != "" {
		return c.condemn(&Error{Fault: Lost, Step: step, Err: errors.New("a reply to " + c.asked + " was not waited for")})
	}
	if len(c.trail) > 0 {
		return c.condemn(&Error{Fault: Lost, Step: step, Err: errors.New("replies to what went behind an upload were not waited for")})
	}
	if c.stray() {
		c.arm(c.raw, time.Second) // what is there is there
		r, err := readReply(c.br)
		switch {
		case err != nil:
			return c.broken(step, false, err)
		case r.Code == 421:
			c.trace("< " + r.String())
			return c.condemn(&Error{Fault: Closing, Step: step, Reply: r})
		}
		c.trace("< " + r.String() + " [unasked]")
		return c.condemn(&Error{Fault: Garbage, Step: step, Reply: r, Err: errors.New("a reply nobody asked for")})
	}
	return nil
}

// Alive says whether an idle connection looks usable: neither condemned nor
// closed by the server, and nothing unasked has come.
func (c *Conn) Alive() bool { return c.check("idle") == nil }

// Quiet is a look at an idle connection from outside: not condemned, not closed by
// the server, and nothing unasked has come.
func (c *Conn) Quiet() bool {
	if waits, spoke := c.awaited(); waits {
		return !spoke && c.Dead() == nil
	}
	return c.Dead() == nil && c.br.Buffered() == 0 && !pending(c.raw)
}

// pending reports whether bytes or the end of the stream wait in nc.
func pending(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	nc.SetReadDeadline(time.Time{})
	waiting := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		waiting = err != syscall.EAGAIN
		return true
	})
	return waiting || err != nil
}

// Close ends the connection without a word.
func (c *Conn) Close() error {
	why := c.Dead()
	c.condemn(&Error{Fault: Lost, Step: "close", Err: net.ErrClosed})
	if !c.closed.Swap(true) {
		if why == nil {
			c.trace("= closed")
		} else {
			c.trace("= closed: " + why.Error())
		}
	}
	c.Drop()
	c.mu.Lock()
	d := c.data
	c.mu.Unlock()
	if d != nil {
		d.Close()
	}
	return c.raw.Close()
}

// Quit says QUIT and closes, without waiting for an answer.
func (c *Conn) Quit() {
	c.sayQuit()
	c.Close()
}

// Leave is Quit for who needs the server's place for somebody else: it waits until the
// server has ended the connection, for no longer than a second.
func (c *Conn) Leave() {
	if c.sayQuit() {
		io.Copy(io.Discard, c.raw)
	}
	c.Close()
}

func (c *Conn) sayQuit() bool {
	live := c.Dead() == nil
	if live {
		c.trace("> QUIT")
		c.arm(c.raw, time.Second)
		io.WriteString(c.ctl, "QUIT\r\n")
		if c.sec != nil {
			c.sec.conn.CloseWrite()
		}
	}
	return live
}
