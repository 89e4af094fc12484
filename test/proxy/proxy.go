// Package proxy is a small SOCKS 5 and HTTP CONNECT proxy for tests, on loopback: it
// knows names that nobody else does, asks for a password, counts what goes through it,
// and misbehaves on demand. It knows nothing of ftpfs.
//
// One mutex guards its books; it is not held across the network.
package proxy

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// Kind is what it speaks.
type Kind string

const (
	SOCKS5 Kind = "socks5"
	HTTP   Kind = "http"
)

// Options of a proxy.
type Options struct {
	User, Password string            // asked for, if not ""
	Names          map[string]string // hosts that only it knows, with their addresses
}

// Fault is what it does to who asks for a connection.
type Fault uint8

const (
	None   Fault = iota
	Refuse       // says no: ruleset, 403
	Fail         // says that the host refused the connection: 5, 502
	Stall        // says nothing
	Hangup       // closes
	Garble       // says something else
	Drown        // never comes to the end of its answer
)

// Server is a running proxy.
type Server struct {
	Kind Kind
	Addr string
	opts Options

	ln      net.Listener
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	fault func(target string) Fault
	asked []string
	conns map[net.Conn]bool
	ended bool
}

// Start runs a proxy until the test ends.
func Start(t testing.TB, kind Kind, o Options) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Kind: kind, Addr: ln.Addr().String(), opts: o, ln: ln, conns: map[net.Conn]bool{}}
	s.running.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// URL names it, with user and password.
func (s *Server) URL() string {
	u := url.URL{Scheme: string(s.Kind), Host: s.Addr}
	if s.opts.User != "" {
		u.User = url.UserPassword(s.opts.User, s.opts.Password)
	}
	return u.String()
}

// Stop ends it and every connection through it.
func (s *Server) Stop() {
	s.mu.Lock()
	s.ended = true
	s.ln.Close()
	for nc := range s.conns {
		nc.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Misbehave has it do what f says of a target ("host:port"); nil: behave.
func (s *Server) Misbehave(f func(target string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Asked are the targets that somebody asked for so far.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *Server) accept() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		if s.keep(nc) {
			s.running.Go(func() {
				defer s.drop(nc)
				s.serve(nc)
			})
		}
	}
}

// keep notes a connection that Stop closes.
func (s *Server) keep(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		nc.Close()
		return false
	}
	s.conns[nc] = true
	return true
}

func (s *Server) drop(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, nc)
	nc.Close()
}

func (s *Server) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	negotiate, answer := s.socks, socksAnswer
	if s.Kind == HTTP {
		negotiate, answer = s.connect, httpAnswer
	}
	target, ok := negotiate(nc, in)
	if !ok {
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, target)
	fault := None
	if s.fault != nil {
		fault = s.fault(target)
	}
	s.mu.Unlock()
	switch fault {
	case Refuse, Fail:
		answer(nc, fault)
		io.Copy(io.Discard, in) // until the client has read it
		return
	case Stall:
		io.Copy(io.Discard, in)
		return
	case Hangup:
		return
	case Garble:
		io.WriteString(nc, "\x07\x07what?\r\n\r\n")
		io.Copy(io.Discard, in)
		return
	case Drown:
		io.WriteString(nc, "HTTP/1.1 200 ok\r\n")
		for {
			if _, err := io.WriteString(nc, "X-More: and more, and more, and more\r\n"); err != nil {
				return
			}
		}
	}
	host, port, _ := net.SplitHostPort(target)
	if a, known := s.opts.Names[host]; known {
		host = a
	}
	out, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		answer(nc, Fail)
		io.Copy(io.Discard, in)
		return
	}
	if !s.keep(out) {
		return
	}
	defer s.drop(out)
	answer(nc, None)
	pipe(nc, in, out)
}

// pipe carries both ways; an end, or a reset, on one side goes on to the other.
func pipe(client net.Conn, in io.Reader, server net.Conn) {
	var both sync.WaitGroup
	carry := func(to net.Conn, from io.Reader) {
		if _, err := io.Copy(to, from); err != nil {
			for _, nc := range []net.Conn{client, server} {
				nc.(*net.TCPConn).SetLinger(0)
				nc.Close()
			}
			return
		}
		to.(*net.TCPConn).CloseWrite()
	}
	both.Go(func() { carry(server, in) })
	both.Go(func() { carry(client, server) })
	both.Wait()
}

// socks takes RFC 1928's greeting, RFC 1929's password, and a CONNECT.
func (s *Server) socks(nc net.Conn, in *bufio.Reader) (target string, ok bool) {
	bytes := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil
		}
		return b
	}
	b := bytes(2)
	if b == nil || b[0] != 5 {
		return "", false
	}
	methods := bytes(int(b[1]))
	method := byte(0)
	if s.opts.User != "" {
		method = 2
	}
	if !slices.Contains(methods, method) {
		nc.Write([]byte{5, 0xff})
		io.Copy(io.Discard, in)
		return "", false
	}
	nc.Write([]byte{5, method})
	if method == 2 {
		var login [2]string
		bytes(1)
		for i := range login {
			n := bytes(1)
			if n == nil {
				return "", false
			}
			login[i] = string(bytes(int(n[0])))
		}
		if login != [2]string{s.opts.User, s.opts.Password} {
			nc.Write([]byte{1, 1})
			io.Copy(io.Discard, in)
			return "", false
		}
		nc.Write([]byte{1, 0})
	}
	if b = bytes(4); b == nil {
		return "", false
	}
	host := ""
	switch b[3] {
	case 1:
		host = net.IP(bytes(4)).String()
	case 4:
		host = net.IP(bytes(16)).String()
	case 3:
		n := bytes(1)
		if n == nil {
			return "", false
		}
		host = string(bytes(int(n[0])))
	}
	if b = bytes(2); b == nil {
		return "", false
	}
	return net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(b))), true
}

func socksAnswer(nc net.Conn, f Fault) {
	code := map[Fault]byte{None: 0, Refuse: 2, Fail: 5}[f]
	nc.Write([]byte{5, code, 0, 1, 127, 0, 0, 1, 0, 0})
}

// connect takes CONNECT.
func (s *Server) connect(nc net.Conn, in *bufio.Reader) (target string, ok bool) {
	r, err := http.ReadRequest(in)
	switch {
	case err != nil:
		io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n")
		return "", false
	case r.Method != http.MethodConnect:
		io.WriteString(nc, "HTTP/1.1 405 Method Not Allowed\r\n\r\n")
		return "", false
	}
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte(s.opts.User+":"+s.opts.Password))
	if s.opts.User != "" && r.Header.Get("Proxy-Authorization") != login {
		io.WriteString(nc, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 4\r\n\r\nno!\n")
		io.Copy(io.Discard, in)
		return "", false
	}
	return r.RequestURI, true
}

func httpAnswer(nc net.Conn, f Fault) {
	io.WriteString(nc, map[Fault]string{
		None:   "HTTP/1.0 200 Connection established\r\nX-Proxy: test\r\n\r\n",
		Refuse: "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n",
		Fail:   "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n",
	}[f])
}
