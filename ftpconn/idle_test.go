package ftpconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/ftpconn/proxy"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
	testproxy "ftpfs/test/proxy"
)

// hurried is the rhythm of idle sessions, some fifty times as fast.
var hurried = rhythm{restBefore: time.Millisecond, dropAfter: 60 * time.Millisecond, watchAfter: 20 * time.Millisecond,
	noopEvery: 900 * time.Millisecond, leastNoop: 60 * time.Millisecond, closeAfter: 4 * time.Second, closeAll: time.Minute,
	staleAfter: 1200 * time.Millisecond, lateAfter: 300 * time.Millisecond, keepTime: 2 * time.Second,
	leastLimit: 40 * time.Millisecond, slack: 20 * time.Millisecond}

func hurriedStore(t *testing.T, srv *ftpscript.Server, change func(*Config)) *Store {
	t.Helper()
	c := Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password, Timeout: time.Minute, MountTag: "tag7"}
	if change != nil {
		change(&c)
	}
	s := New(c)
	s.pool.times = hurried
	t.Cleanup(func() { s.Close() })
	return s
}

// A server that ends idle connections after (hurried) half a minute: who uses the mount
// never notices. The first time the connection is replaced before anybody comes, and
// from then on it is kept; also where what is watched is a connection to a proxy, or what
// comes on it is encrypted, tickets of TLS 1.3 being among it.
func TestIdleTimeoutOfTheServerIsNotSeen(t *testing.T) {
	for _, through := range []testproxy.Kind{"", testproxy.SOCKS5, testproxy.HTTP} {
		for _, version := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("proxy %q TLS %x", through, version), func(t *testing.T) {
				t.Parallel() // it mostly waits
				var o ftpscript.Options
				var c Config
				if version != 0 {
					pair := certs.Issue(t, certs.Options{})
					o.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
					c.TLS = TLS{Security: Explicit, Max: version, Roots: certs.Pool(pair)}
				}
				if through != "" {
					var err error
					if c.Proxy, err = proxy.Parse(testproxy.Start(t, through, testproxy.Options{User: "me", Password: "geheim"}).URL(), ""); err != nil {
						t.Fatal(err)
					}
				}
				idleTimeoutIsNotSeen(t, ftpscript.Start(t, o), c)
			})
		}
	}
}

func idleTimeoutIsNotSeen(t *testing.T, srv *ftpscript.Server, how Config) {
	srv.Tree.Put("/f", nil)
	var m Memory
	s := hurriedStore(t, srv, func(c *Config) {
		c.TLS, c.Proxy = how.TLS, how.Proxy
		c.Remember = func(got Memory) { m = got }
	})
	s.pool.times.noopEvery = time.Hour                                    // who does not hear of the end learns of it too late
	s.pool.times.keepTime, s.pool.times.closeAll = time.Minute, time.Hour // this machine may stand still for long
	begun := time.Now()
	if _, err := s.Stat(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	await := func(what string, mark int, verb string, n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		if got, err := srv.Await(ctx, mark, func(c ftpscript.Commands) bool { return len(c.Verbs(verb)) >= n }); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, got)
		}
	}
	time.Sleep(2 * s.pool.times.leastLimit) // at least
	srv.EndIdle()
	await("the server ends the idle connection", 0, "IDLE", 1)
	await("it is replaced", 0, "PWD", 2)
	idled := time.Since(begun) // at most
	mark := srv.Mark()
	await("and kept", mark, "NOOP", 3)
	if err := s.Mkdir(t.Context(), "/d"); err != nil {
		t.Error(err)
	}
	s.pool.mu.Lock()
	every := s.pool.noopEveryLocked()
	s.pool.mu.Unlock()
	if every > max(idled*2/3, s.pool.times.leastNoop) {
		t.Errorf("a NOOP every %v, after one idled for %v at most", every, idled)
	}
	s.Close()
	if got := m.Idle.Value; got.Futile || got.Limit <= 0 || got.Limit > idled.Seconds()+0.1 { // in tenths
		t.Errorf("%+v is remembered", got)
	}
	next := hurriedStore(t, srv, func(c *Config) { c.Memory = m })
	if every := next.pool.idling.limit; every == 0 {
		t.Error("and forgotten")
	}
}

// A connection that a NAT has silently cut while it was idle, or while this machine slept,
// which the clock leaves out: its next user gets a new one soon, instead of waiting for the
// timeout.
func TestSilentlyCutConnectionsAreNoticedSoon(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		const stale = 30 * time.Millisecond
		silentlyCut(t, stale, func(*atomic.Int64) { time.Sleep(2 * stale) }) // only makes it older
	})
	t.Run("slept", func(t *testing.T) {
		silentlyCut(t, time.Hour, func(slept *atomic.Int64) { slept.Add(int64(time.Hour)) })
	})
}

// silentlyCut has time pass for an idle connection that is cut; slept is how long the
// machine has slept.
func silentlyCut(t *testing.T, stale time.Duration, pass func(slept *atomic.Int64)) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/f", nil)
	var cut atomic.Bool
	var dialed atomic.Int64
	s := hurriedStore(t, srv, func(c *Config) {
		c.MaxConns = 1
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			if dialed.Add(1) > 1 {
				return nc, nil
			}
			return &silenced{nc.(*net.TCPConn), &cut}, nil
		}
	})
	s.pool.times.noopEvery, s.pool.times.staleAfter = time.Hour, stale
	var asleep atomic.Int64
	s.pool.slept = func() time.Duration { return slept() + time.Duration(asleep.Load()) }
	if _, err := s.Stat(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	cut.Store(true)
	pass(&asleep)
	ctx, cancel := context.WithTimeout(t.Context(), s.cfg.Timeout/2)
	defer cancel()
	if err := s.Mkdir(ctx, "/d"); err != nil {
		t.Fatal(err)
	}
	if up, _, _ := s.Health(); !up {
		t.Error("the server counts as down")
	}
}

// silenced takes what is written and sends nothing, once it is cut.
type silenced struct {
	*net.TCPConn
	cut *atomic.Bool
}

func (c *silenced) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

func (c *silenced) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// A connection that was closed while it idled is not handed out: nothing is sent on it,
// and no operation fails, whatever it is.
func TestClosedIdleConnectionsAreNotUsed(t *testing.T) {
	for what, mute := range map[string]bool{"without a word": true, "with a word": false} {
		srv := ftpscript.Start(t, ftpscript.Options{IdleMute: mute})
		s := hurriedStore(t, srv, func(c *Config) { c.MaxConns = 1 })
		s.pool.times.watchAfter, s.pool.times.noopEvery, s.pool.times.leastNoop = time.Hour, time.Hour, time.Hour // it is found out at the last moment
		s.pool.times.restBefore = time.Hour
		for i, dir := range strings.Fields("/a /b /c") {
			mark := srv.Mark()
			if err := s.Mkdir(t.Context(), dir); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if c := srv.Since(mark); i > 0 && (len(c.Verbs("CONNECT")) > 1 || len(c.Verbs("MKD")) != 1) {
				t.Errorf("%s: %s", what, c)
			}
			srv.EndIdle()
			for srv.Open() > 0 {
				if t.Context().Err() != nil {
					t.Fatal("the server does not end the connection")
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
}

func TestIdleTimeoutIsLearned(t *testing.T) {
	type end struct {
		quiet, unused time.Duration
		said          string
		later         time.Duration // after the end before
	}
	const min, sec = time.Minute, time.Second
	for _, c := range []struct {
		what   string
		ends   []end
		limit  time.Duration
		futile bool
	}{
		{"vsftpd", []end{{30 * sec, 30 * sec, "Timeout.", 0}}, 30 * sec, false},
		{"no word, once", []end{{30 * sec, 30 * sec, "", 0}}, 0, false},
		{"no word, twice", []end{{30 * sec, 30 * sec, "", 0}, {31 * sec, 31 * sec, "", 40 * sec}}, 30*sec + sec, false},
		{"no word, two at once", []end{{30 * sec, 30 * sec, "", 0}, {30 * sec, 30 * sec, "", 0}}, 0, false},
		{"no word, at any time", []end{{30 * sec, 30 * sec, "", 0}, {80 * sec, 80 * sec, "", 200 * sec}}, 0, false},
		{"a restart", []end{{30 * sec, 30 * sec, "Service shutting down.", 0}}, 0, false},
		{"at once", []end{{sec, sec, "Timeout.", 0}}, 0, false},
		{"ProFTPD's other one", []end{{15 * sec, 5 * min, "No transfer timeout (300 seconds): closing control connection", 0}}, 5 * min, true},
		{"NOOPs do not count", []end{{30 * sec, 2 * min, "Timeout.", 0}, {sec * 10, 2 * min, "Timeout.", min}}, 2 * min, true},
		{"NOOPs came late", []end{{60 * sec, 60 * sec, "Timeout.", 0}, {58 * sec, 300 * sec, "Timeout.", min}}, 58 * sec, false},
	} {
		var d idling
		at := time.Now()
		for _, e := range c.ends {
			at = at.Add(e.later)
			d.ended(e.quiet, e.unused, e.said, at, &unhurried)
		}
		if d.limit != c.limit || d.futile != c.futile {
			t.Errorf("%s: %v, futile %v; want %v, %v", c.what, d.limit, d.futile, c.limit, c.futile)
		}
	}
	p := pool{times: unhurried}
	for limit, want := range map[time.Duration]time.Duration{0: 45 * sec, 30 * sec: 20 * sec, 15 * min: 45 * sec, 3 * sec: 3 * sec} {
		p.idling.limit = limit
		if got := p.noopEveryLocked(); got != want {
			t.Errorf("limit %v: a NOOP every %v, want %v", limit, got, want)
		}
	}
}

// A server that ends a connection for there being too many is full, not down.
func TestTooManyIsSaidLater(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/f", nil)
	srv.Add(ftpscript.Rule{Verb: "MLST", Times: 1, Instead: "421 Too many connections from your host, closing."})
	s := hurriedStore(t, srv, nil)
	if _, err := s.Stat(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.LearnedCap != 1 || !st.Up {
		t.Errorf("a cap of %d is learned, up %v", st.LearnedCap, st.Up)
	}
}
