package ftpconn_test

import (
	"context"
	"flag"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

// short is the network timeout of tests in which something stalls. A step of a server
// that is well must stay below it on a machine that has much else to do; a busy one
// was seen to take three quarters of a second.
const short = 3 * time.Second

var overTLS = flag.Bool("tls", false, "all tests with a scripted server encrypted")

// start runs a scripted server and a Store on it.
func start(t *testing.T, o ftpscript.Options, change func(*ftpconn.Config)) (*ftpscript.Server, *ftpconn.Store) {
	t.Helper()
	if *overTLS && o.TLS == nil {
		pair := certs.Issue(t, certs.Options{})
		inner := change
		o.TLS, change = serving(pair), func(c *ftpconn.Config) {
			believing(pair)(c)
			if inner != nil {
				inner(c)
			}
		}
	}
	return startAsIs(t, o, change)
}

// startAsIs is start without regard to -tls.
func startAsIs(t *testing.T, o ftpscript.Options, change func(*ftpconn.Config)) (*ftpscript.Server, *ftpconn.Store) {
	t.Helper()
	srv := ftpscript.Start(t, o)
	return srv, open(t, srv, change)
}

func open(t *testing.T, srv *ftpscript.Server, change func(*ftpconn.Config)) *ftpconn.Store {
	t.Helper()
	cfg := ftpconn.Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password,
		Timeout: 10 * time.Second, MountTag: "tag7"}
	if change != nil {
		change(&cfg)
	}
	s := ftpconn.New(cfg)
	t.Cleanup(func() { s.Close() })
	return s
}

// impatient lets a stalled step end soon.
func impatient(c *ftpconn.Config) { c.Timeout = short }

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func kind(t *testing.T, what string, err error, want ...remote.Kind) {
	t.Helper()
	for _, k := range want {
		if remote.Is(err, k) {
			return
		}
	}
	t.Fatalf("%s: got %v (kind %v), want %v", what, err, remote.KindOf(err), want)
}

func names(entries []remote.Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return strings.Join(out, " ")
}

// segments counts what a client writes to a control connection: a command, or
// several in one segment.
type segments struct {
	mu   sync.Mutex
	sent []string
}

func (s *segments) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.sent
	s.sent = nil
	return got
}

// dial wraps the control connections to port; write, if set, may forward what it
// likes.
func (s *segments) dial(port int, write func(c net.Conn, p []byte) (int, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || nc.RemoteAddr().(*net.TCPAddr).Port != port {
			return nc, err
		}
		return &counted{TCPConn: nc.(*net.TCPConn), s: s, write: write}, nil
	}
}

type counted struct {
	*net.TCPConn
	s     *segments
	write func(c net.Conn, p []byte) (int, error)
}

func (c *counted) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent = append(c.s.sent, string(p))
	c.s.mu.Unlock()
	if c.write != nil {
		return c.write(c.TCPConn, p)
	}
	return c.TCPConn.Write(p)
}
