package ftpconn_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/proxy"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
	testproxy "ftpfs/test/proxy"
)

var proxyKinds = []testproxy.Kind{testproxy.SOCKS5, testproxy.HTTP}

// behind has a Store go through p to a server that only p knows, as ftp.invalid.
func behind(t *testing.T, p *testproxy.Server) func(*ftpconn.Config) {
	through, err := proxy.Parse(p.URL(), "")
	ok(t, "the proxy's URL", err)
	return func(c *ftpconn.Config) { c.Host, c.Proxy = "ftp.invalid", through }
}

func proxies(t *testing.T, kind testproxy.Kind) *testproxy.Server {
	return testproxy.Start(t, kind, testproxy.Options{User: "me", Password: "geheim", Names: map[string]string{"ftp.invalid": "127.0.0.1"}})
}

// Control and data connections go through the proxy, by EPSV and by PASV, to the host
// that was asked for, whatever address the server tells; the proxy resolves its name.
func TestThroughAProxy(t *testing.T) {
	for _, kind := range proxyKinds {
		for _, o := range []ftpscript.Options{{}, {Refuse: []string{"EPSV"}, PassiveHost: "10.9.8.7"}} {
			t.Run(fmt.Sprintf("%s without %v", kind, o.Refuse), func(t *testing.T) {
				p := proxies(t, kind)
				srv, s := startAsIs(t, o, behind(t, p)) // its certificate would be for another host
				for range 3 {
					whole(t, srv, s)
				}
				asked := p.Asked()
				for _, a := range asked {
					if !strings.HasPrefix(a, "ftp.invalid:") {
						t.Errorf("the proxy was asked for %s", a)
					}
				}
				if len(asked) < 10 {
					t.Errorf("the proxy was asked for %q only", asked)
				}
				if got := s.Stats().Proxy; got != string(kind)+"://"+p.Addr {
					t.Errorf("status shows the proxy as %q", got)
				}
			})
		}
	}
}

// TLS is spoken with the server, not with the proxy: the certificate must be for the
// host that was asked for.
func TestThroughAProxyEncrypted(t *testing.T) {
	for _, kind := range proxyKinds {
		for host, want := range map[string]string{"ftp.invalid": "", "127.0.0.1": "is not for ftp.invalid"} {
			for _, implicit := range []bool{false, true} {
				pair := certs.Issue(t, certs.Options{Hosts: []string{host}})
				p := proxies(t, kind)
				srv, s := startAsIs(t, ftpscript.Options{TLS: serving(pair), Implicit: implicit}, func(c *ftpconn.Config) {
					behind(t, p)(c)
					believing(pair)(c)
					if implicit {
						c.TLS.Security = ftpconn.Implicit
					}
				})
				if want == "" {
					whole(t, srv, s)
					continue
				}
				if err := s.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", kind, err, want)
				}
			}
		}
	}
}

// What a proxy does instead of connecting is the fault of a link, tells which proxy and
// why, and is over by the timeout.
func TestAProxyThatDoesNot(t *testing.T) {
	for _, kind := range proxyKinds {
		for fault, want := range map[testproxy.Fault]remote.Kind{
			testproxy.Refuse: remote.Down, testproxy.Fail: remote.Down, testproxy.Hangup: remote.Down,
			testproxy.Garble: remote.Down, testproxy.Drown: remote.Down, testproxy.Stall: remote.Timeout,
		} {
			for _, what := range []string{"control", "data"} {
				t.Run(fmt.Sprintf("%s fault %d %s", kind, fault, what), func(t *testing.T) {
					t.Parallel()
					p := proxies(t, kind)
					srv, s := startAsIs(t, ftpscript.Options{}, func(c *ftpconn.Config) {
						behind(t, p)(c)
						c.Timeout = short
					})
					srv.Tree.Put("/d/f", content)
					control := net.JoinHostPort("ftp.invalid", fmt.Sprint(srv.Port))
					misbehave := func(target string) testproxy.Fault {
						if (target == control) == (what == "control") {
							return fault
						}
						return testproxy.None
					}
					var err error
					if what == "control" {
						p.Misbehave(misbehave)
						err = s.Connect(t.Context())
					} else {
						ok(t, "connect", s.Connect(t.Context()))
						p.Misbehave(misbehave)
						_, err = read(s, "/d/f", 0)
					}
					if remote.KindOf(err) != want {
						t.Errorf("got %v (%v), want %v", err, remote.KindOf(err), want)
					}
					if !strings.Contains(err.Error(), p.Addr) || strings.Contains(err.Error(), "geheim") {
						t.Errorf("%v: want the proxy in it", err)
					}
					p.Misbehave(nil)
					for err != nil && t.Context().Err() == nil { // it counts as down for a moment
						_, err = read(s, "/d/f", 0)
					}
					whole(t, srv, s)
				})
			}
		}
	}
}

// A proxy that wants another password is not the server refusing ours: the login is not
// barred for minutes.
func TestAProxyThatRefusesThePassword(t *testing.T) {
	for _, kind := range proxyKinds {
		p := proxies(t, kind)
		through, err := proxy.Parse(strings.Replace(p.URL(), "geheim", "falsch", 1), "")
		ok(t, "the proxy's URL", err)
		_, s := startAsIs(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Host, c.Proxy = "ftp.invalid", through })
		err = s.Connect(t.Context())
		if !remote.Is(err, remote.Down) || !strings.Contains(err.Error(), "proxy "+string(kind)) || strings.Contains(err.Error(), "falsch") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A proxy on this machine does not make the server local: a password in clear text
// crosses a network behind it.
func TestAPasswordThroughALocalProxyIsWarnedOf(t *testing.T) {
	p := proxies(t, testproxy.SOCKS5)
	var logged bytes.Buffer
	_, s := startAsIs(t, ftpscript.Options{}, func(c *ftpconn.Config) {
		behind(t, p)(c)
		c.Log = slog.New(slog.NewTextHandler(&logged, nil))
	})
	ok(t, "connect", s.Connect(t.Context()))
	if s.InClear() == "" {
		t.Errorf("no warning; the log says\n%s", &logged)
	}
	s.Close()
	if strings.Contains(logged.String(), "geheim") {
		t.Errorf("the log shows the password:\n%s", &logged)
	}
}
