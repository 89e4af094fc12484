package ftpscript

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"
)

func (c *session) auth(arg string, _ Command) string {
	switch {
	case c.srv.opts.TLS == nil:
		return "500 Unknown command."
	case c.ctl != net.Conn(c.conn):
		return "503 It is encrypted already."
	case !strings.EqualFold(arg, "TLS"):
		return "504 Only TLS."
	}
	return "234 Go on with TLS."
}

// afterAuth encrypts the connection if AUTH was taken, and lets the reader go on. It
// reports whether the session does.
func (c *session) afterAuth(index int) bool {
	if !strings.HasPrefix(c.srv.Since(index)[0].Reply, "234") {
		c.upgraded <- nil
		return true
	}
	if err := c.encrypt(); err != nil {
		return false
	}
	c.upgraded <- c.ctl
	return true
}

func (c *session) encrypt() error {
	if c.srv.opts.TLS == nil { // a rule has promised what there is not
		return errors.New("no TLS")
	}
	t := tls.Server(c.conn, c.srv.opts.TLS)
	_ = c.conn.SetDeadline(time.Now().Add(dataTimeout))
	if err := t.Handshake(); err != nil {
		return err
	}
	_ = c.conn.SetDeadline(time.Time{})
	c.ctl = t
	return nil
}

// encryptData returns nil for data in clear.
func (c *session) encryptData(conn net.Conn) (*tls.Conn, error) {
	if !c.protected {
		return nil, nil
	}
	cfg := c.srv.opts.TLS
	if c.srv.opts.TLSData != nil {
		cfg = c.srv.opts.TLSData
	}
	t := tls.Server(conn, cfg)
	_ = conn.SetDeadline(time.Now().Add(dataTimeout))
	return t, t.Handshake()
}

func (c *session) pbsz(string, Command) string {
	if c.ctl == net.Conn(c.conn) {
		return "503 AUTH first."
	}
	return "200 PBSZ=0"
}

func (c *session) prot(arg string, _ Command) string {
	switch {
	case c.ctl == net.Conn(c.conn):
		return "503 AUTH first."
	case arg == "P":
		c.protected = true
	case arg == "C":
		c.protected = false
	default:
		return "536 P or C."
	}
	return "200 Fine."
}
