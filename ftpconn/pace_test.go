package ftpconn

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/test/ftpscript"
)

// Logins come in a burst of ten at most, and then five a second, however they end.
func TestLoginsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }})
		begun := time.Now()
		var at []time.Duration
		for range 60 {
			if !s.pool.pace() {
				t.Fatal("closed")
			}
			at = append(at, time.Since(begun))
		}
		if at[7] > 500*time.Millisecond {
			t.Errorf("the eighth came after %v", at[7])
		}
		if want := 50 * time.Second / loginRate; at[59] < want || at[59] > want+2*time.Second {
			t.Errorf("the sixtieth came after %v, want %v", at[59], want)
		}
		s.Close()
	})
}

// Where a login takes the server seconds, logins are made one after the other, and who can
// have a connection in a moment waits for it.
func TestDearLoginsAreSpared(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/f", nil)
	hold := make(chan struct{})
	s := hurriedStore(t, srv, nil)
	s.pool.loggedIn(5*time.Second, 10*time.Millisecond)
	if _, err := s.Stat(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	s.pool.loggedIn(5*time.Second, 10*time.Millisecond) // the scripted server is quick
	mark := srv.Mark()
	slow := srv.Add(ftpscript.Rule{Verb: "MLST", Hold: hold, Times: 1})
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := s.Stat(t.Context(), "/f"); err != nil {
				t.Error(err)
			}
		})
	}
	<-slow.Hit()
	close(hold)
	wg.Wait()
	if n := len(srv.Since(mark).Verbs("CONNECT")); n > 1 { // one, if this machine was busy for long
		t.Errorf("%d logins for what one connection did", n)
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if p := &s.pool; !p.warmLocked(0) {
		t.Error("an idle connection is not kept")
	}
}
