package ftpconn

import (
	"context"
	"slices"
	"time"

	"ftpfs/lastwords"
)

// rhythm is how idle sessions are kept. A data connection is prepared once a session has
// rested for a moment, and dropped when nobody came for it. What the server says on an
// idle connection is heard at once. A NOOP keeps the two used last from being forgotten,
// by the server or by a NAT between; what nobody needed for minutes is closed. A session
// from which nothing was heard for long is asked before it is used: it may have died
// without a word.
type rhythm struct {
	restBefore time.Duration
	dropAfter  time.Duration
	watchAfter time.Duration
	noopEvery  time.Duration // less where the server lets nobody idle for so long
	leastNoop  time.Duration
	closeAfter time.Duration
	closeAll   time.Duration
	staleAfter time.Duration
	lateAfter  time.Duration // somebody may be waiting for the session: no longer than this
	keepTime   time.Duration
	leastLimit time.Duration // connections that are closed sooner are closed for another reason
	slack      time.Duration
}

var unhurried = rhythm{restBefore: 15 * time.Millisecond, dropAfter: 3 * time.Second, watchAfter: time.Second,
	noopEvery: 45 * time.Second, leastNoop: 3 * time.Second, closeAfter: 3 * time.Minute, closeAll: 30 * time.Minute,
	staleAfter: time.Minute, lateAfter: time.Second, keepTime: 5 * time.Second,
	leastLimit: 2 * time.Second, slack: time.Second}

const keepWarm = 2

// heardAt is when the server last heard from us, and answered.
func (ss *session) heardAt() time.Time {
	if ss.noop.After(ss.last) {
		return ss.noop
	}
	return ss.last
}

// tendLocked arms the timer for whatever is due next with the idle sessions.
func (p *pool) tendLocked() {
	if p.closed || len(p.idle) == 0 {
		return
	}
	now := time.Now()
	next := p.times.closeAfter
	for i, ss := range p.idle {
		next = min(next, p.dueLocked(i, ss, now))
	}
	next = max(next, time.Millisecond)
	if p.tick == nil {
		p.tick = time.AfterFunc(next, p.tend)
	} else {
		p.tick.Reset(next)
	}
}

// warmLocked says that the i'th idle session is kept by NOOPs: each, where a login is dear.
func (p *pool) warmLocked(i int) bool { return p.slow || i >= len(p.idle)-keepWarm }

// dueLocked is how long until the i'th idle session needs something.
func (p *pool) dueLocked(i int, ss *session, now time.Time) time.Duration {
	due := ss.last.Add(p.times.closeAfter).Sub(now)
	if p.warmLocked(i) {
		due = ss.heardAt().Add(p.noopEveryLocked()).Sub(now)
	}
	switch ss.ready {
	case toPrepare:
		due = min(due, ss.last.Add(p.times.restBefore).Sub(now))
	case prepared:
		due = min(due, ss.last.Add(p.times.dropAfter).Sub(now))
	}
	if !ss.watched {
		due = min(due, ss.heardAt().Add(p.times.watchAfter).Sub(now))
	}
	return due
}

// tend does what is due, each session in a goroutine of its own for as long as
// it takes a round trip or two.
func (p *pool) tend() {
	defer lastwords.OnPanic() // a timer calls it
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	kept := p.idle[:0:0]
	for i, ss := range p.idle {
		idle, warm := now.Sub(ss.last), p.warmLocked(i)
		switch {
		case p.dueLocked(i, ss, now) > 0:
		case idle >= p.times.closeAll, !warm && idle >= p.times.closeAfter:
			delete(p.all, ss)
			p.store.quit(ss)
			continue
		case ss.ready == toPrepare && idle >= p.times.restBefore, warm && now.Sub(ss.heardAt()) >= p.noopEveryLocked():
			p.keepLocked(ss)
			continue
		default:
			if ss.ready == prepared && idle >= p.times.dropAfter {
				ss.wire.Drop()
				ss.ready = rested
			}
			if !ss.watched && now.Sub(ss.heardAt()) >= p.times.watchAfter {
				p.watchLocked(ss)
			}
		}
		kept = append(kept, ss)
	}
	p.idle = kept
	p.tendLocked()
}

// watchLocked has what the server says on an idle session heard at once.
func (p *pool) watchLocked(ss *session) {
	ss.watched = true // also where it cannot be
	wait := ss.wire.Await()
	if wait == nil {
		return
	}
	p.store.spawn(func() {
		if wait() {
			p.spoke(ss)
		}
	})
}

// wakeLocked ends that, as for whoever takes the session out of the idle ones.
func (p *pool) wakeLocked(ss *session) {
	if ss.watched {
		ss.wire.Rouse()
		ss.watched = false
	}
}

// spoke looks at what the server said on an idle session: mostly that it is closed.
func (p *pool) spoke(ss *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, ss); i >= 0 && !p.closed {
		p.idle = slices.Delete(p.idle, i, i+1)
		p.keepLocked(ss)
	}
}

// keepLocked takes a session, which is no longer among the idle ones, for as long as
// it takes to see to it.
func (p *pool) keepLocked(ss *session) {
	p.wakeLocked(ss)
	p.upkeep++
	if !p.store.spawn(func() { p.keep(ss) }) { // closing, and nobody else knows of it
		p.upkeep--
		p.goneLocked(ss)
		ss.wire.Close()
	}
}

// keep prepares a data connection, hears what the server has to say, or asks it for a
// sign of life. Nobody waits for it for longer than a moment.
func (p *pool) keep(ss *session) {
	ctx, cancel := context.WithTimeout(p.store.ctx, min(p.times.keepTime, p.store.cfg.Timeout))
	defer cancel()
	counted := true
	late := time.AfterFunc(p.times.lateAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if counted {
			counted = false
			p.upkeep--
			p.dispatchLocked()
		}
	})
	quiet := time.Since(ss.heardAt())
	unbind := ss.wire.Bind(ctx)
	sent := ss.wire.Sent()
	switch {
	case !ss.wire.Alive():
	case ss.ready == toPrepare:
		ss.wire.Prepare()
		ss.ready = prepared
	default:
		ss.lib.NoOp()
	}
	unbind()
	late.Stop()
	if dead := ss.wire.Dead(); dead != nil {
		p.ended(ss, quiet, dead)
	} else if ss.wire.Sent() > sent {
		ss.noop, ss.slept, ss.vetted = time.Now(), p.slept(), true
	}
	p.store.count.commands.Add(ss.counted())
	p.mu.Lock()
	if counted {
		counted = false
		p.upkeep--
	}
	gone := ss.wire.Dead() != nil || p.closed || p.store.ctx.Err() != nil // then nobody else closes it
	if gone {
		p.goneLocked(ss)
	} else {
		p.idle = append(p.idle, ss)
	}
	p.dispatchLocked()
	p.tendLocked()
	p.mu.Unlock()
	if gone {
		ss.wire.Close()
	}
}
