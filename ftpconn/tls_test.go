package ftpconn_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/pin"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

// serving is what a server does with a certificate.
func serving(p *certs.Pair) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{p.TLS}} }

// believing has a Store speak explicit TLS and believe p.
func believing(p *certs.Pair) func(*ftpconn.Config) {
	return func(c *ftpconn.Config) {
		c.TLS.Security, c.TLS.Roots = ftpconn.Explicit, certs.Pool(p)
	}
}

// secret fails the test if a password, or any name of a user, went to the server.
func secret(t *testing.T, srv *ftpscript.Server) {
	t.Helper()
	if said := srv.Since(0).Verbs("USER", "PASS"); len(said) > 0 {
		t.Errorf("the server heard %v", said)
	}
}

func pinOf(t *testing.T, s string) pin.Pin {
	t.Helper()
	p, err := pin.Parse(s)
	ok(t, "pin "+s, err)
	return p
}

// A server is believed for its certificate, and for nothing else. What is refused is
// told in words that name the remedy, and hears neither user nor password.
func TestCertificates(t *testing.T) {
	authority := certs.Authority(t)
	good := certs.Issue(t, certs.Options{Signer: authority})
	alone := certs.Issue(t, certs.Options{})
	expired := certs.Issue(t, certs.Options{Signer: authority, From: -48 * time.Hour, Until: -25 * time.Hour})
	early := certs.Issue(t, certs.Options{Signer: authority, From: 24 * time.Hour, Until: 48 * time.Hour})
	other := certs.Issue(t, certs.Options{Signer: authority, Hosts: []string{"www.example.org", "192.0.2.7"}})
	worst := certs.Issue(t, certs.Options{Hosts: []string{"www.example.org"}, From: -48 * time.Hour, Until: -25 * time.Hour})
	roots := certs.Pool(authority)
	is := func(p *certs.Pair) []pin.Pin { return []pin.Pin{pin.Of(p.Leaf)} }
	sum := sha256.Sum256(alone.Leaf.Raw)
	print := []pin.Pin{pinOf(t, strings.ToUpper(hex.EncodeToString(sum[:])))}

	for _, c := range []struct {
		name string
		has  *certs.Pair
		tls  ftpconn.TLS
		want string // in the refusal; "" is none
	}{
		{"good", good, ftpconn.TLS{Roots: roots}, ""},
		{"itself in cacert", alone, ftpconn.TLS{Roots: certs.Pool(alone)}, ""},
		{"good, but not to the system", good, ftpconn.TLS{}, `signed by "CN=ftpfs test authority", whom nobody here knows`},
		{"signed by itself", alone, ftpconn.TLS{}, "signed by nobody but itself. If"},
		{"signed by itself, and others in cacert", alone, ftpconn.TLS{Roots: roots}, "signed by nobody but itself, and is not in the file that cacert names. If it is the right one, add it there, or mount with -o pin_sha256="},
		{"good, but not to cacert", good, ftpconn.TLS{Roots: certs.Pool(alone)}, `signed by "CN=ftpfs test authority", who is not in the file that cacert names. Add its certificate there, or mount with -o pin_sha256=`},
		{"expired", expired, ftpconn.TLS{Roots: roots}, "has expired on "},
		{"not valid yet", early, ftpconn.TLS{Roots: roots}, "is the clock right?"},
		{"of another host", other, ftpconn.TLS{Roots: roots}, "is not for 127.0.0.1 but for www.example.org, 192.0.2.7"},
		{"of another host, which will do", other, ftpconn.TLS{Roots: roots, NoVerifyName: true}, ""},
		{"signed by itself, where another host will do", alone, ftpconn.TLS{Roots: roots, NoVerifyName: true}, "signed by nobody but itself"},
		{"expired, where another host will do", expired, ftpconn.TLS{Roots: roots, NoVerifyName: true}, "has expired on "},
		{"pinned", alone, ftpconn.TLS{Pins: is(alone)}, ""},
		{"pinned by its fingerprint", alone, ftpconn.TLS{Pins: print}, ""},
		{"one of two pins", alone, ftpconn.TLS{Pins: append(is(good), is(alone)...)}, ""},
		{"pinned, wrong in everything else", worst, ftpconn.TLS{Pins: is(worst)}, ""},
		{"not the pinned one", good, ftpconn.TLS{Pins: is(alone)}, "not the one that is pinned"},
		{"not the pinned one, but well signed", good, ftpconn.TLS{Pins: is(alone), Roots: roots}, "not the one that is pinned"},
		{"pinned, but signed by another", alone, ftpconn.TLS{Pins: is(alone), Roots: roots}, "signed by nobody but itself"},
		{"pinned and well signed", good, ftpconn.TLS{Pins: is(good), Roots: roots}, ""},
		{"not the pinned one, nothing else verified", good, ftpconn.TLS{Pins: is(alone), NoVerify: true}, "not the one that is pinned"},
		{"wrong in everything, and nothing verified", worst, ftpconn.TLS{NoVerify: true}, ""},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s %s", c.name, tls.VersionName(version)), func(t *testing.T) {
				srv, s := start(t, ftpscript.Options{TLS: serving(c.has)}, func(cfg *ftpconn.Config) {
					cfg.TLS = c.tls
					cfg.TLS.Security, cfg.TLS.Max = ftpconn.Explicit, version
				})
				err := s.Connect(t.Context())
				if c.want == "" {
					ok(t, "connect", err)
					ok(t, "upload", s.Write(t.Context(), "/f", strings.NewReader("x"), 0, 1))
					if st := s.Stats().TLS; st.DataHandshakes == 0 || st.DataResumed != st.DataHandshakes {
						t.Errorf("%d of %d data connections resumed the session", st.DataResumed, st.DataHandshakes)
					}
					return
				}
				var refused *ftpconn.Insecure
				if !errors.As(err, &refused) {
					t.Fatalf("connect: %v, want a refusal", err)
				}
				if text := refused.Error(); !strings.Contains(text, c.want) || !strings.Contains(text, "pin_sha256="+pin.Of(c.has.Leaf).String()) {
					t.Errorf("it says %q, want %q and the pin", text, c.want)
				}
				kind(t, "connect", err, remote.Down)
				secret(t, srv)
			})
		}
	}
}

// Who asked for encryption gets it or an error, and says nothing in clear.
func TestNothingFallsBackToClear(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for _, c := range []struct {
		name string
		o    ftpscript.Options
		rule ftpscript.Rule
		how  ftpconn.Security
		want string
	}{
		{"no TLS", ftpscript.Options{}, ftpscript.Rule{}, ftpconn.Explicit, "does not take AUTH TLS"},
		{"AUTH refused", ftpscript.Options{TLS: serving(pair)}, ftpscript.Rule{Verb: "AUTH", Instead: "534 No."}, ftpconn.Explicit, "534 No."},
		{"AUTH refused for now", ftpscript.Options{TLS: serving(pair)}, ftpscript.Rule{Verb: "AUTH", Instead: "431 Later."}, ftpconn.Explicit, "431 Later."},
		{"AUTH refused for now, tried", ftpscript.Options{TLS: serving(pair)}, ftpscript.Rule{Verb: "AUTH", Instead: "431 Later."}, ftpconn.Try, "431 Later."},
		{"words behind the reply", ftpscript.Options{TLS: serving(pair)}, ftpscript.Rule{Verb: "AUTH", Speak: ftpscript.Raw("234 Go on.\r\n230 You are in.\r\n")}, ftpconn.Explicit, "clear text behind the reply"},
		{"clear text instead of TLS", ftpscript.Options{}, ftpscript.Rule{Verb: "AUTH", Instead: "234 Go on.\n220 Hello again, and again."}, ftpconn.Explicit, ""},
		{"implicit, where there is none", ftpscript.Options{}, ftpscript.Rule{}, ftpconn.Implicit, "does not speak TLS from the first byte on"},
		{"too old", ftpscript.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}},
			ftpscript.Rule{}, ftpconn.Explicit, "version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := ftpscript.Start(t, c.o)
			if c.rule.Verb != "" {
				srv.Add(c.rule)
			}
			s := open(t, srv, func(cfg *ftpconn.Config) { cfg.TLS = ftpconn.TLS{Security: c.how, Roots: certs.Pool(pair)} })
			err := s.Connect(t.Context())
			if !errors.As(err, new(*ftpconn.Insecure)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("connect: %v, want a refusal with %q", err, c.want)
			}
			secret(t, srv)
		})
	}

	t.Run("PROT refused", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{TLS: serving(pair)})
		srv.Add(ftpscript.Rule{Verb: "PROT", Instead: "536 No."})
		err := open(t, srv, believing(pair)).Connect(t.Context())
		if !errors.As(err, new(*ftpconn.Insecure)) || !strings.Contains(err.Error(), "PROT P") {
			t.Errorf("connect: %v, want a refusal", err)
		}
		if moved := srv.Since(0).Verbs("EPSV", "RETR", "MLSD"); len(moved) > 0 {
			t.Errorf("data was asked for: %v", moved)
		}
	})

	t.Run("try, once encrypted", func(t *testing.T) {
		srv, s := start(t, ftpscript.Options{TLS: serving(pair)}, func(c *ftpconn.Config) {
			c.TLS = ftpconn.TLS{Security: ftpconn.Try, Roots: certs.Pool(pair)}
		})
		ok(t, "connect", s.Connect(t.Context()))
		if st := s.Stats().TLS; st.Version != "TLS 1.3" || st.Data != "private" {
			t.Errorf("%+v", st)
		}
		srv.Add(ftpscript.Rule{Verb: "AUTH", Instead: "502 What?"})
		srv.KillSessions()
		mark := srv.Mark()
		if _, err := s.List(t.Context(), "/"); err == nil {
			t.Error("a server that no longer encrypts was listed")
		}
		if said := srv.Since(mark).Verbs("USER", "PASS"); len(said) > 0 {
			t.Errorf("in clear: %v", said)
		}
	})
}

// tls=try goes on in clear where the server has no TLS, and says so once.
func TestTryWithoutTLSIsTold(t *testing.T) {
	var log bytes.Buffer
	srv, s := startAsIs(t, ftpscript.Options{MaxSessions: 3}, func(c *ftpconn.Config) {
		c.TLS.Security = ftpconn.Try
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	srv.Tree.Put("/f", []byte("content"))
	ok(t, "connect", s.Connect(t.Context()))
	srv.KillSessions()
	if _, err := s.List(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats().TLS; st.Asked != "try" || st.Version != "" || !strings.HasPrefix(st.Refused, "500") {
		t.Errorf("%+v", st)
	}
	s.Close()
	if n := strings.Count(log.String(), "nothing is encrypted"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

// The end of an encrypted download is TLS's word for it. Without it only the size,
// which came over the control connection, tells that nothing is missing.
func TestACutEncryptedDownloadIsNotTheWhole(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	content := bytes.Repeat([]byte("0123456789"), 20_000)
	for _, c := range []struct {
		name  string
		o     ftpscript.Options
		after int64
		whole bool
	}{
		{"cut, size known", ftpscript.Options{}, 100_000, false},
		{"cut at once, size known", ftpscript.Options{}, 0, false},
		{"cut, size unknown", ftpscript.Options{Refuse: []string{"MLST", "MLSD", "SIZE", "LIST"}}, 100_000, false},
		{"whole, size unknown", ftpscript.Options{Refuse: []string{"MLST", "MLSD", "SIZE", "LIST"}}, -1, false},
		{"whole, size known", ftpscript.Options{}, -1, true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s %s", c.name, tls.VersionName(version)), func(t *testing.T) {
				c.o.TLS = serving(pair)
				srv, s := start(t, c.o, func(cfg *ftpconn.Config) { believing(pair)(cfg); cfg.TLS.Max = version })
				srv.Tree.Put("/file", content)
				srv.Add(ftpscript.Rule{Verb: "RETR", Data: &ftpscript.DataFault{After: c.after, Torn: true, Reply: "226 Transfer complete."}})
				r, err := s.Open(t.Context(), "/file", 0, nil)
				ok(t, "open", err)
				defer r.Close()
				got, err := io.ReadAll(r)
				if c.whole != (err == nil) || c.whole && !bytes.Equal(got, content) {
					t.Errorf("read %d of %d bytes, error %v", len(got), len(content), err)
				}
			})
		}
	}
	for _, after := range []int64{0, 60, -1} {
		t.Run(fmt.Sprintf("listing cut after %d", after), func(t *testing.T) {
			srv, s := start(t, ftpscript.Options{TLS: serving(pair)}, believing(pair))
			for i := range 10 {
				srv.Tree.Put(fmt.Sprintf("/dir/f%d", i), nil)
			}
			srv.Add(ftpscript.Rule{Verb: "MLSD", Data: &ftpscript.DataFault{After: after, Torn: true, Reply: "226 Transfer complete."}})
			if got, err := s.List(t.Context(), "/dir"); err == nil {
				t.Errorf("a listing that may have been cut was taken for the whole: %s", names(got))
			}
		})
	}
}

// Somebody else at the end of a data connection gets nothing, and nothing is taken from
// them.
func TestAnotherServersDataIsRefused(t *testing.T) {
	pair, other := certs.Issue(t, certs.Options{}), certs.Issue(t, certs.Options{})
	srv, s := start(t, ftpscript.Options{TLS: serving(pair), TLSData: serving(other)}, believing(pair))
	srv.Tree.Put("/file", []byte("not this"))
	ok(t, "connect", s.Connect(t.Context()))
	if r, err := s.Open(t.Context(), "/file", 0, nil); err == nil {
		got, err := io.ReadAll(r)
		t.Errorf("read %q, %v", got, err)
	} else if !errors.As(err, new(*ftpconn.Insecure)) {
		t.Errorf("open: %v", err)
	}
	if err := s.Write(t.Context(), "/up", strings.NewReader("secret"), 0, 6); err == nil {
		t.Error("the upload was taken for done")
	} else if remote.KindOf(err).Verdict() != remote.Retry {
		t.Errorf("an upload that somebody else would have got is given up: %v", err)
	}
	if got, there := srv.Tree.Get("/up"); there && len(got) > 0 {
		t.Errorf("somebody else got %q", got)
	}
	if _, err := s.List(t.Context(), "/"); err == nil {
		t.Error("somebody else's listing was taken")
	}
}

// A data connection that the server refuses for its session costs the connection, and
// never the upload.
func TestARefusedSessionIsNotARefusedFile(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for _, reply := range []string{"425 Unable to build data connection: Operation not permitted", "522 SSL connection failed; session reuse required"} {
		srv, s := start(t, ftpscript.Options{TLS: serving(pair)}, believing(pair))
		ok(t, "upload", s.Write(t.Context(), "/first", strings.NewReader("x"), 0, 1))
		rule := srv.Add(ftpscript.Rule{Verb: "STOR", Times: 1, Data: &ftpscript.DataFault{After: 0, Reply: reply}})
		err := s.Write(t.Context(), "/f", strings.NewReader("content"), 0, 7)
		if err != nil && remote.KindOf(err).Verdict() != remote.Retry {
			t.Errorf("%s: %v, which would park it", reply, err)
		}
		if rule.Hits() != 1 {
			t.Fatalf("%s: said %d times", reply, rule.Hits())
		}
		ok(t, "upload again", s.Write(t.Context(), "/f", strings.NewReader("content"), 0, 7))
		if got, _ := srv.Tree.Get("/f"); string(got) != "content" {
			t.Errorf("the server has %q", got)
		}
		if n := srv.Opened(); n < 2 {
			t.Errorf("%s: the connection was used on", reply)
		}
	}
}

// A server that wants a certificate of ours gets it, and else its demand is told.
func TestClientCertificate(t *testing.T) {
	authority := certs.Authority(t)
	pair := certs.Issue(t, certs.Options{Signer: authority})
	ours := certs.Issue(t, certs.Options{Signer: authority, Client: true})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := serving(pair)
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, certs.Pool(authority)
		srv, s := start(t, ftpscript.Options{TLS: cfg}, func(c *ftpconn.Config) { believing(authority)(c); c.TLS.Max = version })
		if err := s.Connect(t.Context()); !errors.As(err, new(*ftpconn.Insecure)) {
			t.Errorf("%s: without a certificate: %v", tls.VersionName(version), err)
		} else if !strings.Contains(err.Error(), "cert=FILE") {
			t.Errorf("%v names no remedy", err)
		}
		for what, other := range map[string]*certs.Pair{"of a stranger": certs.Issue(t, certs.Options{Client: true}),
			"for servers": certs.Issue(t, certs.Options{Signer: authority})} {
			s = open(t, srv, func(c *ftpconn.Config) {
				believing(authority)(c)
				c.TLS.Max, c.TLS.Certificate = version, &other.TLS
			})
			if err := s.Connect(t.Context()); !errors.As(err, new(*ftpconn.Insecure)) || !strings.Contains(err.Error(), "does not take our certificate") ||
				!strings.Contains(err.Error(), "; give one that it believes with cert=FILE") {
				t.Errorf("%s: with a certificate %s: %v", tls.VersionName(version), what, err)
			}
		}
		secret(t, srv)
		s = open(t, srv, func(c *ftpconn.Config) {
			believing(authority)(c)
			c.TLS.Max, c.TLS.Certificate = version, &ours.TLS
		})
		ok(t, "connect with a certificate", s.Connect(t.Context()))
		ok(t, "upload", s.Write(t.Context(), "/f", strings.NewReader("x"), 0, 1))
	}
}

// PROT C, when asked for: commands are encrypted, data is not.
func TestClearData(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for _, how := range []ftpconn.Security{ftpconn.Explicit, ftpconn.Implicit} {
		for _, clear := range []bool{true, false} {
			srv, s := start(t, ftpscript.Options{TLS: serving(pair), Implicit: how == ftpconn.Implicit}, func(c *ftpconn.Config) {
				believing(pair)(c)
				c.TLS.Security, c.TLS.ClearData = how, clear
			})
			ok(t, "upload", s.Write(t.Context(), "/f", strings.NewReader("x"), 0, 1))
			arg, data, n := "P", "private", int64(1)
			if clear {
				arg, data, n = "C", "clear", 0
			}
			if got := srv.Since(0).Verbs("PROT"); len(got) != 1 || got[0].Arg != arg {
				t.Errorf("%v: PROT %v, want %s", how, got, arg)
			}
			if st := s.Stats().TLS; st.Data != data || st.Version == "" || st.DataHandshakes != n {
				t.Errorf("%v, clear %v: %+v", how, clear, st)
			}
		}
	}
}

// far is a connection that came from elsewhere, as far as it tells.
type far struct{ *net.TCPConn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 21} }

func abroad(c *ftpconn.Config) {
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		nc, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		return far{nc.(*net.TCPConn)}, nil
	}
}

// A user's password that crosses the network in clear is warned of once, with the URL
// that would be safe if there is one.
func TestAPasswordInClearIsWarnedOf(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for _, c := range []struct {
		name   string
		o      ftpscript.Options
		change func(*ftpconn.Config)
		want   string // "" is no warning
	}{
		{"far, TLS offered", ftpscript.Options{TLS: serving(pair)}, abroad, "ftpes://u@h"},
		{"far, on a line of its own", ftpscript.Options{TLS: serving(pair), Feat: []string{"AUTH TLS", "AUTH SSL", "SIZE"}}, abroad, "ftpes://u@h"},
		{"far", ftpscript.Options{}, abroad, "in clear"},
		{"far, try", ftpscript.Options{}, func(c *ftpconn.Config) { abroad(c); c.TLS.Security = ftpconn.Try }, "refuses encryption"},
		{"this machine", ftpscript.Options{TLS: serving(pair)}, func(*ftpconn.Config) {}, ""},
		{"far, encrypted", ftpscript.Options{TLS: serving(pair)}, func(c *ftpconn.Config) { abroad(c); believing(pair)(c) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			srv, s := startAsIs(t, c.o, func(cfg *ftpconn.Config) {
				cfg.SafeURL, cfg.Log = "ftpes://u@h", slog.New(slog.NewTextHandler(&log, nil))
				c.change(cfg)
			})
			ok(t, "connect", s.Connect(t.Context()))
			srv.KillSessions()
			_, err := s.List(t.Context(), "/")
			ok(t, "list", err)
			got := s.InClear()
			s.Close()
			n := strings.Count(log.String(), "cross the network in clear")
			if c.want == "" && (got != "" || n > 0) || c.want != "" && (!strings.Contains(got, c.want) || n != 1) {
				t.Errorf("warned %d times of %q, want %q once:\n%s", n, got, c.want, log.String())
			}
			if c.o.TLS == nil && strings.Contains(got, "ftpes://") {
				t.Errorf("%q names what the server has not", got)
			}
		})
	}
}

// A login that is refused for want of encryption is not a wrong password.
func TestALoginThatNeedsTLSIsTold(t *testing.T) {
	for _, rule := range []ftpscript.Rule{
		{Verb: "USER", Instead: "530 Non-anonymous sessions must use encryption."},
		{Verb: "PASS", Instead: "550 SSL/TLS required on the control channel"},
		{Verb: "USER", Instead: "421 Sorry, cleartext sessions and weak ciphers are not accepted on this server."},
	} {
		srv := ftpscript.Start(t, ftpscript.Options{})
		srv.Add(rule)
		err := open(t, srv, nil).Connect(t.Context())
		if !errors.As(err, new(*ftpconn.Insecure)) || !strings.Contains(err.Error(), "ftpes://") {
			t.Errorf("%s: %v", rule.Instead, err)
		}
	}
}

// A handshake that the server does not go on with ends by the timeout, on the control
// connection as on one for data, and what comes after is well.
func TestAStalledHandshakeEnds(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	release := make(chan struct{})
	stall := func(stalling *atomic.Bool) *tls.Config {
		cfg := serving(pair)
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if stalling.Load() {
				<-release
			}
			return nil, nil
		}
		return cfg
	}
	var control, data atomic.Bool
	control.Store(true)
	srv := ftpscript.Start(t, ftpscript.Options{TLS: stall(&control), TLSData: stall(&data)})
	t.Cleanup(func() { close(release) }) // before the server is stopped, which waits
	srv.Tree.Put("/file", []byte("content"))
	believe := func(c *ftpconn.Config) { believing(pair)(c); impatient(c) }
	kind(t, "connect", open(t, srv, believe).Connect(t.Context()), remote.Timeout)
	secret(t, srv)

	control.Store(false)
	s := open(t, srv, believe)
	ok(t, "connect", s.Connect(t.Context()))
	data.Store(true)
	if r, err := s.Open(t.Context(), "/file", 0, nil); err == nil {
		r.Close()
		t.Error("a download began without a handshake")
	} else {
		kind(t, "open", err, remote.Timeout)
	}
	data.Store(false)
	r, err := s.Open(t.Context(), "/file", 0, nil)
	ok(t, "open afterwards", err)
	got, err := io.ReadAll(r)
	if string(got) != "content" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	r.Close()
}
