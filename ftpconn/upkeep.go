package ftpconn

import (
	"context"
	"time"
)

// How idle sessions are kept: a data connection is prepared once a session has
// rested for a moment, dropped when nobody came for it, a NOOP keeps the two
// used last from being forgotten, and what nobody needed for minutes is closed.
const (
	restBefore = 15 * time.Millisecond
	dropAfter  = 3 * time.Second
	noopEvery  = 45 * time.Second
	keepWarm   = 2
	closeAfter = 3 * time.Minute
	closeAll   = 30 * time.Minute
	keepTime   = 5 * time.Second // somebody may be waiting for the session
)

// tendLocked arms the timer for whatever is due next with the idle sessions.
func (p *pool) tendLocked() {
	if p.closed || len(p.idle) == 0 {
		return
	}
	now := time.Now()
	next := closeAfter
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

// dueLocked is how long until the i'th idle session needs something.
func (p *pool) dueLocked(i int, ss *session, now time.Time) time.Duration {
	due := ss.noop.Add(noopEvery).Sub(now)
	if i < len(p.idle)-keepWarm {
		due = ss.last.Add(closeAfter).Sub(now)
	}
	switch ss.ready {
	case toPrepare:
		due = min(due, ss.last.Add(restBefore).Sub(now))
	case prepared:
		due = min(due, ss.last.Add(dropAfter).Sub(now))
	}
	return due
}

// tend does what is due, each session in a goroutine of its own for as long as
// it takes a round trip or two.
func (p *pool) tend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	kept := p.idle[:0:0]
	for i, ss := range p.idle {
		if p.dueLocked(i, ss, now) > 0 {
			kept = append(kept, ss)
			continue
		}
		switch {
		case i < len(p.idle)-keepWarm && now.Sub(ss.last) >= closeAfter, now.Sub(ss.last) >= closeAll:
			delete(p.all, ss)
			p.store.quit(ss)
		case ss.ready == prepared:
			ss.wire.Drop()
			ss.ready = rested
			kept = append(kept, ss)
		default:
			p.upkeep++
			if !p.store.spawn(func() { p.keep(ss) }) { // closing, and nobody else knows of it
				p.upkeep--
				delete(p.all, ss)
				ss.wire.Close()
			}
		}
	}
	p.idle = kept
	p.tendLocked()
}

// keep prepares a data connection or sends a NOOP on a session taken out of
// the idle ones.
func (p *pool) keep(ss *session) {
	ctx, cancel := context.WithTimeout(p.store.ctx, min(keepTime, p.store.cfg.Timeout))
	defer cancel()
	unbind := ss.wire.Bind(ctx)
	if ss.ready == toPrepare {
		ss.wire.Prepare()
		ss.ready = prepared
	} else {
		ss.lib.NoOp()
	}
	unbind()
	ss.noop = time.Now()
	dead := ss.wire.Dead() != nil
	p.store.count.commands.Add(ss.counted())
	p.mu.Lock()
	p.upkeep--
	if dead || p.closed {
		delete(p.all, ss)
	} else {
		p.idle = append(p.idle, ss)
	}
	p.dispatchLocked()
	p.tendLocked()
	p.mu.Unlock()
	if dead || p.store.ctx.Err() != nil {
		ss.wire.Close()
	}
}
