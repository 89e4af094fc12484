package ftpconn_test

import (
	"context"
	"fmt"
	"testing"

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
