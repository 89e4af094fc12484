package ftpconn_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

func tail(s *ftpconn.Store, t *testing.T, p, more string, at int64) error {
	return s.Write(t.Context(), p, strings.NewReader(more), at, int64(len(more)))
}

func wantFile(t *testing.T, srv *ftpscript.Server, p, want string) {
	t.Helper()
	if got, _ := srv.Tree.Get(p); string(got) != want {
		t.Errorf("%s on the server is %.60q (%d bytes), want %.60q (%d bytes)", p, got, len(got), want, len(want))
	}
}

// noneLeft checks that no scratch file is left.
func noneLeft(t *testing.T, srv *ftpscript.Server) {
	t.Helper()
	for _, f := range srv.Tree.All() {
		if strings.Contains(f.Path, ".ftpfs-") {
			t.Errorf("%s is left on the server", f.Path)
		}
	}
}

// A name that others know is appended to only after a scratch file has proved that
// the server appends: once.
func TestAppendIsProvedFirst(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/dir/log", []byte("one\n"))
	if c := s.Caps(); c.Append || c.NoAppend {
		t.Errorf("before: %+v", c)
	}
	ok(t, "append", tail(s, t, "/dir/log", "two\n", 4))
	ok(t, "append again", tail(s, t, "/dir/log", "three\n", 8))
	wantFile(t, srv, "/dir/log", "one\ntwo\nthree\n")
	if c := s.Caps(); !c.Append || c.NoAppend {
		t.Errorf("after: %+v", c)
	}
	if n := len(srv.Since(0).Verbs("STOR")); n != 1 {
		t.Errorf("%d scratch files, want 1", n)
	}
	noneLeft(t, srv)
}

// Servers that refuse APPE, or do something else, never get near the file.
func TestAppendDisproved(t *testing.T) {
	for what, o := range map[string]ftpscript.Options{
		"refused":                   {Refuse: []string{"APPE"}},
		"starts from the beginning": {Append: ftpscript.AppendOverwrites},
		"takes it for STOR":         {Append: ftpscript.AppendTruncates},
	} {
		srv, s := start(t, o, nil)
		srv.Tree.Put("/log", []byte("precious"))
		for range 2 {
			kind(t, what, tail(s, t, "/log", "more", 8), remote.Unsupported)
		}
		wantFile(t, srv, "/log", "precious")
		if n := len(srv.Since(0).Verbs("STOR")); len(srv.Since(0).Verbs("APPE").About("/log")) != 0 || n < 1 || n > 2 {
			t.Errorf("%s: want a scratch file or two, and nothing sent to the log:\n%s", what, srv.Since(0))
		}
		if c := s.Caps(); c.Append || !c.NoAppend {
			t.Errorf("%s: %+v", what, c)
		}
		noneLeft(t, srv)
	}
}

// A scratch file that somebody sweeps away in the middle disproves nothing.
func TestAppendScratchSwept(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/log", []byte("a"))
	swept := false
	srv.Add(ftpscript.Rule{Match: func(c ftpscript.Command) bool {
		if c.Verb == "APPE" && !swept {
			swept = true
			srv.Tree.Remove(c.Path)
		}
		return false
	}})
	ok(t, "append", tail(s, t, "/log", "b", 1))
	wantFile(t, srv, "/log", "ab")
	noneLeft(t, srv)
}

// ProFTPD says 451 by default. Any other 4xx is of the moment.
func TestAppendRefusedFor(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/log", []byte("a"))
	rule := srv.Add(ftpscript.Rule{Verb: "APPE", Instead: "450 busy, later"})
	kind(t, "450", tail(s, t, "/log", "b", 1), remote.Temporary)
	rule.Remove()
	ok(t, "later", tail(s, t, "/log", "b", 1))
	srv, s = start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/log", []byte("a"))
	rule = srv.Add(ftpscript.Rule{Verb: "APPE", Instead: "451 /log: Append/Restart not permitted, try again"})
	kind(t, "451", tail(s, t, "/log", "b", 1), remote.Unsupported)
	rule.Remove()
	kind(t, "after 451", tail(s, t, "/log", "b", 1), remote.Unsupported)
	wantFile(t, srv, "/log", "a")
}

// Where no scratch file can be made nothing is appended, and nothing remembered.
func TestAppendUnproved(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/log", []byte("a"))
	rule := srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "553 not here"})
	kind(t, "no scratch", tail(s, t, "/log", "b", 1), remote.Unsupported)
	rule.Remove()
	ok(t, "with one", tail(s, t, "/log", "b", 1))
	wantFile(t, srv, "/log", "ab")
}

// proved is a Store that knows that its server appends.
func proved(t *testing.T) (*ftpscript.Server, *ftpconn.Store) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/first", []byte("a"))
	ok(t, "first append", tail(s, t, "/first", "b", 1))
	srv.Tree.Put("/log", []byte("base"))
	return srv, s
}

// A cut append is reported and not tried again: part of it may be there.
func TestAppendCut(t *testing.T) {
	more := strings.Repeat("x", 300_000)
	for what, f := range map[string]ftpscript.DataFault{
		"reset":      {After: 100_000, Reset: true},
		"disk full":  {After: 100_000, Reply: "552 quota exceeded"},
		"short, 226": {After: 100_000, Reply: "226 thank you"},
	} {
		srv, s := proved(t)
		srv.Add(ftpscript.Rule{Verb: "APPE", Data: &f, Times: 1})
		mark := srv.Mark()
		err := tail(s, t, "/log", more, 4)
		if err == nil || remote.Is(err, remote.Unsupported) {
			t.Errorf("%s: %v", what, err)
		}
		if what == "disk full" {
			kind(t, what, err, remote.NoSpace)
		}
		if n := len(srv.Since(mark).Verbs("APPE")); n != 1 {
			t.Errorf("%s: APPE was sent %d times", what, n)
		}
		e, err := s.Stat(t.Context(), "/log")
		ok(t, "stat", err)
		ok(t, what+": the rest", tail(s, t, "/log", more[e.Size-4:], e.Size))
		wantFile(t, srv, "/log", "base"+more)
	}
}

// A lost final reply is settled by SIZE.
func TestAppendReplyLost(t *testing.T) {
	srv, s := proved(t)
	srv.Add(ftpscript.Rule{Verb: "APPE", Hangup: true, Times: 1})
	mark := srv.Mark()
	ok(t, "append", tail(s, t, "/log", "more", 4))
	wantFile(t, srv, "/log", "basemore")
	if n := len(srv.Since(mark).Verbs("APPE")); n != 1 {
		t.Errorf("APPE was sent %d times", n)
	}
}

// Another client's append is noticed: before, nothing is sent; in between, both
// are there.
func TestAppendBesideAnother(t *testing.T) {
	srv, s := proved(t)
	srv.Tree.Put("/log", []byte("base+theirs"))
	kind(t, "after theirs", tail(s, t, "/log", "+ours", 4), remote.Changed)
	wantFile(t, srv, "/log", "base+theirs")

	hold := make(chan struct{})
	appe := srv.Add(ftpscript.Rule{Verb: "APPE", Path: "/log", Hold: hold})
	done := make(chan error)
	go func() { done <- tail(s, t, "/log", "+ours", 11) }()
	<-appe.Hit()
	srv.Tree.Put("/log", []byte("base+theirs+more"))
	close(hold)
	kind(t, "with theirs between", <-done, remote.Changed)
	wantFile(t, srv, "/log", "base+theirs+more+ours")
}

// An upload of ours is resumed without a proof; its size afterwards is the proof.
func TestResumeUnderOurName(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/.tag7", content[:1000])
	kind(t, "at the wrong size", tail(s, t, "/.tag7", "x", 999), remote.Changed)
	ok(t, "resume", s.Write(t.Context(), "/.tag7", bytes.NewReader(content[1000:]), 1000, -1))
	wantFile(t, srv, "/.tag7", string(content))
	if len(srv.Since(0).Verbs("STOR")) != 0 {
		t.Error("a scratch file was made")
	}
	for _, o := range []ftpscript.Options{{Append: ftpscript.AppendOverwrites}, {Append: ftpscript.AppendTruncates}} {
		srv, s := start(t, o, nil)
		srv.Tree.Put("/.tag7", content[:1000])
		kind(t, "a server that does not append", tail(s, t, "/.tag7", "xyz", 1000), remote.ShortWrite)
		kind(t, "again", tail(s, t, "/.tag7", "xyz", 1000), remote.Unsupported)
	}
}

// gated gives its parts one by one, each when the test says so.
type gated struct{ parts chan string }

func (g gated) Read(p []byte) (int, error) {
	part, more := <-g.parts
	if !more {
		return 0, io.EOF
	}
	return copy(p, part), nil
}

// A source that has nothing for longer than the timeout is no fault of the server's.
func TestASourceMayRest(t *testing.T) {
	for _, base := range []string{"", "base"} {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			srv, s := start(t, ftpscript.Options{}, impatient)
			srv.Tree.Put("/.tag7", []byte(base))
			src := gated{make(chan string)}
			done := make(chan error, 1)
			go func() { done <- s.Write(t.Context(), "/.tag7", src, int64(len(base)), -1) }()
			src.parts <- "one"
			<-time.After(short + short/2) // the case itself: nothing comes for longer than the timeout
			src.parts <- "two"
			close(src.parts)
			ok(t, "upload", <-done)
			wantFile(t, srv, "/.tag7", base+"onetwo")
		})
	}
}

// Close does not wait for a source that has nothing to give.
func TestCloseWithARestingSource(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	src := gated{make(chan string)}
	done := make(chan error, 1)
	stor := srv.Add(ftpscript.Rule{Verb: "STOR"})
	go func() { done <- s.Write(t.Context(), "/.tag7", src, 0, -1) }()
	<-stor.Hit()
	src.parts <- "something"
	ok(t, "close", s.Close())
	var err error
	select { // what it had may have failed before it asks for more
	case src.parts <- "more":
		close(src.parts)
		err = <-done
	case err = <-done:
	}
	if err == nil {
		t.Error("an upload over a closed store succeeded")
	}
}
