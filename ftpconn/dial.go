package ftpconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// full is a server that has no connection left for us.
type full struct{ err error }

func (f *full) Error() string { return f.err.Error() }
func (f *full) Unwrap() error { return f.err }

// dial makes one session for whoever waits. It is started by dispatchLocked,
// which counted it in dialing.
func (p *pool) dial() {
	if !p.pace() {
		p.failed(context.Canceled)
		return
	}
	pause := 200 * time.Millisecond
	place := queued{pool: p, since: time.Now()}
	got := false
	defer func() { place.leave(got) }()
	place.afterOthers(p.store.ctx)
	deadline := time.Now().Add(p.store.cfg.Timeout)
	for {
		ss, err := p.store.login(p.store.ctx)
		var f *full
		if err == nil {
			got = p.store.ctx.Err() == nil
			p.mu.Lock()
			p.dialing--
			p.mu.Unlock()
			p.add(ss)
			return
		}
		if !errors.As(err, &f) {
			p.failed(err)
			return
		}
		place.has = false
		if p.learn(f, time.Now().After(deadline)) {
			return
		}
		// Not one connection is ours: somebody else's, or what a former process
		// left behind, fills the server. Such places become free in a moment.
		place.refused(f.err)
		if place.wait(p.store.ctx, pause) {
			pause = 100 * time.Millisecond // the server may need a moment to notice
		} else {
			pause = min(2*pause, 3*time.Second)
		}
		if p.store.ctx.Err() != nil {
			deadline = time.Now()
		}
	}
}

// learn notes that the server takes no more connections than there are now. It
// reports whether the dialing ends with that: not while we have none at all and
// somebody waits.
func (p *pool) learn(f *full, late bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.all)
	if n > 0 {
		if was := p.cap.learned(); was == 0 || n < was {
			p.store.log.Info("the server takes no more connections", "connections", n, "answer", f.err)
		}
		p.cappedLocked(n)
		p.dialing--
		p.dispatchLocked()
		return true
	}
	if late || p.closed || !p.wantedLocked() {
		p.dialing--
		p.failLocked(f.err)
		return true
	}
	return false
}

// cappedLocked notes that there can be n connections, for now.
func (p *pool) cappedLocked(n int) {
	p.cap.refused(n, time.Now())
	p.store.remember()
}

// crowdedOut notes that the server took one of our connections away, as it has too many.
func (p *pool) crowdedOut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cappedLocked(max(1, len(p.all)-1))
}

func (p *pool) wantedLocked() bool {
	for c := range p.waiting {
		if len(p.waiting[c]) > 0 {
			return true
		}
	}
	return false
}

// How long a refused password is not tried again. Servers ban after some failures in
// some minutes; but a server whose directory of users was away for a moment says the
// same words, so that a password that was right before gets two more chances soon.
const (
	authMemory  = 10 * time.Minute
	authNoHurry = 30 * time.Minute // one that was never right
)

var authSoon = [...]time.Duration{15 * time.Second, time.Minute}

var banWords = text(`\bban(ned|s)?\b|attempts|too many`)

// banned says that the refusal is for what we did and not for the password.
func banned(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && (e.Code == 421 || banWords.MatchString(e.Text))
}

// wordsOf is what the server said.
func wordsOf(err error) string {
	var e *remote.Error
	if errors.As(err, &e) && e.Code != 0 {
		return fmt.Sprintf("%d %s", e.Code, e.Text)
	}
	return err.Error()
}

// authWait is how long to believe the refusal that came after so many others in a row.
func authWait(before int, everRight, banned bool) time.Duration {
	switch {
	case !everRight:
		return authNoHurry
	case banned: // each further try prolongs it
		return authMemory
	case before < len(authSoon):
		return authSoon[before]
	}
	return authMemory
}

// refusedLocked remembers that the server refused the password, or what it says
// so of: while other sessions with that very password are alive it is a limit, in
// words that the table does not know.
func (p *pool) refusedLocked(err error) {
	living := len(p.all) - len(p.idle)
	for _, ss := range p.idle {
		if ss.wire.Quiet() {
			living++
		}
	}
	if living == 0 {
		p.auth, p.authNext = err, time.Now().Add(authWait(p.authTold, p.store.count.logins.Load() > 0, banned(err)))
		p.store.log.Warn("the server refuses the login", "server", p.store.cfg.addr(), "answer", wordsOf(err),
			"again in", time.Until(p.authNext).Round(time.Second))
		p.authTold++
		p.failLocked(err)
		return
	}
	p.store.log.Warn("a further login was refused", "connections", living, "because", err)
	p.cappedLocked(max(1, len(p.all)))
	p.cap.until(time.Now().Add(authMemory))
	p.contentLocked()
	p.dispatchLocked()
}

// contentLocked has those who wait for a new connection take any: else each would
// cost an idle one and another login that fails.
func (p *pool) contentLocked() {
	for _, q := range p.waiting {
		for _, w := range q {
			w.fresh = false
		}
	}
}

// failed ends a dialing that did not succeed. A refused password is remembered
// and not tried again: servers ban for that. Anything else means that the
// server is down, unless other connections to it are at work.
func (p *pool) failed(err error) {
	p.mu.Lock()
	p.dialing--
	if remote.Is(err, remote.Auth) {
		p.refusedLocked(err)
		p.mu.Unlock()
		return
	}
	if p.closed || errors.Is(err, context.Canceled) {
		p.failLocked(fault(remote.Canceled, "closed"))
		p.mu.Unlock()
		return
	}
	busy := p.busy[metadata] + p.busy[read] + p.busy[upload]
	f := wire.FaultOf(err)
	// A connection that is refused while others, idle ones, stand: a firewall that
	// counts, perhaps. A server that has gone would have closed them.
	turned := f != nil && f.Fault == wire.Lost && slices.ContainsFunc(p.idle, func(ss *session) bool { return ss.wire.Quiet() })
	if busy > 0 || turned {
		// Perhaps only new connections are limited: those at work go on, the
		// next dialing comes with the next request.
		p.cappedLocked(max(1, len(p.all)))
		p.contentLocked()
		p.dispatchLocked()
		p.mu.Unlock()
		p.store.log.Info("no further connection", "because", err)
		return
	}
	p.mu.Unlock()
	p.store.health.down(err)
}
