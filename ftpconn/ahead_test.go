package ftpconn_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// begun is a download that was begun ahead.
type begun struct {
	hurry func()
	done  chan error
}

func beginAhead(ctx context.Context, s *ftpconn.Store, p string) begun {
	ctx, hurry := remote.Ahead(ctx)
	b := begun{hurry, make(chan error, 1)}
	go func() {
		r, err := s.Open(ctx, p, 0, nil)
		if err == nil {
			err = r.Close()
		}
		b.done <- err
	}()
	return b
}

// What nobody asked for leaves two connections, for a question and for a read; what waits
// for it is served once somebody does.
func TestWhatIsAheadLeavesConnections(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 4 })
	release := make(chan struct{})
	held := srv.Add(ftpscript.Rule{Verb: "RETR", Hold: release, Match: func(c ftpscript.Command) bool { return c.Path != "/asked" }})
	srv.Tree.Put("/asked", content)
	for i := range 4 {
		srv.Tree.Put(fmt.Sprintf("/%d", i), content)
	}
	ok(t, "connect", s.Connect(t.Context()))
	if n := s.Caps().Ahead; n != 2 {
		t.Fatalf("%d may run ahead of 4 connections, want 2", n)
	}
	var ahead []begun
	for i := range 4 {
		ahead = append(ahead, beginAhead(t.Context(), s, fmt.Sprintf("/%d", i)))
	}
	mark := 0
	if _, err := srv.Await(t.Context(), mark, func(c ftpscript.Commands) bool { return len(c.Verbs("RETR")) == 2 }); err != nil {
		t.Fatal(err)
	}
	for range 3 { // which those that wait would have taken
		_, err := s.Stat(t.Context(), "/asked")
		ok(t, "stat", err)
		_, err = read(s, "/asked", 0)
		ok(t, "read", err)
	}
	if n := held.Hits(); n != 2 {
		t.Errorf("%d transfers run ahead, want 2", n)
	}
	ahead[0].hurry() // one runs, or waits: neither is begun again
	ahead[1].hurry()
	ahead[2].hurry()
	ahead[3].hurry()
	if _, err := srv.Await(t.Context(), mark, func(ftpscript.Commands) bool { return held.Hits() >= 3 }); err != nil {
		t.Fatal(err)
	}
	close(release)
	for i, a := range ahead {
		ok(t, fmt.Sprintf("download %d", i), <-a.done)
	}
}

// Once what was begun ahead was over in a moment, all connections but the one for metadata are used for it. A read that is
// asked for then waits for no more than what is under way: it is served before all that are in line. When
// they take long, the next leave two again.
func TestWhatIsAheadAndShortLeavesOneConnection(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 4 })
	s.SetMoment(time.Hour) // however slow the machine
	for _, name := range []string{"/asked", "/0", "/1", "/2", "/3", "/4"} {
		srv.Tree.Put(name, content)
	}
	ok(t, "connect", s.Connect(t.Context()))
	ok(t, "the first", <-beginAhead(t.Context(), s, "/0").done)
	if n := s.Caps().Ahead; n != 3 {
		t.Fatalf("%d may run ahead of 4 connections, want 3", n)
	}
	mark := srv.Mark()
	release := make([]chan struct{}, 5)
	for i := range release {
		release[i] = make(chan struct{})
		srv.Add(ftpscript.Rule{Verb: "RETR", Path: fmt.Sprintf("/%d", i), Hold: release[i]})
	}
	downloads := func(n int) func(ftpscript.Commands) bool {
		return func(c ftpscript.Commands) bool { return len(c.Verbs("RETR")) == n }
	}
	await := func(n int) {
		t.Helper()
		if _, err := srv.Await(t.Context(), mark, downloads(n)); err != nil {
			t.Fatal(err)
		}
	}
	var ahead []begun
	for i := range release {
		ahead = append(ahead, beginAhead(t.Context(), s, fmt.Sprintf("/%d", i)))
		await(min(i+1, 3))
	}
	_, err := s.Stat(t.Context(), "/asked")
	ok(t, "stat beside three of them", err)
	asked := make(chan error, 1)
	go func() {
		_, err := read(s, "/asked", 0)
		asked <- err
	}()
	for s.Stats().Waiting == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the read does not wait")
		}
		runtime.Gosched()
	}
	if n := len(srv.Since(mark).Verbs("RETR")); n != 3 {
		t.Errorf("%d downloads run, want 3", n)
	}
	close(release[0])
	ok(t, "what was asked for", <-asked)
	if got := srv.Since(mark).Verbs("RETR"); len(got) < 4 || got[3].Path != "/asked" {
		t.Errorf("downloaded %v, want what was asked for as the fourth", got)
	}
	for _, c := range release[1:] {
		close(c)
	}
	for i, a := range ahead {
		ok(t, fmt.Sprintf("download %d", i), <-a.done)
	}
}

// Where what was begun ahead takes long, while it does and afterwards, two connections are left.
func TestWhatIsAheadAndLongLeavesTwoConnections(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 4 })
	s.SetMoment(time.Hour)
	for _, name := range []string{"/0", "/1"} {
		srv.Tree.Put(name, content)
	}
	ok(t, "connect", s.Connect(t.Context()))
	ok(t, "the first", <-beginAhead(t.Context(), s, "/0").done)
	release := make(chan struct{})
	held := srv.Add(ftpscript.Rule{Verb: "RETR", Path: "/1", Hold: release})
	b := beginAhead(t.Context(), s, "/1")
	<-held.Hit()
	if n := s.Caps().Ahead; n != 3 {
		t.Errorf("%d may run ahead of 4 connections at first, want 3", n)
	}
	s.SetMoment(0) // it has taken longer
	if n := s.Caps().Ahead; n != 2 {
		t.Errorf("%d may run ahead beside one that takes long, want 2", n)
	}
	close(release)
	ok(t, "the long one", <-b.done)
	if n := s.Caps().Ahead; n != 2 {
		t.Errorf("%d may run ahead after one that took long, want 2", n)
	}
}

// With two connections nothing runs ahead, and what was begun all the same is done when
// somebody waits for it.
func TestNothingRunsAheadOnFewConnections(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 2 })
	srv.Tree.Put("/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	if n := s.Caps().Ahead; n != 0 {
		t.Errorf("%d may run ahead of 2 connections", n)
	}
	a := beginAhead(t.Context(), s, "/f")
	_, err := s.Stat(t.Context(), "/f")
	ok(t, "stat", err)
	select {
	case err := <-a.done:
		t.Fatalf("it was done: %v", err)
	default:
	}
	if n := len(srv.Since(0).Verbs("RETR")); n != 0 {
		t.Errorf("%d transfers were begun", n)
	}
	a.hurry()
	ok(t, "download", <-a.done)
}

// What is ahead ends with its context while it waits.
func TestWhatIsAheadEndsWithItsContext(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 2 })
	srv.Tree.Put("/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	a := beginAhead(ctx, s, "/f")
	cancel()
	kind(t, "download", <-a.done, remote.Canceled)
	_, err := read(s, "/f", 0)
	ok(t, "read", err)
}
