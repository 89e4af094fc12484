package ftpconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 20_000)

func read(s *ftpconn.Store, p string, offset int64) ([]byte, error) {
	r, err := s.Open(context.Background(), p, offset, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// A download that breaks off is never taken for the whole file.
func TestReadBroken(t *testing.T) {
	for what, fault := range map[string]ftpscript.DataFault{
		"reset":           {After: 100_000, Reset: true},
		"closed, 426":     {After: 100_000},
		"closed, 226":     {After: 100_000, Reply: "226 all of it, honestly"},
		"nothing, 226":    {After: 0, Reply: "226 all of it"},
		"whole, then 451": {After: int64(len(content)), Reply: "451 disk failed"},
	} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Tree.Put("/f", content)
		rule := srv.Add(ftpscript.Rule{Verb: "RETR", Data: &fault})
		if got, err := read(s, "/f", 0); err == nil {
			t.Errorf("%s: read %d bytes of %d without an error", what, len(got), len(content))
		}
		rule.Remove()
		if got, err := read(s, "/f", 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s, afterwards: %d bytes, %v", what, len(got), err)
		}
	}
}

// Closing early leaves the connection in use, with no reply left over.
func TestReadAborted(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", bytes.Repeat(content, 50))
	for range 20 {
		r, err := s.Open(t.Context(), "/f", 16, nil)
		ok(t, "open", err)
		var b [16]byte
		_, err = io.ReadFull(r, b[:])
		ok(t, "read", err)
		r.Close()
		e, err := s.Stat(t.Context(), "/f")
		ok(t, "stat", err)
		if string(b[:]) != "0123456789abcdef" || e.Size != int64(50*len(content)) {
			t.Fatalf("read %q, size %d", b, e.Size)
		}
	}
	if n := srv.Opened(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

func TestOpenExpect(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", content)
	e, err := s.Stat(t.Context(), "/f")
	ok(t, "stat", err)
	v := e.Version()
	r, err := s.Open(t.Context(), "/f", 0, &v)
	ok(t, "open the version expected", err)
	r.Close()
	srv.Tree.Put("/f", content[1:])
	_, err = s.Open(t.Context(), "/f", 0, &v)
	kind(t, "open another version", err, remote.Changed)
	if got, err := read(s, "/f", 5); err != nil || !bytes.Equal(got, content[6:]) {
		t.Errorf("afterwards: %d bytes, %v", len(got), err)
	}
}

// A REST that the server refuses must not end in a read of other bytes than were asked for:
// what is read comes from the place, or not at all.
func TestRestRefused(t *testing.T) {
	for _, reply := range []string{"502 no REST", "200 ignored", "451 no"} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Tree.Put("/f", content)
		rule := srv.Add(ftpscript.Rule{Verb: "REST", Instead: reply})
		if got, err := read(s, "/f", 1000); err == nil && !bytes.Equal(got, content[1000:]) {
			t.Errorf("%q: read %d bytes at 1000, which are others", reply, len(got))
		}
		if rule.Hits() == 0 {
			t.Errorf("%q: REST was not tried", reply)
		}
		rule.Remove()
		if got, err := read(s, "/f", 1000); err != nil || !bytes.Equal(got, content[1000:]) {
			t.Errorf("%q, afterwards: %d bytes, %v", reply, len(got), err)
		}
	}
}

// Names with line breaks are refused before anything is sent: the library would
// leave a REST behind, and the next upload would patch its file.
func TestLineBreakInName(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	ok(t, "connect", s.Connect(t.Context()))
	mark := srv.Mark()
	for _, p := range []string{"/a\nb", "/a\rb", "/a\x00b", "/" + strings.Repeat("x", 5000)} {
		_, err := s.Open(t.Context(), p, 1000, nil)
		kind(t, "open", err, remote.BadName)
		kind(t, "upload", s.Write(t.Context(), p, strings.NewReader("x"), 0, 1), remote.BadName)
		kind(t, "remove", s.Remove(t.Context(), p), remote.BadName)
		kind(t, "rename to", s.Rename(t.Context(), "/a", p), remote.BadName)
	}
	if sent := srv.Since(mark); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

// A connection that the server closed while it was idle costs a retry, not an
// error; also when it says goodbye first.
func TestIdleConnectionLost(t *testing.T) {
	for what, rule := range map[string]*ftpscript.Rule{
		"reset":     nil,
		"421":       {Verb: "MLST", Times: 1, Instead: "421 idle for too long"},
		"dropped":   {Verb: "MLST", Times: 1, Drop: true},
		"hung up":   {Verb: "MLST", Times: 1, Hangup: true},
		"421 first": {Verb: "MLST", Times: 1, Before: "421 goodbye"},
	} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Tree.Put("/f", content)
		ok(t, "connect", s.Connect(t.Context()))
		if rule == nil {
			srv.KillSessions()
		} else {
			srv.Add(*rule)
		}
		e, err := s.Stat(t.Context(), "/f")
		if err != nil || e.Size != int64(len(content)) {
			t.Errorf("%s: stat: %v %v", what, e, err)
		}
	}
}

// A connection that the server ends as idle may be one that nobody has used yet: where we are slow to begin,
// or it is one that was made ahead.
func TestFreshConnectionEndedAsIdle(t *testing.T) {
	for what, do := range map[string]func(*ftpconn.Store) error{
		"stat": func(s *ftpconn.Store) error { _, err := s.Stat(t.Context(), "/f"); return err },
		"list": func(s *ftpconn.Store) error { _, err := s.List(t.Context(), "/"); return err },
		"upload": func(s *ftpconn.Store) error {
			return s.Write(t.Context(), "/g", struct{ io.Reader }{bytes.NewReader(content)}, 0, -1)
		},
		"download": func(s *ftpconn.Store) error { _, err := read(s, "/f", 0); return err },
	} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Tree.Put("/f", content)
		verb := "EPSV"
		if what == "stat" {
			verb = "MLST"
		}
		gone := srv.Add(ftpscript.Rule{Verb: verb, Times: 2, Instead: "421 Idle for too long: closing the control connection."})
		if err := do(s); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := gone.Hits(); n != 2 {
			t.Errorf("%s: %d connections were ended as idle, and not 2", what, n)
		}
	}
}

// A transfer that is always answered so is not begun as often as may be: each time may cost the server's patience.
func TestATransferIsNotEndedAsIdleForEver(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", content)
	ended := srv.Add(ftpscript.Rule{Verb: "RETR", Instead: "421 Data timeout."})
	_, err := read(s, "/f", 0)
	kind(t, "read", err, remote.Down)
	if n := ended.Hits(); n > 3 {
		t.Errorf("it was begun %d times", n)
	}
}

// A reply that nobody asked for condemns the connection before it can answer the
// wrong command.
func TestStrayReply(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", content)
	srv.Tree.Put("/g", content[:10])
	srv.Add(ftpscript.Rule{Verb: "SIZE", Path: "/f", Times: 1, Before: "226 late"})
	ok(t, "connect", s.Connect(t.Context()))
	s.Publish(t.Context(), "/f", remote.Publish{Path: "/h", Size: int64(len(content))})
	for range 3 {
		e, err := s.Stat(t.Context(), "/g")
		ok(t, "stat", err)
		if e.Size != 10 || e.Type != remote.File {
			t.Errorf("stat answered with something else: %+v", e)
		}
	}
}

// Lost replies to commands that change something are settled by looking.
func TestLostReplies(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		verb string
		do   func(s *ftpconn.Store) error
		want func(srv *ftpscript.Server) bool
	}{
		{"DELE", func(s *ftpconn.Store) error { return s.Remove(ctx, "/f") }, func(srv *ftpscript.Server) bool { _, there := srv.Tree.Stat("/f"); return !there }},
		{"MKD", func(s *ftpconn.Store) error { return s.Mkdir(ctx, "/new") }, func(srv *ftpscript.Server) bool { _, there := srv.Tree.Stat("/new"); return there }},
		{"RMD", func(s *ftpconn.Store) error { return s.Rmdir(ctx, "/empty") }, func(srv *ftpscript.Server) bool { _, there := srv.Tree.Stat("/empty"); return !there }},
		{"RNTO", func(s *ftpconn.Store) error { return s.Rename(ctx, "/f", "/g") }, func(srv *ftpscript.Server) bool { _, there := srv.Tree.Stat("/g"); return there }},
		{"RNTO", func(s *ftpconn.Store) error {
			_, err := s.Publish(ctx, "/f", remote.Publish{Path: "/g", Size: int64(len(content))})
			return err
		}, func(srv *ftpscript.Server) bool { _, there := srv.Tree.Stat("/g"); return there }},
		{"STOR", func(s *ftpconn.Store) error {
			return s.Write(ctx, "/tag7", bytes.NewReader(content), 0, int64(len(content)))
		}, func(srv *ftpscript.Server) bool {
			b, _ := srv.Tree.Get("/tag7")
			return bytes.Equal(b, content)
		}},
	} {
		for _, fault := range []string{"hung up after", "no reply", "dropped before"} {
			t.Run(c.verb+" "+fault, func(t *testing.T) {
				t.Parallel()
				change := impatient
				if fault != "no reply" {
					change = nil
				}
				srv, s := start(t, ftpscript.Options{}, change)
				srv.Tree.Put("/f", content)
				srv.Tree.MkdirAll("/empty")
				ok(t, "connect", s.Connect(ctx))
				rule := ftpscript.Rule{Verb: c.verb, Times: 1}
				switch fault {
				case "hung up after":
					rule.Hangup = true
				case "no reply":
					rule.Swallow = true
				default:
					rule.Drop = true
				}
				srv.Add(rule)
				err := c.do(s)
				done := c.want(srv)
				switch {
				case fault == "hung up after" && (err != nil || !done):
					t.Errorf("%s %s: error %v, done %v", c.verb, fault, err, done)
				case err == nil && !done:
					t.Errorf("%s %s: no error, but it is not done", c.verb, fault)
				case err != nil && !remote.KindOf(err).Offline():
					t.Errorf("%s %s: %v", c.verb, fault, err)
				}
			})
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	put := func() {
		srv.Tree.Put("/.tag7", content)
		srv.Tree.Put("/f", []byte("theirs"))
	}
	put()
	size := int64(len(content))
	_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: size})
	kind(t, "over a file that appeared", err, remote.Changed)
	_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: size, Expect: &remote.Version{Size: 5}})
	kind(t, "over another version", err, remote.Changed)
	_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/g", Size: size, Expect: &remote.Version{Size: 5}})
	kind(t, "over a file that went", err, remote.Changed)
	_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: size - 1, Force: true})
	kind(t, "a short upload", err, remote.ShortWrite)
	if b, _ := srv.Tree.Get("/f"); string(b) != "theirs" {
		t.Errorf("/f has %d bytes", len(b))
	}
	if b, _ := srv.Tree.Get("/.tag7"); !bytes.Equal(b, content) {
		t.Errorf("the temporary file has %d bytes", len(b))
	}
	// An answer about the target that may mean anything is not "absent".
	srv.Add(ftpscript.Rule{Verb: "MLST", Path: "/f", Instead: "550 go away"})
	srv.Add(ftpscript.Rule{Verb: "SIZE", Path: "/f", Instead: "550 go away"})
	_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: size})
	kind(t, "over a file the server will not speak of", err, remote.Changed)
}

// An upload whose source fails, or gives another number of bytes, is an error.
func TestUploadSourceFails(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	boom := errors.New("disk on fire")
	err := s.Write(t.Context(), "/tag7", io.MultiReader(bytes.NewReader(content), &failing{boom}), 0, -1)
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	kind(t, "short source", s.Write(t.Context(), "/tag7", bytes.NewReader(content), 0, 1e6), remote.ShortWrite)
	kind(t, "long source", s.Write(t.Context(), "/tag7", bytes.NewReader(content), 0, 5), remote.ShortWrite)
	ok(t, "upload", s.Write(t.Context(), "/tag7", bytes.NewReader(content), 0, int64(len(content))))
	if b, _ := srv.Tree.Get("/tag7"); !bytes.Equal(b, content) {
		t.Errorf("%d bytes arrived", len(b))
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// The server's reason for stopping an upload counts, not the broken pipe.
func TestUploadRefusedMidway(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Add(ftpscript.Rule{Verb: "STOR", Data: &ftpscript.DataFault{After: 1000, Reset: true, Reply: "552 quota exceeded"}})
	err := s.Write(t.Context(), "/tag7", bytes.NewReader(bytes.Repeat(content, 20)), 0, -1)
	kind(t, "upload", err, remote.NoSpace)
	_, err = s.Stat(t.Context(), "/")
	ok(t, "afterwards", err)
	if n := srv.Opened(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// Once an operation has spent its timeout, the next ones fail without waiting,
// and all works again when the server does.
func TestStallCountsAsDown(t *testing.T) {
	for _, verb := range []string{"MLST", "RETR", "MLSD", "STOR"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			srv, s := start(t, ftpscript.Options{}, impatient)
			health := make(chan bool, 100)
			s.OnHealth(func(up bool) { health <- up })
			srv.Tree.Put("/f", content)
			ok(t, "connect", s.Connect(t.Context()))

			hold := make(chan struct{})
			stalled := srv.Add(ftpscript.Rule{Verb: verb, Hold: hold})
			logins := srv.Add(ftpscript.Rule{Verb: "USER", Hold: hold})
			var err error
			switch verb {
			case "MLST":
				_, err = s.Stat(t.Context(), "/f")
			case "RETR":
				_, err = read(s, "/f", 0)
			case "MLSD":
				_, err = s.List(t.Context(), "/")
			case "STOR":
				err = s.Write(t.Context(), "/tag7", bytes.NewReader(content), 0, -1)
			}
			kind(t, "stalled", err, remote.Timeout)
			if up, _, last := s.Health(); up || last == nil {
				t.Fatalf("up %v, %v after a timeout", up, last)
			}
			mark := srv.Mark()
			_, err = s.Stat(t.Context(), "/f")
			kind(t, "while down", err, remote.Down)
			if n := len(srv.Since(mark).Verbs("MLST")); n != 0 {
				t.Errorf("%d commands sent while down", n)
			}
			stalled.Remove()
			logins.Remove()
			close(hold)
			if up := <-health; up {
				t.Error("told up first")
			}
			for up := range health {
				if up {
					break
				}
			}
			_, err = s.Stat(t.Context(), "/f")
			ok(t, "after the server's return", err)
		})
	}
}

// Every call ends with its context, wherever it is stuck.
func TestCancel(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", content)
	srv.Tree.Put("/g", content)
	hold := make(chan struct{})
	defer close(hold)
	for verb, do := range map[string]func(context.Context) error{
		"MLST": func(ctx context.Context) error { _, err := s.Stat(ctx, "/f"); return err },
		"MLSD": func(ctx context.Context) error { _, err := s.List(ctx, "/"); return err },
		"RETR": func(ctx context.Context) error { _, err := s.Open(ctx, "/f", 0, nil); return err },
		"DELE": func(ctx context.Context) error { return s.Remove(ctx, "/g") },
		"STOR": func(ctx context.Context) error {
			return s.Write(ctx, "/tag7", strings.NewReader("x"), 0, 1)
		},
	} {
		rule := srv.Add(ftpscript.Rule{Verb: verb, Hold: hold})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- do(ctx) }()
		select {
		case <-rule.Hit():
		case err := <-done:
			t.Fatalf("%s: ended before it was sent: %v", verb, err)
		}
		cancel()
		kind(t, verb, <-done, remote.Canceled)
		rule.Remove()
		_, err := s.Stat(t.Context(), "/f")
		ok(t, "after "+verb, err)
	}
}

// vsftpd says 553 where it may not create a file. Of a name that the user chose it may be
// the name; of a temporary one of ours it is the right to write there.
func TestTemporaryNameIsNeverBad(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.MkdirAll("/ro")
	srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "553 Could not create file."})
	err := s.Write(t.Context(), "/ro/.tag7", bytes.NewReader(content), 0, -1)
	kind(t, "upload under a temporary name", err, remote.Permission)
	if !strings.Contains(err.Error(), "553 Could not create file.") {
		t.Errorf("%v does not tell what the server said", err)
	}
	err = s.Write(t.Context(), "/ro/name", bytes.NewReader(content), 0, -1)
	kind(t, "upload under a chosen name", err, remote.BadName)
	err = s.Write(t.Context(), "/gone/.tag7", bytes.NewReader(content), 0, -1)
	kind(t, "upload into a directory that is not there", err, remote.NotExist)
}
