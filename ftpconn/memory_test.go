package ftpconn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// lives gives a Store on srv with what the one before remembered, and closes it after use.
type lives struct {
	t   *testing.T
	srv *ftpscript.Server
	m   ftpconn.Memory

	dialed atomic.Int64 // control connections of the present life
}

func (l *lives) live(use func(*ftpconn.Store)) (calls ftpscript.Commands) {
	l.t.Helper()
	from := l.srv.Mark()
	s := open(l.t, l.srv, func(c *ftpconn.Config) {
		c.Memory = l.m
		l.dialed.Store(0)
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == l.srv.Addr() {
				l.dialed.Add(1)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		c.Remember = func(m ftpconn.Memory) {
			b, err := json.Marshal(m) // as a file would have it
			if err == nil {
				l.m = ftpconn.Memory{}
				err = json.Unmarshal(b, &l.m)
			}
			if err != nil || l.m != m {
				l.t.Errorf("%+v came back as %+v, %v", m, l.m, err)
			}
		}
	})
	use(s)
	s.Close()
	settled(l.t, "the server's sessions after Close", func() (bool, string) { return l.srv.Open() == 0, "they are still there" })
	return l.srv.Since(from)
}

// crowd has many read and stat at once.
func crowd(t *testing.T, s *ftpconn.Store) {
	t.Helper()
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if got, err := read(s, "/f", 0); err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if _, err := s.Stat(t.Context(), "/f"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A cap on connections is not run into again by the next mount.
func TestCapIsRemembered(t *testing.T) {
	for what, o := range map[string]ftpscript.Options{"421": {MaxSessions: 2}, "530": {MaxLogins: 2}} {
		t.Run(what, func(t *testing.T) {
			srv := ftpscript.Start(t, o)
			srv.Tree.Put("/f", content)
			l := lives{t: t, srv: srv}
			l.live(func(s *ftpconn.Store) {
				r, err := s.Open(t.Context(), "/f", 0, nil)
				ok(t, "open", err)
				read2 := make(chan error)
				go func() { // one for it, and one for questions: it takes a third
					_, err := read(s, "/f", 0)
					read2 <- err
				}()
				for l.dialed.Load() <= 2 {
					time.Sleep(time.Millisecond)
				}
				r.Close()
				ok(t, "read", <-read2)
				crowd(t, s)
			})
			l.live(func(s *ftpconn.Store) {
				r, err := s.Open(t.Context(), "/f", 0, nil) // while it lasts the question takes another
				ok(t, "open", err)
				defer r.Close()
				_, err = s.Stat(t.Context(), "/f")
				ok(t, "stat", err)
				crowd(t, s)
			})
			if n := l.dialed.Load(); n != 2 {
				t.Errorf("%d connections at the second mount, want 2", n)
			}
		})
	}
}

// What a server refused is not asked again by the next mount, unless another server
// answers there.
func TestRefusalsAreRemembered(t *testing.T) {
	o := ftpscript.Options{Refuse: []string{"EPSV", "SITE CHMOD", "MFMT"}, Greeting: "You are user 1 of 50. Ready at 10:41."}
	srv := ftpscript.Start(t, o)
	l := lives{t: t, srv: srv}
	use := func(s *ftpconn.Store) {
		ok(t, "upload", s.Write(t.Context(), "/.ftpfs-tag7u1", strings.NewReader("x"), 0, 1))
		mode := uint32(0o600)
		_ = s.SetAttr(t.Context(), "/.ftpfs-tag7u1", remote.Attr{Mode: &mode})
	}
	count := func(c ftpscript.Commands) (n int) { return len(c.Verbs("EPSV")) + len(c.Verbs("SITE")) }
	if n := count(l.live(use)); n == 0 {
		t.Fatal("nothing was tried at the first mount")
	}
	srv.Add(ftpscript.Rule{Verb: "CONNECT", Times: 1, Instead: "220 You are user 17 of 50. Ready at 23:05."})
	if n := count(l.live(use)); n != 0 {
		t.Errorf("%d commands that were refused before", n)
	}
	srv.Add(ftpscript.Rule{Verb: "CONNECT", Instead: "220 Another one"})
	if n := count(l.live(use)); n == 0 {
		t.Error("another server was not asked")
	}
}

// That APPE appends is shown to each Store anew: a memory that is wrong would cost the file.
func TestAppendIsProvenInEachLife(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/log", content)
	l := lives{t: t, srv: srv}
	size := int64(len(content))
	use := func(s *ftpconn.Store) {
		ok(t, "append", s.Write(t.Context(), "/log", strings.NewReader("more"), size, 4))
		size += 4
	}
	for range 2 {
		if n := len(l.live(use).Verbs("APPE")); n != 2 {
			t.Errorf("%d APPE, want that of a scratch file and that of the file", n)
		}
	}
}

// Nor is what one server showed believed of another that answers in its place.
func TestAppendIsProvenByTheServerThatAppends(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 1 })
	srv.Tree.Put("/log", content)
	size := int64(len(content))
	append := func() int {
		from := srv.Mark()
		ok(t, "append", s.Write(t.Context(), "/log", strings.NewReader("more"), size, 4))
		size += 4
		return len(srv.Since(from).Verbs("APPE"))
	}
	if a, b := append(), append(); a != 2 || b != 1 {
		t.Fatalf("%d and %d APPE, want 2 and 1", a, b)
	}
	srv.Add(ftpscript.Rule{Verb: "CONNECT", Instead: "220 Another one"})
	srv.KillSessions()
	if n := append(); n != 2 {
		t.Errorf("%d APPE after another server had answered, want 2", n)
	}
}
