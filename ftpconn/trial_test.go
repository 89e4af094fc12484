package ftpconn_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// lines is a log that several goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// noPassive makes passive data connections fail, until the end is called.
var noPassive = map[string]func(t *testing.T, srv *ftpscript.Server) (end func()){
	"refused":     func(t *testing.T, srv *ftpscript.Server) func() { return passivePort(srv, ftpscript.Closed(t)) },
	"filtered":    func(t *testing.T, srv *ftpscript.Server) func() { return passivePort(srv, ftpscript.Filtered(t)) },
	"425":         func(_ *testing.T, srv *ftpscript.Server) func() { return passiveReply(srv, "425 No.", "425 No.") },
	"500 and 502": func(_ *testing.T, srv *ftpscript.Server) func() { return passiveReply(srv, "500 What?", "502 No.") },
	"550": func(_ *testing.T, srv *ftpscript.Server) func() {
		return passiveReply(srv, "550 Permission denied.", "550 Permission denied.")
	}, // vsftpd, pasv_enable=NO
	"refused, 502": func(t *testing.T, srv *ftpscript.Server) func() {
		return passiveReply(srv, epsvReply(ftpscript.Closed(t)), "502 No.")
	},
	"filtered, 425": func(t *testing.T, srv *ftpscript.Server) func() {
		return passiveReply(srv, epsvReply(ftpscript.Filtered(t)), "425 No.")
	},
}

func epsvReply(port int) string { return fmt.Sprintf("229 Here (|||%d|)", port) }

func passivePort(srv *ftpscript.Server, port int) (end func()) {
	return passiveReply(srv, epsvReply(port), fmt.Sprintf("227 Here (127,0,0,1,%d,%d)", port>>8, port&255))
}

func passiveReply(srv *ftpscript.Server, epsv, pasv string) (end func()) {
	a, b := srv.Add(ftpscript.Rule{Verb: "EPSV", Instead: epsv}), srv.Add(ftpscript.Rule{Verb: "PASV", Instead: pasv})
	return func() { a.Remove(); b.Remove() }
}

// Where passive data connections fail, active ones are tried, and kept to if they work.
// The operation that finds it succeeds, whichever it is, and is the only one that pays.
func TestActiveIsTriedWherePassiveFails(t *testing.T) {
	for how, break_ := range noPassive {
		for _, op := range []string{"read", "write", "list"} {
			t.Run(how+" "+op, func(t *testing.T) {
				t.Parallel()
				var log lines
				srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) {
					c.Log = slog.New(slog.NewTextHandler(&log, nil))
				})
				srv.Tree.Put("/d/f", content)
				break_(t, srv)
				ok(t, "connect", s.Connect(t.Context()))
				switch op {
				case "read":
					got, err := read(s, "/d/f", 0)
					if err != nil || !bytes.Equal(got, content) {
						t.Fatalf("read %d bytes, %v", len(got), err)
					}
				case "write":
					ok(t, "write", s.Write(t.Context(), "/d/tag7", bytes.NewReader(content), 0, -1))
					if got, _ := srv.Tree.Get("/d/tag7"); !bytes.Equal(got, content) {
						t.Fatalf("%d bytes are on the server", len(got))
					}
				case "list":
					entries, err := s.List(t.Context(), "/d")
					if err != nil || names(entries) != "f" {
						t.Fatalf("listed %q, %v", names(entries), err)
					}
				}
				mark := srv.Mark()
				for range 3 {
					whole(t, srv, s)
				}
				if n := len(srv.Since(mark).Verbs("EPSV", "PASV")); n != 0 {
					t.Errorf("%d times passive mode again", n)
				}
				if st := s.Stats(); st.Passive != "active" || st.Because == "" || st.Logins > 2 {
					t.Errorf("status says %q because %q, after %d logins", st.Passive, st.Because, st.Logins)
				}
				if n := log.count("active mode from now on"); n != 1 {
					t.Errorf("told %d times:\n%s", n, &log.b)
				}
				if up, _, _ := s.Health(); !up {
					t.Error("the server counts as down")
				}
			})
		}
	}
}

// EPSV's port is closed to us and PASV's is not, as behind firewalls that read only the
// old command's answers: passive mode stays.
func TestPASVWhereEPSVsPortIsClosed(t *testing.T) {
	for how, port := range map[string]func(testing.TB) int{"refused": ftpscript.Closed, "filtered": ftpscript.Filtered} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			srv, s := start(t, ftpscript.Options{}, nil)
			srv.Add(ftpscript.Rule{Verb: "EPSV", Instead: epsvReply(port(t))})
			whole(t, srv, s)
			if st := s.Stats(); st.Passive != "PASV" || st.Logins != 1 {
				t.Errorf("status says %q, after %d logins", st.Passive, st.Logins)
			}
			if n := len(srv.Since(0).Verbs("EPSV")); n != 1 {
				t.Errorf("EPSV was tried %d times", n)
			}
		})
	}
}

// One port that is refused by chance does not turn the mode, nor fail the operation.
func TestAPassivePortRefusedByChance(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	whole(t, srv, s)
	for range 3 {
		srv.Add(ftpscript.Rule{Verb: "EPSV", Instead: epsvReply(ftpscript.Closed(t)), Times: 1})
		whole(t, srv, s)
		whole(t, srv, s)
	}
	if n := len(srv.Since(0).Verbs("EPRT", "PORT")); n != 0 || s.Stats().Passive != "EPSV" {
		t.Errorf("%d times active mode; now %s", n, s.Stats().Passive)
	}
}

// A firewall that comes later, as on another network, is found at the second failure.
func TestPassiveThatFailsLater(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	whole(t, srv, s)
	end := passivePort(srv, ftpscript.Closed(t))
	whole(t, srv, s)
	if st := s.Stats(); st.Passive != "active" {
		t.Errorf("status says %q", st.Passive)
	}
	// And active mode that fails later is left, too.
	end()
	srv.Add(ftpscript.Rule{Verb: "EPRT", Instead: "200 Noted."}) // and forgotten
	whole(t, srv, s)
	if st := s.Stats(); st.Passive != "EPSV" {
		t.Errorf("status says %q", st.Passive)
	}
}

// A server that goes away between its answer and the data connection is down, and that
// says nothing of the mode.
func TestADownServerDoesNotTurnTheMode(t *testing.T) {
	t.Parallel() // it mostly waits
	srv, s := start(t, ftpscript.Options{}, impatient)
	srv.Tree.Put("/d/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	hold := make(chan struct{})
	end := passivePort(srv, ftpscript.Filtered(t))
	silent := srv.Add(ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb != "EPSV" && c.Verb != "PASV" }, Hold: hold})
	_, err := s.List(t.Context(), "/d")
	kind(t, "list", err, remote.Timeout)
	end()
	silent.Remove()
	close(hold)
	for err != nil && t.Context().Err() == nil { // it counts as down for a moment
		_, err = s.List(t.Context(), "/d")
	}
	whole(t, srv, s)
	if n := len(srv.Since(0).Verbs("EPRT", "PORT")); n != 0 || s.Stats().Passive != "EPSV" {
		t.Errorf("%d times active mode; now %s", n, s.Stats().Passive)
	}
}

// Where neither mode works the error names both, and later operations do not try the
// other one again and again. Passive mode works as soon as it can.
func TestNeitherModeWorks(t *testing.T) {
	for _, how := range []string{"refused", "filtered", "425"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			srv, s := start(t, ftpscript.Options{}, impatient)
			srv.Tree.Put("/d/f", content)
			ok(t, "connect", s.Connect(t.Context()))
			end := noPassive[how](t, srv)
			broken := srv.Add(ftpscript.Rule{Verb: "EPRT", Instead: "425 I cannot reach you."})
			_, err := read(s, "/d/f", 0)
			want := remote.Down
			if how == "filtered" {
				want = remote.Timeout
			}
			kind(t, "read", err, want)
			if text := err.Error(); !strings.Contains(text, "in active mode") || !strings.Contains(text, "I cannot reach you") {
				t.Errorf("%v: want both modes in it", err)
			}
			if n := broken.Hits(); n != 1 {
				t.Errorf("active mode was tried %d times", n)
			}
			for range 2 {
				_, err = read(s, "/d/f", 0)
				kind(t, "again", err, want)
			}
			if n := broken.Hits(); n != 1 {
				t.Errorf("active mode was tried %d times in the end", n)
			}
			end()
			whole(t, srv, s)
			if st := s.Stats(); st.Passive == "active" || st.Logins != 1 {
				t.Errorf("status says %q, after %d logins", st.Passive, st.Logins)
			}
		})
	}
}

// Active mode that was asked for is kept to, and so is passive; the error says what to do.
func TestAModeThatWasAskedForIsKeptTo(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, active)
	srv.Tree.Put("/f", content)
	srv.Add(ftpscript.Rule{Verb: "EPRT", Instead: "500 Illegal EPRT command."})
	srv.Add(ftpscript.Rule{Verb: "PORT", Instead: "500 Illegal PORT command."})
	_, err := read(s, "/f", 0)
	kind(t, "read", err, remote.Down)
	if !strings.Contains(err.Error(), "leave active away") || !strings.Contains(err.Error(), "Illegal PORT") {
		t.Errorf("%v: want what the server said and what to do", err)
	}
	if n := len(srv.Since(0).Verbs("EPSV", "PASV")); n != 0 {
		t.Errorf("%d times passive mode", n)
	}

	srv, s = start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Passive = true })
	srv.Tree.Put("/f", content)
	passivePort(srv, ftpscript.Closed(t))
	_, err = read(s, "/f", 0)
	kind(t, "read", err, remote.Down)
	if !strings.Contains(err.Error(), "active mode may work") {
		t.Errorf("%v: want what to do", err)
	}
	if n := len(srv.Since(0).Verbs("EPRT", "PORT")); n != 0 {
		t.Errorf("%d times active mode", n)
	}
}

// The next mount begins with the mode that worked; if it does not any more, that costs
// one operation a moment.
func TestTheModeIsRemembered(t *testing.T) {
	var kept ftpconn.Memory
	var mu sync.Mutex
	srv := ftpscript.Start(t, ftpscript.Options{})
	again := func() *ftpconn.Store {
		return open(t, srv, func(c *ftpconn.Config) {
			mu.Lock()
			defer mu.Unlock()
			c.Memory = kept
			c.Remember = func(m ftpconn.Memory) { mu.Lock(); kept = m; mu.Unlock() }
		})
	}
	end := passivePort(srv, ftpscript.Closed(t))
	s := again()
	whole(t, srv, s)
	s.Close()
	mark := srv.Mark()
	s = again()
	whole(t, srv, s)
	if n := len(srv.Since(mark).Verbs("EPSV", "PASV")); n != 0 {
		t.Errorf("%d times passive mode at the second mount", n)
	}
	s.Close()
	end()
	srv.Add(ftpscript.Rule{Verb: "EPRT", Instead: "500 What?"})
	srv.Add(ftpscript.Rule{Verb: "PORT", Instead: "500 What?"})
	s = again()
	whole(t, srv, s)
	if st := s.Stats(); st.Passive == "active" || st.Logins > 2 {
		t.Errorf("status says %q, after %d logins", st.Passive, st.Logins)
	}
}
