package ftpconn

import (
	"math/rand/v2"
	"time"
)

// Firewalls and servers ban who connects too often: ten in a row are usual for FTP clients,
// and more than some in a second are not. So there may be a burst of ten, which is more
// than a mount has connections by default, and then five a second; a few are under way
// at once, a moment apart, so that eight over a line of 100 ms take less than two seconds.
// On a server that hashes passwords for seconds (Pure-FTPd) logins beside each other
// only slow each other down.
const (
	loginRate  = 5
	loginBurst = 10
	loginsAt   = 4                       // a time
	loginGap   = 30 * time.Millisecond   // at most, by chance
	dearLogin  = 1500 * time.Millisecond // beyond what the line explains
	patient    = 500 * time.Millisecond  // how long who waits for a short operation's connection waits rather than log in there
)

// paceLocked is how many logins may be under way: one until the server is known, and
// where they are dear.
func (p *pool) paceLocked() int {
	if len(p.all) == 0 || p.slow {
		return 1
	}
	return loginsAt
}

// pace waits until a further login is in order; false when the Store is closed.
func (p *pool) pace() bool {
	wait := p.logins.Reserve().Delay()
	p.mu.Lock()
	if len(p.all) > 0 {
		wait += rand.N(loginGap)
	}
	p.mu.Unlock()
	if wait == 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.store.ctx.Done():
		return false
	}
}

// patientLocked says that w had better wait for a connection that will be free in a
// moment than have another login made: that is dear.
func (p *pool) patientLocked(w *waiter) bool {
	return p.slow && !w.fresh && p.busy[metadata] > 0 && time.Since(w.since) < patient
}

// loggedIn notes how long the server took for a login, where connecting took so long.
func (p *pool) loggedIn(took, connect time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slow := took > dearLogin+3*connect; slow != p.slow {
		p.slow = slow
		if slow {
			p.store.log.Info("logins take the server long: they are made one at a time, and connections are kept", "login", took.Round(time.Second/10))
		}
		p.store.remember()
	}
}
