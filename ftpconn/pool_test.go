package ftpconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// A server that takes fewer connections than we would like: everything works,
// and the number is learned.
func TestCapLearned(t *testing.T) {
	for what, o := range map[string]ftpscript.Options{"421": {MaxSessions: 2}, "530": {}} {
		t.Run(what, func(t *testing.T) {
			srv, s := start(t, o, nil)
			if what == "530" {
				srv.Add(ftpscript.Rule{Verb: "PASS", Skip: 2, Instead: "530 Sorry, the maximum number of clients (2) from your host are already connected."})
			}
			srv.Tree.Put("/f", content)
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() {
					got, err := read(s, "/f", 0)
					if err != nil || !bytes.Equal(got, content) {
						t.Errorf("read %d bytes, %v", len(got), err)
					}
					if _, err := s.Stat(t.Context(), "/f"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			st := s.Stats()
			if st.LearnedCap != 2 || st.Open > 2 {
				t.Errorf("learned %d, %d open; want 2", st.LearnedCap, st.Open)
			}
		})
	}
}

// One connection is kept for metadata, whatever the transfers do.
func TestMetadataNeverWaits(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 3 })
	srv.Tree.Put("/f", bytes.Repeat(content, 100))
	hold := make(chan struct{})
	stor := srv.Add(ftpscript.Rule{Verb: "STOR", Data: &ftpscript.DataFault{After: 10, Hold: hold, On: true}})
	var wg sync.WaitGroup
	for range 4 { // one may be under way, to leave one for reads
		wg.Go(func() {
			if err := s.Write(t.Context(), "/tag7", bytes.NewReader(content), 0, -1); err != nil {
				t.Error(err)
			}
		})
	}
	<-stor.Hit()
	r, err := s.Open(t.Context(), "/f", 0, nil)
	ok(t, "open", err)
	wg.Go(func() { // waits for the first: three connections, one of them for metadata
		if r, err := s.Open(t.Context(), "/f", 0, nil); err != nil {
			t.Error(err)
		} else {
			r.Close()
		}
	})
	for s.Stats().Waiting < 4 {
		if t.Context().Err() != nil {
			t.Fatal("the second download does not wait")
		}
		runtime.Gosched()
	}
	_, err = s.Stat(t.Context(), "/f")
	ok(t, "stat beside an upload and a download", err)
	if st := s.Stats(); st.Open > 3 {
		t.Errorf("%d connections", st.Open)
	}
	r.Close()
	close(hold)
	wg.Wait()
}

// With one connection a download that nobody reads gives it up, and goes on
// where it was.
func TestOneConnection(t *testing.T) {
	srv, s := start(t, ftpscript.Options{MaxSessions: 1}, nil)
	big := bytes.Repeat(content, 30)
	srv.Tree.Put("/f", big)
	r, err := s.Open(t.Context(), "/f", 0, nil)
	ok(t, "open", err)
	defer r.Close()
	got := make([]byte, 1000)
	_, err = io.ReadFull(r, got)
	ok(t, "read", err)
	_, err = s.Stat(t.Context(), "/f")
	ok(t, "stat while the only connection is held by a download", err)
	more, err := io.ReadAll(r)
	ok(t, "read on", err)
	if !bytes.Equal(append(got, more...), big) {
		t.Errorf("the download has %d bytes, or others", len(got)+len(more))
	}
	// Not if the file is another by then.
	r, err = s.Open(t.Context(), "/f", 0, nil)
	ok(t, "open", err)
	defer r.Close()
	_, err = io.ReadFull(r, got)
	ok(t, "read", err)
	_, err = s.Stat(t.Context(), "/f")
	ok(t, "stat", err)
	srv.Tree.Put("/f", content)
	_, err = io.ReadAll(r)
	kind(t, "read on in another file", err, remote.Changed)
}

// A refused password is not tried again.
func TestWrongPassword(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Password = "wrong secret" })
	err := s.Connect(t.Context())
	kind(t, "connect", err, remote.Auth)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%v tells the password", err)
	}
	for range 3 {
		_, err = s.Stat(t.Context(), "/")
		kind(t, "stat", err, remote.Auth)
	}
	if n := len(srv.Since(0).Verbs("PASS")); n != 1 {
		t.Errorf("the password was tried %d times", n)
	}
	// Until a person asks for it.
	if st := s.Stats(); st.Refused == "" {
		t.Error("Stats do not tell that the login was refused")
	}
	if !s.LoginAgain() || s.LoginAgain() {
		t.Error("LoginAgain had nothing to forget, or twice")
	}
	_, err = s.Stat(t.Context(), "/")
	kind(t, "stat", err, remote.Auth)
	if n := len(srv.Since(0).Verbs("PASS")); n != 2 {
		t.Errorf("the password was tried %d times after LoginAgain, want 2", n)
	}
}

func TestConnectErrors(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/file", nil)
	for _, c := range []struct {
		what, text string
		want       remote.Kind
		change     func(*ftpconn.Config)
	}{
		{"unknown host", "unknown host", remote.Down, func(c *ftpconn.Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere", IsNotFound: true}}
			}
		}},
		{"refused", "connection refused", remote.Down, func(c *ftpconn.Config) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c.Port = l.Addr().(*net.TCPAddr).Port
			l.Close()
		}},
		{"silent", "no answer", remote.Timeout, func(c *ftpconn.Config) {
			c.Timeout = short
			c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
			}
		}},
		{"missing directory", "/gone", remote.NotExist, func(c *ftpconn.Config) { c.Dir = "gone" }},
		{"file for a directory", "/file", remote.NotDir, func(c *ftpconn.Config) { c.Dir = "/file" }},
	} {
		err := open(t, srv, c.change).Connect(t.Context())
		if !remote.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), ftpscript.Password) {
			t.Errorf("%s: got %v (kind %v), want %v with %q", c.what, err, remote.KindOf(err), c.want, c.text)
		}
	}
}

// A reply that belongs to something else is no refusal of the login: a greeting that came late,
// or the end of a transfer.
func TestALoginAnsweredWithSomethingElse(t *testing.T) {
	for _, verb := range []string{"USER", "PASS"} {
		for _, reply := range []string{"220 ftpscript ready.", "226 Transfer complete."} {
			srv := ftpscript.Start(t, ftpscript.Options{})
			once := srv.Add(ftpscript.Rule{Verb: verb, Instead: reply})
			s := open(t, srv, nil)
			up := make(chan bool, 10)
			s.OnHealth(func(now bool) { up <- now })
			kind(t, verb+" answered with "+reply, s.Connect(t.Context()), remote.Protocol)
			once.Remove()
			for !<-up { // it counts as down until it is looked at again
			}
			ok(t, "then", s.Connect(t.Context()))
		}
	}
}

// A Store made while the server is down works once it is up.
func TestLazyConnect(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", content)
	srv.Stop()
	s := open(t, srv, func(c *ftpconn.Config) { c.Dir = "d" })
	back := make(chan bool, 100)
	s.OnHealth(func(up bool) { back <- up })
	_, err := s.List(t.Context(), "/")
	kind(t, "list while stopped", err, remote.Down)
	ok(t, "restart", srv.Restart())
	for !<-back {
	}
	got, err := read(s, "/f", 0)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// Close ends what is under way.
func TestCloseEndsOperations(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	hold := make(chan struct{})
	defer close(hold)
	rule := srv.Add(ftpscript.Rule{Verb: "MLST", Hold: hold})
	done := make(chan error, 1)
	go func() { _, err := s.Stat(context.Background(), "/f"); done <- err }()
	<-rule.Hit()
	s.Close()
	kind(t, "stat", <-done, remote.Canceled)
	_, err := s.Stat(context.Background(), "/f")
	kind(t, "stat after Close", err, remote.Canceled)
}

// What an operation costs, in segments sent on a warm connection.
func TestRoundTrips(t *testing.T) {
	var seg segments
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", content)
	s := open(t, srv, func(c *ftpconn.Config) { c.Dial = seg.dial(srv.Port, nil); c.MaxConns = 1 })
	_, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	cost := func(what string, most int, err error) {
		t.Helper()
		ok(t, what, err)
		sent := seg.take()
		n := 0
		for _, p := range sent {
			if p != "EPSV\r\n" { // a data connection prepared ahead
				n++
			}
		}
		if n > most {
			t.Errorf("%s took %d segments, want at most %d: %q", what, n, most, sent)
		}
	}
	seg.take()
	_, err = s.List(t.Context(), "/d")
	cost("list", 1, err)
	_, err = s.Stat(t.Context(), "/d/f")
	cost("stat", 1, err)
	_, err = read(s, "/d/f", 0)
	cost("read", 1, err)
	_, err = read(s, "/d/f", 100)
	cost("read at an offset", 1, err)
	cost("upload", 1, s.Write(t.Context(), "/d/.tag7", bytes.NewReader(content), 0, int64(len(content))))
	p := remote.Publish{Path: "/d/f", Size: int64(len(content)), Force: true}
	e, err := s.Stat(t.Context(), "/d/f")
	ok(t, "stat", err)
	p.MTime = &e.MTime
	seg.take()
	_, err = s.Publish(t.Context(), "/d/.tag7", p)
	cost("first publish, finding the way to set times", 4, err)
	ok(t, "upload", s.Write(t.Context(), "/d/.tag7", bytes.NewReader(content), 0, int64(len(content))))
	seg.take()
	_, err = s.Publish(t.Context(), "/d/.tag7", p)
	cost("publish", 2, err)
	// A mode that is still what it was costs nothing more; one that somebody changed
	// costs a round trip.
	was, _ := srv.Tree.Stat("/d/f")
	for segments, mode := range map[int]uint32{2: was.Mode, 3: was.Mode ^ 0o077} {
		ok(t, "upload", s.Write(t.Context(), "/d/.tag7", bytes.NewReader(content), 0, int64(len(content))))
		p.Mode, p.Kept = &mode, true
		seg.take()
		_, err = s.Publish(t.Context(), "/d/.tag7", p)
		cost("publish with a mode", segments, err)
		if now, _ := srv.Tree.Stat("/d/f"); now.Mode != was.Mode {
			t.Errorf("the mode was %o, and is %o", was.Mode, now.Mode)
		}
	}
}

// A server that loses what follows the first command of a segment is noticed,
// and no operation is lost over it.
func TestSegmentsRetreat(t *testing.T) {
	lose := func(c net.Conn, p []byte) (int, error) {
		if i := bytes.Index(p, []byte("\r\n")); i >= 0 {
			if _, err := c.Write(p[:i+2]); err != nil {
				return 0, err
			}
		}
		return len(p), nil
	}
	drop := func(c net.Conn, p []byte) (int, error) {
		if bytes.Count(p, []byte("\r\n")) > 1 {
			c.Close()
			return 0, errors.New("reset")
		}
		return c.Write(p)
	}
	for what, write := range map[string]func(net.Conn, []byte) (int, error){"loses commands": lose, "resets": drop} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var seg segments
			srv := ftpscript.Start(t, ftpscript.Options{})
			srv.Tree.Put("/d/f", content)
			s := open(t, srv, func(c *ftpconn.Config) { c.Timeout = short; c.Dial = seg.dial(srv.Port, write) })
			entries, err := s.List(t.Context(), "/d")
			if err != nil || len(entries) != 1 {
				t.Fatalf("list: %v, %v", names(entries), err)
			}
			got, err := read(s, "/d/f", 7)
			if err != nil || !bytes.Equal(got, content[7:]) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			ok(t, "upload", s.Write(t.Context(), "/d/.tag7", bytes.NewReader(content), 0, -1))
			_, err = s.Publish(t.Context(), "/d/.tag7", remote.Publish{Path: "/d/g", Size: int64(len(content))})
			ok(t, "publish", err)
			if st := s.Stats(); st.Pipelining != "off" || !st.Up {
				t.Errorf("pipelining %s, up %v", st.Pipelining, st.Up)
			}
		})
	}
}

// A server that refuses further logins in words nobody knows is full: the password
// is in use at this very moment.
func TestRefusedBesideOthers(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Add(ftpscript.Rule{Verb: "PASS", Skip: 2, Instead: "530 Zugang verweigert."})
	srv.Tree.Put("/f", content)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			got, err := read(s, "/f", 0)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if _, err := s.Stat(t.Context(), "/f"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(srv.Since(0).Verbs("PASS")); n > 6 {
		t.Errorf("%d logins were tried", n)
	}
}

// A server that bans us is not asked again and again.
func TestBanned(t *testing.T) {
	for _, verb := range []string{"CONNECT", "PASS"} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Add(ftpscript.Rule{Verb: verb, Instead: "421 Temporarily banned for too many failed login attempts"})
		for range 3 {
			_, err := s.Stat(t.Context(), "/")
			kind(t, "stat", err, remote.Auth)
		}
		if n := srv.Opened(); n != 1 {
			t.Errorf("%s: %d connections", verb, n)
		}
	}
}
