package ftpconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/wire"
)

// Security is how much encryption is asked for.
type Security = wire.Security

const (
	Clear    = wire.Clear    // none
	Try      = wire.Try      // AUTH TLS where the server takes it
	Explicit = wire.Explicit // AUTH TLS, or no connection
	Implicit = wire.Implicit // from the first byte on
)

// TLS says how the connections are protected, and which server is believed. Unless
// told otherwise it is one whose certificate is valid, for the host as it is named in
// Config, and signed by somebody the system knows.
type TLS struct {
	Security     Security
	Roots        *x509.CertPool   // believed signers, instead of the system's; nil: the system's
	Pins         []pin.Pin        // one of them must fit; without Roots nothing else matters then
	NoVerify     bool             // any certificate will do
	NoVerifyName bool             // that of another host will do
	Certificate  *tls.Certificate // our own, for servers that ask; nil: none
	ClearData    bool             // PROT C
	Max          uint16           // the highest version of TLS; 0: 1.3
}

// config is what crypto/tls needs to know.
func (t TLS) config(host string) *tls.Config {
	name, _, _ := strings.Cut(host, "%") // the zone of an IPv6 address is nobody's name
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12, MaxVersion: t.Max, RootCAs: t.Roots}
	if t.Certificate != nil {
		c.Certificates = []tls.Certificate{*t.Certificate}
	}
	chain := !t.NoVerify && (len(t.Pins) == 0 || t.Roots != nil)
	if chain && !t.NoVerifyName && len(t.Pins) == 0 {
		return c // crypto/tls does the usual by itself
	}
	if t.NoVerifyName {
		name = ""
	}
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error { // also when a session is resumed
		err := t.pinned(s.PeerCertificates)
		if err == nil && chain {
			err = t.verify(s.PeerCertificates, name)
		}
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		return nil
	}
	return c
}

var errPin = errors.New("it is not what is pinned")

func (t TLS) pinned(chain []*x509.Certificate) error {
	for _, p := range t.Pins {
		if p.Fits(chain[0]) {
			return nil
		}
	}
	if len(t.Pins) > 0 {
		return errPin
	}
	return nil
}

// verify checks a chain; name "" is any host.
func (t TLS) verify(chain []*x509.Certificate, name string) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: t.Roots, Intermediates: between, DNSName: name})
	return err
}

// Insecure is a server that is not spoken to: it could not prove who it is, or does not
// give the encryption that was asked for. Its text says what to do.
type Insecure struct{ why string }

func (e *Insecure) Error() string { return e.why }

// errNotTaken is a server that refuses the certificate of ours that it was shown, or was to
// be shown: none is sent of which the server has said that it does not believe its signer.
var errNotTaken = errors.New("the server does not take our certificate")

// insecure words a fault of that sort.
func (t TLS) insecure(f *wire.Error) *Insecure {
	var cert *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(f.Err, &cert) && len(cert.UnverifiedCertificates) > 0:
		return &Insecure{t.untrusted(cert.UnverifiedCertificates[0], cert.Err)}
	case f.Step == "AUTH TLS" && f.Reply.Code != 0:
		return &Insecure{fmt.Sprintf("%v: %s. Nothing was sent in clear", f.Err, f.Reply)}
	case errors.As(f.Err, &header) && f.Step == "TLS":
		return &Insecure{"what answers there does not speak TLS from the first byte on; ftpes:// (tls=explicit) may be right"}
	case errors.Is(f.Err, errNotTaken):
		return &Insecure{f.Err.Error() + "; give one that it believes with cert=FILE,key=FILE"}
	case errors.Is(f.Err, wire.ErrNoCertificate), errors.As(f.Err, &op) && strings.HasSuffix(op.Err.Error(), "certificate required"):
		return &Insecure{"the server wants a certificate of ours; give it with cert=FILE,key=FILE"}
	}
	return &Insecure{f.Error()}
}

// untrusted says what is wrong with a certificate, and what to do if it is the
// server's all the same.
func (t TLS) untrusted(c *x509.Certificate, err error) string {
	accept := "pin_sha256=" + pin.Of(c).String()
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var system x509.SystemRootsError
	switch {
	case errors.Is(err, errPin):
		return "the server's certificate is not the one that is pinned: it was changed, or another server answers. If it is right, it has " + accept
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(c.NotBefore):
		return fmt.Sprintf("the server's certificate is not valid before %s; is the clock right? If the certificate is, mount with -o %s", day(c.NotBefore), accept)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the server's certificate has expired on %s. To believe it all the same, mount with -o %s", day(c.NotAfter), accept)
	case errors.As(err, &name):
		return fmt.Sprintf("the server's certificate is not for %s but for %s. If it is the right server, name it so, or mount with -o %s", name.Host, names(c), accept)
	case errors.As(err, &unknown) && t.Roots != nil && c.Issuer.String() == c.Subject.String():
		return "the server's certificate is signed by nobody but itself, and is not in the file that cacert names. If it is the right one, add it there, or mount with -o " + accept + " instead of cacert"
	case errors.As(err, &unknown) && t.Roots != nil:
		return fmt.Sprintf("the server's certificate is signed by %q, who is not in the file that cacert names. Add its certificate there, or mount with -o %s instead of cacert if the server's is right", c.Issuer.String(), accept)
	case errors.As(err, &unknown) && c.Issuer.String() == c.Subject.String():
		return "the server's certificate is signed by nobody but itself. If it is the right one, mount with -o " + accept + " (or with the certificate as cacert=FILE)"
	case errors.As(err, &unknown):
		return fmt.Sprintf("the server's certificate is signed by %q, whom nobody here knows. Mount with its certificate as -o cacert=FILE, or with -o %s if the server's is right", c.Issuer.String(), accept)
	case errors.As(err, &system):
		return "this machine knows no signers of certificates (Debian's package ca-certificates). If the server's is right, mount with -o " + accept
	}
	return fmt.Sprintf("the server's certificate is not good: %v. If it is the right one, mount with -o %s", err, accept)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// names are the hosts that a certificate is for.
func names(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "none"
	}
	const most = 5
	if len(all) > most {
		all = append(all[:most], "…")
	}
	return strings.Join(all, ", ")
}

// warnClear says once that the password crossed the network in clear, unless the
// server is this machine or the user is anonymous.
func (s *Store) warnClear(w *wire.Conn, feats map[string]string) {
	if w.Protected() || w.Local() || s.cfg.User == "anonymous" || s.cfg.User == "ftp" {
		return
	}
	why := "the password and all data cross the network in clear"
	if s.cfg.TLS.Security == Try {
		why += ", as the server refuses encryption"
	}
	if auth := strings.ToUpper(feats["AUTH"]); strings.Contains(auth, "TLS") && s.cfg.SafeURL != "" && s.cfg.TLS.Security == Clear {
		why += "; the server offers encryption: " + s.cfg.SafeURL
	}
	s.mu.Lock()
	first := s.clear == ""
	s.clear = why
	s.mu.Unlock()
	if first {
		s.log.Warn(why, "server", s.cfg.addr())
	}
}

// InClear is the warning that the password crossed the network in clear; "" if it
// did not.
func (s *Store) InClear() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clear
}

// tellTry says once what tls=try got.
func (s *Store) tellTry() {
	k := s.tls.Known()
	s.mu.Lock()
	first := !s.tried
	s.tried = true
	s.mu.Unlock()
	switch {
	case !first || s.cfg.TLS.Security != Try:
	case k.Version != "":
		s.log.Info("tls=try: encrypted", "server", s.cfg.addr(), "tls", k.Version)
	default:
		s.log.Info("tls=try: nothing is encrypted", "server", s.cfg.addr(), "answer", k.Clear.String())
	}
}

// alerted says that the peer, and not the link, ended the connection.
func alerted(f *wire.Error) bool {
	var op *net.OpError
	return errors.As(f.Err, &op) && op.Op == "remote error"
}
