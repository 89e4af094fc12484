// Package proxy reaches servers through somebody else: a SOCKS 5 proxy, or an HTTP proxy
// that takes CONNECT. It owns how proxies are named, the dialogue with them, and how
// their refusals are told; it knows nothing of FTP. Names of servers are resolved by the
// proxy. No error and no text of it shows a password.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Proxy is one proxy and how to log in to it.
type Proxy struct {
	Kind     Kind
	Host     string // name or address, without brackets
	Port     int
	User     string // "" for none
	Password string
}

// Kind is what a proxy speaks.
type Kind string

const (
	SOCKS5 Kind = "socks5"
	HTTP   Kind = "http" // CONNECT
)

// DefaultPort is curl's for a proxy of any kind.
const DefaultPort = 1080

// Parse reads KIND://[USER[:PASSWORD]@]HOST[:PORT], with KIND socks5, socks5h (the same
// here) or http; without KIND:// it is of the kind otherwise. User and password are
// percent-decoded.
func Parse(s string, otherwise Kind) (*Proxy, error) {
	p := &Proxy{Kind: otherwise, Port: DefaultPort}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		rest = s
	} else {
		switch strings.ToLower(scheme) {
		case "socks5", "socks5h":
			p.Kind = SOCKS5
		case "http":
			p.Kind = HTTP
		case "https":
			return nil, errors.New("to the proxy itself only clear text is spoken: write http:// (what goes through it may be TLS)")
		case "socks4", "socks4a", "socks":
			return nil, errors.New("SOCKS 5 is spoken, and no older one: write socks5://")
		default:
			return nil, errors.New("it is none of socks5://HOST:PORT and http://HOST:PORT")
		}
	}
	rest = strings.TrimSuffix(rest, "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, password, _ := strings.Cut(rest[:i], ":")
		var err1, err2 error
		if p.User, err1 = url.PathUnescape(user); err1 == nil {
			p.Password, err2 = url.PathUnescape(password)
		}
		if err1 != nil || err2 != nil {
			return nil, errors.New("bad percent encoding in its user or password")
		}
		rest = rest[i+1:]
	}
	if err := p.setHost(rest); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil && err != errNoPassword { // it may be named elsewhere
		return nil, err
	}
	return p, nil
}

var errNoPassword = errors.New("a user without a password, which SOCKS 5 does not know")

func (p *Proxy) setHost(s string) error {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") && (s[0] == '[' || strings.Count(s, ":") == 1) {
		host, port = s[:i], s[i+1:]
	}
	if in, ok := strings.CutPrefix(host, "["); ok || strings.Contains(host, ":") {
		in = strings.TrimSuffix(in, "]")
		if a, err := netip.ParseAddr(in); err != nil || !a.Is6() || !ok {
			return errors.New("no host in it; an IPv6 address is written in brackets")
		}
		host = in
	}
	if host == "" || strings.ContainsAny(host, "/?#@\\ \t\r\n\x00,") {
		return errors.New("no host in it")
	}
	p.Host = host
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errors.New("no port behind its colon")
	}
	p.Port = int(n)
	return nil
}

// Check says what cannot be sent to the proxy. Parse has done so, but for a user without
// a password.
func (p *Proxy) Check() error {
	switch {
	case strings.ContainsAny(p.User+p.Password, "\r\n\x00"):
		return errors.New("line ends and NUL cannot stand in its user or password")
	case p.User == "" && p.Password != "":
		return errors.New("a password without a user")
	case p.Kind == SOCKS5 && p.User != "" && p.Password == "":
		return errNoPassword
	case p.Kind == SOCKS5 && max(len(p.User), len(p.Password)) > 255:
		return errors.New("SOCKS 5 takes 255 bytes of user and of password at most")
	case p.Kind == HTTP && strings.Contains(p.User, ":"):
		return errors.New("a colon in its user, which HTTP does not know")
	}
	return nil
}

func (p *Proxy) addr() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// String names the proxy without its user and password.
func (p *Proxy) String() string { return string(p.Kind) + "://" + p.addr() }

// GoString is String, so that no way to print a Proxy shows more.
func (p *Proxy) GoString() string { return p.String() }

// Format is String, whatever the verb.
func (p *Proxy) Format(f fmt.State, _ rune) { fmt.Fprint(f, p.String()) }

// URL is what Parse reads, with user and password.
func (p *Proxy) URL() string {
	u := url.URL{Scheme: string(p.Kind), Host: p.addr()}
	if p.User != "" {
		u.User = url.UserPassword(p.User, p.Password)
	}
	return u.String()
}
