package ftpconn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

func active(c *ftpconn.Config) { c.Active = true }

// freePorts are n ports in a row on which nothing listens now.
func freePorts(t *testing.T, n int) ftpconn.Ports {
	t.Helper()
	for low := 20000; low < 30000; low += n {
		var all []net.Listener
		for port := low; port < low+n; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				break
			}
			all = append(all, l)
		}
		for _, l := range all {
			l.Close()
		}
		if len(all) == n {
			return ftpconn.Ports{Low: low, High: low + n - 1}
		}
	}
	t.Fatal("no free ports")
	return ftpconn.Ports{}
}

// whole reads a file and writes another, and lists, as every way to make data
// connections must let one do.
func whole(t *testing.T, srv *ftpscript.Server, s *ftpconn.Store) {
	t.Helper()
	srv.Tree.Put("/d/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	got, err := read(s, "/d/f", 0)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read %d bytes of %d, %v", len(got), len(content), err)
	}
	ok(t, "write", s.Write(t.Context(), "/d/tag7", bytes.NewReader(content), 0, int64(len(content))))
	if got, _ := srv.Tree.Get("/d/tag7"); !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d are on the server", len(got), len(content))
	}
	entries, err := s.List(t.Context(), "/d")
	if err != nil || names(entries) != "f" && names(entries) != "f tag7" {
		t.Errorf("listed %q, %v", names(entries), err)
	}
}

// told are the addresses and ports that the server was told to connect to.
func told(srv *ftpscript.Server) (all []string) {
	for _, c := range srv.Since(0) {
		switch c.Verb {
		case "EPRT":
			f := strings.Split(c.Arg, "|")
			all = append(all, net.JoinHostPort(f[2], f[3]))
		case "PORT":
			var b [6]byte
			for i, n := range strings.Split(c.Arg, ",") {
				fmt.Sscan(n, &b[i])
			}
			all = append(all, fmt.Sprintf("%d.%d.%d.%d:%d", b[0], b[1], b[2], b[3], int(b[4])<<8|int(b[5])))
		}
	}
	return all
}

// The server connects to our own address, or to the one it is told of: by EPRT and by
// PORT, IPv4 and IPv6.
func TestActiveAddress(t *testing.T) {
	for _, c := range []struct {
		what, host, announce string
		refuse               []string
		want                 string // "" if it cannot be done
	}{
		{what: "our own", want: "127.0.0.1"},
		{what: "our own by PORT", refuse: []string{"EPRT"}, want: "127.0.0.1"},
		{what: "another", announce: "127.0.0.5", want: "127.0.0.5"},
		{what: "another by PORT", announce: "127.0.0.5", refuse: []string{"EPRT"}, want: "127.0.0.5"},
		{what: "a name", announce: "localhost", want: "127.0.0.1"},
		{what: "our own IPv6", host: "::1", want: "::1"},
		{what: "IPv6 without EPRT", host: "::1", refuse: []string{"EPRT"}},
		{what: "IPv6 for IPv4", announce: "::1"},
		{what: "IPv4 for IPv6", host: "::1", announce: "127.0.0.1"},
		{what: "an unknown name", announce: "nowhere.invalid"},
	} {
		t.Run(c.what, func(t *testing.T) {
			srv, s := start(t, ftpscript.Options{Host: c.host, Refuse: c.refuse}, func(cfg *ftpconn.Config) {
				cfg.Active, cfg.Announce = true, c.announce
			})
			if c.want == "" {
				srv.Tree.Put("/f", content)
				_, err := read(s, "/f", 0)
				if err == nil {
					t.Fatal("it worked")
				}
				if c.announce != "" && !strings.Contains(err.Error(), "the address for active mode") {
					t.Errorf("%v does not say what is wrong", err)
				}
				_, err = s.Stat(t.Context(), "/f")
				ok(t, "a stat, which needs no data connection", err)
				if n := s.Stats().Logins; n != 1 {
					t.Errorf("%d logins", n)
				}
				return
			}
			whole(t, srv, s)
			for _, a := range told(srv) {
				if host, _, _ := net.SplitHostPort(a); netip.MustParseAddr(host) != netip.MustParseAddr(c.want) {
					t.Errorf("told %s, want %s", a, c.want)
				}
			}
			if len(told(srv)) < 3 {
				t.Errorf("told %q", told(srv))
			}
		})
	}
}

// Data connections come to the ports that were given, to one after the other, and there
// are no more transfers at once than ports.
func TestActivePorts(t *testing.T) {
	ports := freePorts(t, 3)
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Active, c.Ports = true, ports })
	whole(t, srv, s)
	for range 3 {
		whole(t, srv, s)
	}
	seen := map[string]int{}
	last := ""
	for _, a := range told(srv) {
		var port int
		fmt.Sscanf(a, "127.0.0.1:%d", &port)
		if port < ports.Low || port > ports.High {
			t.Errorf("told %s, want a port from %d to %d", a, ports.Low, ports.High)
		}
		if a == last {
			t.Errorf("told %s twice running", a)
		}
		last = a
		seen[a]++
	}
	if len(seen) != 3 {
		t.Errorf("told %v, want all three", seen)
	}
	if got := s.Stats().Max; got != 3 {
		t.Errorf("%d connections at most, want 3", got)
	}
	var held []io.ReadCloser
	for range 2 { // one connection is for metadata
		r, err := s.Open(t.Context(), "/d/f", 0, nil)
		ok(t, "open", err)
		held = append(held, r)
	}
	for _, r := range held {
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		r.Close()
	}
}

// While others hold all the ports a transfer waits, for no longer than the timeout; its
// error says so, and neither the connection nor the server is blamed.
func TestActivePortsInUse(t *testing.T) {
	t.Parallel() // it mostly waits
	ports := freePorts(t, 2)
	hold := func() (all []net.Listener) {
		for port := ports.Low; port <= ports.High; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			ok(t, "hold a port", err)
			all = append(all, l)
		}
		return all
	}
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Active, c.Ports, c.Timeout = true, ports, short })
	srv.Tree.Put("/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	held := hold()
	_, err := read(s, "/f", 0)
	kind(t, "read", err, remote.Temporary)
	if want := fmt.Sprintf("all ports from %d to %d", ports.Low, ports.High); !strings.Contains(err.Error(), want) {
		t.Errorf("%v: want %q in it", err, want)
	}
	if up, _, _ := s.Health(); !up {
		t.Error("the server counts as down")
	}
	for _, l := range held {
		l.Close()
	}
	held = hold()
	done := make(chan error, 1)
	go func() {
		_, err := read(s, "/f", 0)
		done <- err
	}()
	held[1].Close()
	ok(t, "read, once a port is free", <-done)
	held[0].Close()
	if n := s.Stats().Logins; n != 1 {
		t.Errorf("%d logins", n)
	}

	held = hold()
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	_, err = s.Open(ctx, "/f", 0, nil)
	kind(t, "while it waits for a port", err, remote.Canceled)
	for _, l := range held {
		l.Close()
	}
}

// A connection from a third host is turned away, and the server's own still taken.
func TestActiveFromThirdHostFirst(t *testing.T) {
	srv, s := start(t, ftpscript.Options{DataBefore: "127.0.0.2"}, active)
	whole(t, srv, s)
}

// A server that cannot connect to us says so, and that is not waited for. Its control
// connection is used on.
func TestActiveThatTheServerCannotMake(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, active)
	srv.Tree.Put("/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	rule := srv.Add(ftpscript.Rule{Verb: "EPRT", Instead: "200 Noted."}) // and forgotten
	_, err := read(s, "/f", 0)
	kind(t, "read", err, remote.Temporary, remote.Down)
	if !strings.Contains(err.Error(), "No data connection") {
		t.Errorf("%v: want the server's words", err)
	}
	rule.Remove()
	whole(t, srv, s)
	if n := s.Stats().Logins; n != 1 {
		t.Errorf("%d logins", n)
	}
}

// One port that is not forwarded, or may not be used again so soon, does not fail the
// transfer while there are others.
func TestActivePortThatDoesNotWork(t *testing.T) {
	ports := freePorts(t, 3)
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Active, c.Ports = true, ports })
	bad := fmt.Sprintf("|%d|", ports.Low+1)
	srv.Add(ftpscript.Rule{Verb: "EPRT", Match: func(c ftpscript.Command) bool { return strings.HasSuffix(c.Arg, bad) }, Instead: "200 Noted."})
	for range 4 {
		whole(t, srv, s)
	}
	if n := s.Stats().Logins; n > 2 {
		t.Errorf("%d logins", n)
	}
}
