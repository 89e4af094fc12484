package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/ftpconn/proxy"
	testproxy "ftpfs/test/proxy"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]proxy.Proxy{
		"socks5://p":                    {Kind: proxy.SOCKS5, Host: "p", Port: 1080},
		"socks5h://p.example.org:9050/": {Kind: proxy.SOCKS5, Host: "p.example.org", Port: 9050},
		"SOCKS5://u:p%40%3a@[::1]:1":    {Kind: proxy.SOCKS5, Host: "::1", Port: 1, User: "u", Password: "p@:"},
		"http://u@p:3128":               {Kind: proxy.HTTP, Host: "p", Port: 3128, User: "u"},
		"http://a@b:c@p":                {Kind: proxy.HTTP, Host: "p", Port: 1080, User: "a@b", Password: "c"},
		"p:8080":                        {Kind: proxy.HTTP, Host: "p", Port: 8080},
		"[2001:db8::1]":                 {Kind: proxy.HTTP, Host: "2001:db8::1", Port: 1080},
	} {
		got, err := proxy.Parse(in, proxy.HTTP)
		if err != nil || *got != want {
			t.Errorf("%s: %q %q %d %q %q, %v", in, got.Kind, got.Host, got.Port, got.User, got.Password, err)
			continue
		}
		again, err := proxy.Parse(got.URL(), "")
		if err != nil || *again != want {
			t.Errorf("%s: its URL %s, %v", in, got.URL(), err)
		}
		if want.Password != "" {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				if s := fmt.Sprintf(verb, got); strings.Contains(s, want.Password) {
					t.Errorf("%s shows the password: %s", verb, s)
				}
			}
		}
	}
	for in, want := range map[string]string{
		"":                          "no host",
		"socks4://p":                "socks5://",
		"https://p":                 "http://",
		"ftp://p":                   "none of",
		"socks5://u:geheim@":        "no host",
		"socks5://u:geheim@p:0":     "no port",
		"socks5://u:geheim@p:x":     "no port",
		"socks5://u:geheim%zz@p":    "percent",
		"socks5://u:geheim%0a@p":    "line ends",
		"socks5://:geheim@p":        "without a user",
		"socks5://u:geheim":         "no port",
		"http://a%3ab:geheim@p":     "colon",
		"socks5://::1":              "brackets",
		"socks5://p/geheim":         "no host",
		"http://u:gehe/im@p/geheim": "no host",
	} {
		p, err := proxy.Parse(in, proxy.HTTP)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", in, p, err, want)
		} else if strings.Contains(err.Error(), "u:geheim") {
			t.Errorf("%q: the error shows the password: %v", in, err)
		}
	}
}

// echo is a server that speaks first, as FTP's do, and then gives back what it gets.
func echo(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				io.WriteString(nc, "hello\n")
				io.Copy(nc, nc)
			}()
		}
	}()
	return ln.Addr().String()
}

var kinds = map[testproxy.Kind]string{testproxy.SOCKS5: "SOCKS 5", testproxy.HTTP: "HTTP"}

func parse(t *testing.T, s string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Parse(s, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What goes through is whole from the first byte on, and the connection is the socket
// itself. The proxy resolves the name.
func TestThrough(t *testing.T) {
	server := echo(t)
	_, port, _ := net.SplitHostPort(server)
	for kind := range kinds {
		s := testproxy.Start(t, kind, testproxy.Options{User: "me", Password: "ge:heim", Names: map[string]string{"ftp.invalid": "127.0.0.1"}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		for _, addr := range []string{server, "ftp.invalid:" + port} {
			nc, err := parse(t, s.URL()).Through(new(net.Dialer).DialContext)(ctx, "tcp", addr)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if _, ok := nc.(*net.TCPConn); !ok {
				t.Errorf("%s: a %T", kind, nc)
			}
			io.WriteString(nc, "and back\n")
			nc.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(nc); string(got) != "hello\nand back\n" || err != nil {
				t.Errorf("%s: got %q, %v", kind, got, err)
			}
			nc.Close()
		}
		cancel()
		if asked := s.Asked(); len(asked) != 2 || asked[1] != "ftp.invalid:"+port {
			t.Errorf("%s: asked for %q", kind, asked)
		}
	}
}

// A proxy that refuses, fails, stalls, hangs up, or is none: the error says which, no
// later than the deadline.
func TestRefusals(t *testing.T) {
	server := echo(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for kind, name := range kinds {
		other := testproxy.HTTP
		if kind == other {
			other = testproxy.SOCKS5
		}
		type want struct {
			text          string
			said, timeout bool
		}
		for fault, w := range map[testproxy.Fault]want{
			testproxy.Refuse: {text: map[testproxy.Kind]string{testproxy.SOCKS5: "not allowed", testproxy.HTTP: "403 Forbidden"}[kind], said: true},
			testproxy.Fail:   {text: map[testproxy.Kind]string{testproxy.SOCKS5: "connection refused", testproxy.HTTP: "502 Bad Gateway"}[kind], said: true},
			testproxy.Stall:  {text: "no connection to " + server + " in time", timeout: true},
			testproxy.Hangup: {text: "closed the connection"},
			testproxy.Garble: {text: "does not answer as " + name + " does"},
			testproxy.Drown:  {text: "does not answer as " + name + " does"},
		} {
			s := testproxy.Start(t, kind, testproxy.Options{})
			s.Misbehave(func(string) testproxy.Fault { return fault })
			patience := 20 * time.Second
			if w.timeout {
				patience = 200 * time.Millisecond
			}
			check(t, fmt.Sprintf("%s, fault %d", kind, fault), s.URL(), server, patience, w.text, w.said, w.timeout)
		}
		asking := testproxy.Start(t, kind, testproxy.Options{User: "me", Password: "geheim"})
		check(t, string(kind)+", no password", string(kind)+"://"+asking.Addr, server, 20*time.Second, "a user and a password", true, false)
		check(t, string(kind)+", wrong password", string(kind)+"://me:falsch@"+asking.Addr, server, 20*time.Second, "authentication", true, false)
		// An HTTP proxy waits for the end of SOCKS 5's first line.
		patience := map[testproxy.Kind]time.Duration{testproxy.SOCKS5: 200 * time.Millisecond, testproxy.HTTP: 20 * time.Second}[kind]
		check(t, string(kind)+", of another kind", string(kind)+"://"+testproxy.Start(t, other, testproxy.Options{}).Addr, server, patience, "", false, kind == testproxy.SOCKS5)
		check(t, string(kind)+", not there", string(kind)+"://"+gone.Addr().String(), server, 20*time.Second, "connection refused", false, false)
		check(t, string(kind)+", unknown", string(kind)+"://nowhere.invalid", server, 20*time.Second, "nowhere.invalid", false, false)
		check(t, string(kind)+", an FTP server", string(kind)+"://"+server, server, 20*time.Second, "does not answer as "+name+" does", false, false)
	}
}

func check(t *testing.T, what, url, server string, patience time.Duration, text string, said, timeout bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := parse(t, url)
	nc, err := p.Through(new(net.Dialer).DialContext)(ctx, "tcp", server)
	if err == nil {
		nc.Close()
		t.Errorf("%s: it worked", what)
		return
	}
	t.Log(err)
	var e *proxy.Error
	if !errors.As(err, &e) || e.Said != said || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(text)) {
		t.Errorf("%s: %v; want %q, its own word: %v", what, err, text, said)
	}
	if said && !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: %v is not taken for a refused connection", what, err)
	}
	var ne net.Error
	if got := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout(); got != timeout {
		t.Errorf("%s: timeout %v, want %v: %v", what, got, timeout, err)
	}
	if p.Password != "" && strings.Contains(err.Error(), p.Password) || !strings.Contains(err.Error(), p.Host) {
		t.Errorf("%s: %v", what, err)
	}
}

// Who waits for a proxy can be interrupted.
func TestInterrupted(t *testing.T) {
	for kind := range kinds {
		s := testproxy.Start(t, kind, testproxy.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		s.Misbehave(func(string) testproxy.Fault { cancel(); return testproxy.Stall })
		_, err := parse(t, s.URL()).Through(new(net.Dialer).DialContext)(ctx, "tcp", "127.0.0.1:9")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	for _, c := range []struct {
		env, addr, want string
	}{
		{"", "ftp.example.org:21", ""},
		{"ALL_PROXY=socks5://p:1", "ftp.example.org:21", "socks5://p:1"},
		{"ALL_PROXY=socks5://p:1 all_proxy=q:2", "ftp.example.org:21", "http://q:2"},
		{"ftp_proxy=http://p:1 http_proxy=http://p:1", "ftp.example.org:21", ""},
		{"ALL_PROXY=socks5://p:1 NO_PROXY=example.org", "ftp.example.org:21", ""},
		{"ALL_PROXY=socks5://p:1 no_proxy=10.0.0.0/8,.example.com", "10.1.2.3:21", ""},
		{"ALL_PROXY=socks5://p:1 no_proxy=10.0.0.0/8,.example.com", "[2001:db8::1]:21", "socks5://p:1"},
		{"ALL_PROXY=socks5://p:1 no_proxy=*", "ftp.example.org:21", ""},
		{"ALL_PROXY=socks5://p:1", "localhost:21", ""},
		{"ALL_PROXY=socks5://p:1", "127.0.0.1:21", ""},
		{"ALL_PROXY=gopher://p", "ftp.example.org:21", "error"},
	} {
		get := func(name string) string {
			for _, v := range strings.Fields(c.env) {
				if n, v, _ := strings.Cut(v, "="); n == name {
					return v
				}
			}
			return ""
		}
		p, err := proxy.FromEnvironment(get, c.addr)
		got := ""
		switch {
		case err != nil:
			got = "error"
			if !strings.Contains(err.Error(), "$ALL_PROXY") {
				t.Error(err)
			}
		case p != nil:
			got = p.String()
		}
		if got != c.want {
			t.Errorf("%s, %s: %q, %v; want %q", c.env, c.addr, got, err, c.want)
		}
	}
}
