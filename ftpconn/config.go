package ftpconn

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"ftpfs/ftpconn/codepage"
	"ftpfs/ftpconn/proxy"
	"ftpfs/ftpconn/ticket"
)

// Config says which server, as whom, and how.
type Config struct {
	Host     string
	Port     int // default 21, or 990 for TLS that is Implicit
	User     string
	Password string

	// Dir is the directory that "/" stands for: "" is the login directory, a
	// path without a leading slash is below it, one with it is absolute.
	Dir string

	TLS     TLS
	SafeURL string // names the same with encryption, for a warning

	Active   bool           // the server makes the data connections
	Passive  bool           // we make them, also where that fails; else Active is tried then
	Announce string         // to where, if not to our own address: an address, or a name
	Ports    Ports          // and to which of our ports, if not to any
	MaxConns int            // default 8; at most as many as Ports are
	Timeout  time.Duration  // network inactivity, default 30 s
	Zone     *time.Location // of times in LIST; nil: found by comparing with MDTM

	Codepage *codepage.Page // of the server's names; nil: UTF-8, or whatever bytes they are

	Log   *slog.Logger
	Trace bool // every command and reply, at level debug, without passwords

	// Watch sees the same, "> " before what was sent and "< " before what came, "! "
	// before remarks; nil: nobody does. It may be called by several goroutines.
	Watch func(conn int, line string)

	// Proxy is what the connections go through; nil for none. It does not do with Active.
	Proxy *proxy.Proxy

	// Dial makes every network connection, to the proxy if there is one; nil: a
	// net.Dialer with keepalive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Rates Rates // what transfers of files may take of the line

	// Memory is what an earlier life learned of this server; the zero Memory is nothing.
	// Remember, if set, is told what is worth knowing the next time, moments after it
	// was learned and before Close returns; one call at a time.
	Memory   Memory
	Remember func(Memory)

	// Queue is where programs wait for a connection that another of them holds; nil: there
	// are no others.
	Queue *ticket.Queue

	// MountTag is part of every temporary name of this mount. A name that
	// bears it belongs to us, so that an upload to it may be risked.
	MountTag string
}

// Ports are those from Low to High, both included; the zero value is any.
type Ports struct{ Low, High int }

func (p Ports) count() int { return p.High - p.Low + 1 }

func (c Config) withDefaults() Config {
	if c.Port == 0 {
		if c.Port = 21; c.TLS.Security == Implicit {
			c.Port = 990
		}
	}
	if c.User == "" {
		c.User = "anonymous"
		if c.Password == "" {
			c.Password = "anonymous"
		}
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 8
	}
	if c.Ports != (Ports{}) { // transfers take turns in the pool, which knows who waits for whom
		c.MaxConns = min(c.MaxConns, c.Ports.count())
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Dial == nil {
		d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}}
		c.Dial = d.DialContext
	}
	if c.Proxy != nil {
		c.Dial = c.Proxy.Through(c.Dial)
	}
	return c
}

func (c Config) addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }
