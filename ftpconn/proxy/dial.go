package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/proxy"
)

// Dial makes a connection; net.Dialer's DialContext is one.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Error is a connection that was not made.
type Error struct {
	Proxy string // without user and password
	Said  bool   // it is the proxy's own word, and not trouble with it
	Err   error
}

func (e *Error) Error() string { return "proxy " + e.Proxy + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Is takes what a proxy says it could not do for a refused connection.
func (e *Error) Is(target error) bool { return e.Said && target == syscall.ECONNREFUSED }

// Through is a Dial that goes through the proxy, which is reached by direct. The network
// connection that it returns is the one to the proxy itself.
func (p *Proxy) Through(direct Dial) Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var nc net.Conn
		reach := func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := direct(ctx, "tcp", p.addr())
			nc = c
			return c, err
		}
		connect := p.socks5
		if p.Kind == HTTP {
			connect = p.http
		}
		err := connect(ctx, reach, addr)
		if err == nil {
			return nc, nil
		}
		if nc != nil {
			nc.Close()
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, p.explain(err, nc != nil, addr)
	}
}

// said is the proxy's answer, when it is no.
type said string

func (s said) Error() string { return string(s) }

// garbled is an answer that is none.
type garbled struct{ err error }

func (g garbled) Error() string { return g.err.Error() }

func (p *Proxy) explain(err error, reached bool, addr string) error {
	e := &Error{Proxy: p.String(), Err: err}
	var ne net.Error
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		what := "no answer: %w"
		if reached {
			what = "no connection to " + addr + " in time: %w"
		}
		e.Err = fmt.Errorf(what, err)
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Err = fmt.Errorf("unknown host %q", dns.Name)
	case errors.As(err, new(said)):
		e.Said = true
		e.Err = fmt.Errorf("no connection to %s: %w", addr, err)
	case errors.As(err, new(garbled)):
		e.Err = fmt.Errorf("it does not answer as %s does (%w): is it a proxy of another kind?", map[Kind]string{SOCKS5: "SOCKS 5", HTTP: "HTTP"}[p.Kind], err)
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		e.Err = errors.New("it closed the connection without an answer")
	case errors.Is(err, syscall.ECONNREFUSED) && !reached:
		e.Err = errors.New("connection refused")
	case errors.As(err, &op):
		e.Err = op.Err
	}
	return e
}

// socks5 has x/net speak RFC 1928 and 1929. What it returns is a wrapper of the
// connection, of which reach has kept the inner one.
func (p *Proxy) socks5(ctx context.Context, reach Dial, addr string) error {
	var auth *proxy.Auth
	if p.User != "" {
		auth = &proxy.Auth{User: p.User, Password: p.Password}
	}
	var outside error // of reach
	d, err := proxy.SOCKS5("tcp", p.addr(), auth, dialer(func(ctx context.Context, network, a string) (net.Conn, error) {
		c, err := reach(ctx, network, a)
		outside = err
		return c, err
	}))
	if err != nil {
		return err
	}
	_, err = d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	var op, inner *net.OpError
	switch {
	case outside != nil:
		return outside
	case !errors.As(err, &op):
		return err
	}
	switch err = op.Err; {
	case errors.As(err, &inner), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	// The library has a text for each answer, and no type.
	text := err.Error()
	if answer, ok := strings.CutPrefix(text, "unknown error "); ok {
		return said(answer)
	}
	if strings.Contains(text, "authentication") {
		if p.User == "" {
			text += "; it wants a user and a password"
		}
		return said(text)
	}
	return garbled{err}
}

// dialer makes a function what the library asks for.
type dialer Dial

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

func (d dialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

// maxHead bounds an HTTP proxy's answer.
const maxHead = 16 << 10

// http asks for a tunnel by CONNECT (RFC 9110, section 9.3.6).
func (p *Proxy) http(ctx context.Context, reach Dial, addr string) error {
	nc, err := reach(ctx, "tcp", p.addr())
	if err != nil {
		return err
	}
	if by, ok := ctx.Deadline(); ok {
		nc.SetDeadline(by)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n", addr)
	if p.User != "" {
		b.WriteString("Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.User+":"+p.Password)) + "\r\n")
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(nc, b.String()); err != nil {
		return err
	}
	head, err := readHead(nc)
	if err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return garbled{err}
	}
	if r.StatusCode/100 != 2 {
		answer := printable(r.Status)
		switch r.StatusCode {
		case http.StatusProxyAuthRequired:
			if answer += "; it refuses this user and password"; p.User == "" {
				answer = printable(r.Status) + "; it wants a user and a password"
			}
		case http.StatusForbidden, http.StatusMethodNotAllowed:
			answer += "; it may allow CONNECT to other ports only"
		}
		return said(answer)
	}
	if !stop() {
		return ctx.Err()
	}
	return nc.SetDeadline(time.Time{})
}

// readHead reads up to the empty line and not a byte more: what follows is the server's.
func readHead(nc net.Conn) ([]byte, error) {
	var head []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(nc, one); err != nil {
			if err == io.EOF && len(head) > 0 {
				return nil, garbled{fmt.Errorf("%q and the end", printable(string(head[:min(len(head), 40)])))}
			}
			return nil, err
		}
		head = append(head, one[0])
		switch {
		case bytes.HasSuffix(head, []byte("\r\n\r\n")), bytes.HasSuffix(head, []byte("\n\n")):
			return head, nil
		case len(head) >= maxHead:
			return nil, garbled{errors.New("an answer without end")}
		case len(head) == 5 && string(head) != "HTTP/":
			return nil, garbled{fmt.Errorf("%q", printable(string(head)))}
		}
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
