package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Security is how much encryption is asked for.
type Security uint8

const (
	Clear    Security = iota // none
	Try                      // AUTH TLS where the server takes it
	Explicit                 // AUTH TLS, or no connection
	Implicit                 // from the first byte on
)

var securityNames = [...]string{"off", "try", "explicit", "implicit"}

func (s Security) String() string { return securityNames[s] }

// TLS tells how the connections to a server are protected.
type TLS struct {
	Security Security
	// Config says whom to believe. ServerName is set: without it no session would be
	// resumed. The cache of sessions is our own.
	Config    *tls.Config
	ClearData bool      // PROT C: only the control connection is encrypted
	Shared    *Sessions // by the connections to this server
}

// secured is the encryption of one control connection.
type secured struct {
	conn    *tls.Conn
	under   *under
	data    *tls.Config // of its data connections; nil while they are clear
	tickets *tickets
}

// protect makes the control socket what we talk through. For Try and Explicit the
// greeting was read; the server is asked for encryption first. What is never done is
// to go on in clear where encryption was demanded, or was had before.
func (c *Conn) protect() error {
	t := &c.cfg.TLS
	switch t.Security {
	case Clear:
		return nil
	case Implicit:
		return c.handshake()
	}
	r, err := c.Cmd("AUTH TLS")
	if err != nil {
		return err
	}
	if !r.OK() {
		if t.Security == Try && r.Class() == 5 && t.Shared.mayBeClear(r) {
			return nil
		}
		err := errors.New("the server does not take AUTH TLS")
		if t.Security == Try {
			err = errors.New("the server does not take AUTH TLS, which it did before or may do later")
		}
		return c.condemn(&Error{Fault: Insecure, Step: "AUTH TLS", Sent: true, Reply: r, Err: err})
	}
	if c.br.Buffered() > 0 {
		// Somebody put words before the encrypted ones, to have them taken for such.
		return c.condemn(&Error{Fault: Insecure, Step: "AUTH TLS", Sent: true, Err: errors.New("clear text behind the reply")})
	}
	return c.handshake()
}

// ErrNoCertificate is a handshake that the server refused after it had asked for a
// certificate of ours. TLS 1.2 has no alert that says so: OpenSSL calls it a failure.
var ErrNoCertificate = errors.New("no certificate was sent")

// handshake encrypts the control connection.
func (c *Conn) handshake() error {
	t := &c.cfg.TLS
	s := &secured{under: &under{Conn: c.raw}, tickets: t.Shared.tickets()}
	cfg := t.Config.Clone()
	cfg.ClientSessionCache = s.tickets
	asked := false // for a certificate of ours, which there is none
	if len(cfg.Certificates) == 0 {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		}
	}
	s.conn = tls.Client(s.under, cfg)
	c.arm(c.raw, c.cfg.Timeout)
	if err := s.conn.Handshake(); err != nil {
		if op := (*net.OpError)(nil); asked && errors.As(err, &op) && op.Op == "remote error" {
			err = fmt.Errorf("%w: %w", ErrNoCertificate, err)
		}
		return c.unprotected("TLS", err)
	}
	state := s.conn.ConnectionState()
	if !t.ClearData {
		s.data = t.Config.Clone()
		s.data.ClientSessionCache = s.tickets
		if leaf := state.PeerCertificates[0]; cfg.InsecureSkipVerify && time.Now().After(leaf.NotAfter) {
			// crypto/tls does not resume a session of an expired certificate, also of one
			// that is believed for its pin; and servers demand it. The clock is set back.
			back := time.Since(leaf.NotAfter) + time.Hour
			s.data.Time = func() time.Time { return time.Now().Add(-back) }
		}
	}
	s.tickets.agreed(state.Version)
	t.Shared.protected(state)
	c.trace("= encrypted: " + describe(state))
	c.sec, c.ctl = s, s.conn
	c.br = bufio.NewReaderSize(c.ctl, maxLine)
	return nil
}

func describe(s tls.ConnectionState) string {
	d := fmt.Sprintf("%s, %s", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite))
	if s.DidResume {
		d += ", session resumed"
	}
	return d
}

// unprotected turns a handshake's failure into a fault. What the peer, or we, refuse
// is Insecure; a link that failed meanwhile is that and nothing else.
func (c *Conn) unprotected(step string, err error) error {
	var cert *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case c.interrupted(), timedOut(err):
	case errors.As(err, &cert), errors.As(err, &op) && op.Op == "remote error":
		return c.condemn(&Error{Fault: Insecure, Step: step, Sent: true, Err: err})
	case errors.As(err, &op), err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
	default: // of crypto/tls itself: no version in common, no TLS at all
		return c.condemn(&Error{Fault: Insecure, Step: step, Sent: true, Err: err})
	}
	return c.broken(step, true, err)
}

// Protected reports whether the control connection is encrypted.
func (c *Conn) Protected() bool { return c.sec != nil }

// Protection commands that are due after the login, in this order; none for a
// connection in clear.
func (c *Conn) Protection() []string {
	switch {
	case c.sec == nil:
		return nil
	case c.cfg.TLS.ClearData:
		return []string{"PBSZ 0", "PROT C"}
	}
	return []string{"PBSZ 0", "PROT P"}
}

// ProtectionAgreed judges the reply to the last of Protection.
func (c *Conn) ProtectionAgreed(r Reply) error {
	if r.OK() || c.cfg.TLS.ClearData && r.Class() == 5 && r.Code < 530 {
		return nil // clear is what a server does that knows nothing else
	}
	verb := c.Protection()[1]
	why := errors.New("the server does not take " + verb)
	if c.cfg.TLS.ClearData {
		why = errWantsPrivate
	}
	return c.condemn(&Error{Fault: Insecure, Step: verb, Sent: true, Reply: r, Err: why})
}

// ErrWantsTLS is a server that takes nothing in clear, and what to do about it.
var ErrWantsTLS = errors.New("the server wants encryption; use ftpes:// (tls=explicit)")

var errWantsPrivate = errors.New("the server wants data encrypted too; leave clear_data away")

// tooOpen is the fault of data in clear that the server does not take, as r says; nil where
// data is encrypted, and r is about something else.
func (c *Conn) tooOpen(step string, r Reply) error {
	switch {
	case c.sec == nil:
		return &Error{Fault: Insecure, Step: step, Sent: true, Reply: r, Err: ErrWantsTLS}
	case c.sec.data == nil:
		return &Error{Fault: Insecure, Step: step, Sent: true, Reply: r, Err: errWantsPrivate}
	}
	return nil
}

// under is the control socket beneath TLS. Its deadlines are set by the wire alone,
// and it can be told to give only what has arrived.
type under struct {
	net.Conn
	atHand bool
}

func (u *under) Read(p []byte) (int, error) {
	if u.atHand && !pending(u.Conn) {
		return 0, os.ErrDeadlineExceeded
	}
	return u.Conn.Read(p)
}

func (u *under) SetDeadline(time.Time) error      { return nil }
func (u *under) SetReadDeadline(time.Time) error  { return nil }
func (u *under) SetWriteDeadline(time.Time) error { return nil }

// stray reports whether something has come that nobody asked for, or the end. TLS
// itself may say something at any time, such as a new ticket: that is no reply.
func (c *Conn) stray() bool {
	if c.br.Buffered() > 0 {
		return true
	}
	if c.sec == nil {
		return pending(c.raw)
	}
	c.sec.under.atHand = true
	_, err := c.br.Peek(1)
	c.sec.under.atHand = false
	return err == nil || !timedOut(err)
}
