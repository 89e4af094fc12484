package ftpconn

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
)

// A cap met once is tried again soon, as it may have been our own connections of
// before the server's restart; one that stands is asked ever less often.
func TestCapIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		p := &s.pool
		p.all[&session{}] = true
		refuse := func() { p.dialing++; p.learn(&full{errors.New("421 too many")}, false) }
		refuse()
		if n := p.limitNow(); n != 1 {
			t.Fatalf("capped at %d, want 1", n)
		}
		var waits []time.Duration
		for range 6 {
			from := time.Now()
			for p.limitNow() == 1 {
				if time.Since(from) > time.Hour {
					t.Fatalf("not tried again within an hour; before that after %v", waits)
				}
				time.Sleep(time.Second)
			}
			waits = append(waits, time.Since(from).Round(5*time.Second))
			refuse()
		}
		if waits[0] > 2*capSoon || waits[3] < 30*time.Second || waits[5] > 2*capMemory {
			t.Errorf("a cap that stands is tried again after %v", waits)
		}
		// The places come free.
		from := time.Now()
		for p.limitNow() < 4 && time.Since(from) < time.Hour {
			time.Sleep(time.Second)
			if p.limitNow() > len(p.all) {
				later := time.Now().Add(24 * time.Hour) // nothing is to be done about what has no wire
				p.add(&session{store: s, last: later, noop: later})
			}
		}
		if took := time.Since(from); took > 2*capMemory+10*capSoon {
			t.Errorf("four connections after %v", took)
		}
		p.mu.Lock()
		p.tick.Stop() // there is nothing behind these sessions
		p.mu.Unlock()
	})
}

// Who waits while the cap is tried again gets the further connection tried: it is not
// enough that there could be one.
func TestWaitingTriesTheCap(t *testing.T) {
	for _, look := range []struct {
		what string
		at   func(*pool)
	}{
		{"two nudges later", func(*pool) { time.Sleep(2 * time.Second) }},
		{"asked for the limit", func(p *pool) { p.limitNow() }},
	} {
		synctest.Test(t, func(t *testing.T) {
			dialed := make(chan struct{}, 100)
			s := New(Config{Dial: func(context.Context, string, string) (net.Conn, error) {
				dialed <- struct{}{}
				return nil, syscall.ECONNREFUSED
			}})
			p := &s.pool
			held := &session{}
			p.all[held] = true
			p.busy[metadata]++
			p.dialing++
			p.learn(&full{errors.New("421 too many")}, false)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { _, err := p.acquire(ctx, metadata, false); done <- err }()
			time.Sleep(capSoon + time.Millisecond) // between two nudges
			look.at(p)
			time.Sleep(loginGap)
			synctest.Wait()
			if len(dialed) == 0 {
				t.Errorf("%s: nothing was dialed", look.what)
			}
			cancel()
			<-done
			p.mu.Lock()
			delete(p.all, held) // there is nothing behind it
			p.mu.Unlock()
			s.Close()
		})
	}
}

// A password that was right before is tried again soon, twice; one that never was, and
// one of somebody who is banned, is not.
func TestRefusedLoginIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			what  string
			right bool
			reply remote.Error
			most  int // tries in the first ten minutes
		}{
			{"worked before", true, remote.Error{Kind: remote.Auth, Code: 530, Text: "Login incorrect."}, 3},
			{"never worked", false, remote.Error{Kind: remote.Auth, Code: 530, Text: "Login incorrect."}, 1},
			{"banned", true, remote.Error{Kind: remote.Auth, Code: 530, Text: "Banned for 10 minutes."}, 1},
		} {
			s := New(Config{})
			if c.right {
				s.count.logins.Add(1)
			}
			tries := 0
			for from := time.Now(); time.Since(from) < 10*time.Minute; time.Sleep(time.Second) {
				s.pool.mu.Lock()
				if s.pool.refusesLocked() == nil {
					tries++
					s.pool.refusedLocked(&c.reply)
				}
				s.pool.mu.Unlock()
			}
			if tries != c.most {
				t.Errorf("%s: tried %d times in ten minutes, want %d", c.what, tries, c.most)
			}
		}
	})
}
