package ftpconn

import (
	"context"
	"maps"
	"slices"
	"time"

	"ftpfs/ftpconn/ticket"
)

// Programs of one user share what connections a server gives (package ticket). A Store
// that has none, and gets none, takes a ticket. The Store of another program that has
// several gives one up at once. One that has a single one gives it up when it has not
// needed it for a moment, or when its turn is over: then transfers end as they do for
// each other (turns.go), and who wants it back takes a ticket. Nobody takes one for a
// second connection, since one is enough for everything.
const (
	sharedTurn = longTurn               // with the only connection, while others wait
	slowTurns  = 4                      // as long where a login takes the server seconds
	unneeded   = 500 * time.Millisecond // a single connection that was not used for so long is not needed
	sharedLook = 100 * time.Millisecond // how often is looked while somebody waits
	callGrace  = time.Second            // after a call, until another may be asked for; longer if it was for nothing
	mostGrace  = 30 * time.Second
	placeFree  = 30 * time.Millisecond // a server counts a session a little longer than its connection lasts
)

// sharing is the pool's part in that. The pool's mutex guards it.
type sharing struct {
	lending bool      // a goroutine looks after those who wait
	changed bool      // it has to look again before it ends
	due     bool      // the connection that is free next is given up
	giving  bool      // one is
	got     time.Time // when there was a connection again
	lent    time.Time // when the last one was given up
	futile  int       // calls in a row after which the server was still full
	called  time.Time // when somebody last gave up a connection for us
	waits   bool      // in the queue
	full    string    // what the server said last to who has no connection
	told    time.Time // when that was logged
}

// queueChanged is called when somebody may have joined the queue.
func (p *pool) queueChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookLocked()
}

func (p *pool) lookLocked() {
	h := &p.sharing
	h.changed = true
	if h.lending || p.closed || p.store.cfg.Queue == nil || len(p.all) == 0 {
		return
	}
	h.lending = p.store.spawn(p.lend)
}

// firstLocked notes that there is a connection, after there was none.
func (p *pool) firstLocked() {
	h := &p.sharing
	h.got, h.full, h.futile = time.Now(), "", 0
	p.lookLocked()
}

// turnLocked is how long a single connection is kept while others wait.
func (p *pool) turnLocked() time.Duration {
	if p.slow {
		return slowTurns * sharedTurn
	}
	return sharedTurn
}

// lend gives up connections, one for each call, for as long as others wait and there
// are any.
func (p *pool) lend() {
	h, q := &p.sharing, p.store.cfg.Queue
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		h.changed = false
		p.mu.Unlock()
		waiting := q.Waiting()
		p.mu.Lock()
		if !waiting && h.changed {
			continue
		}
		if !waiting || len(p.all) == 0 || p.closed {
			h.lending, h.due = false, false
			return
		}
		asked := h.due
		p.lendLocked(time.Now())
		uploads := slices.Collect(maps.Keys(p.uploads))
		ask := asked && h.due
		p.mu.Unlock()
		if ask { // and no connection came free by itself
			p.askTransfers(uploads)
		}
		select {
		case <-time.After(sharedLook):
		case <-p.store.ctx.Done():
		}
		p.mu.Lock()
	}
}

// lendLocked gives an idle connection up, or has one given up as soon as it is free.
func (p *pool) lendLocked(now time.Time) {
	h := &p.sharing
	if h.giving {
		return
	}
	over := len(p.all) > 1 || now.Sub(h.got) >= p.turnLocked()
	if len(p.idle) == 0 {
		h.due = over
		return
	}
	ss := p.idle[0]
	if over || now.Sub(ss.last) >= unneeded && !p.wantedLocked() {
		p.idle = slices.Delete(p.idle, 0, 1)
		p.wakeLocked(ss)
		p.giveUpLocked(ss)
	}
}

// giveUpLocked leaves the place of a session, which is nobody's any more, to who has
// waited longest.
func (p *pool) giveUpLocked(ss *session) {
	h := &p.sharing
	delete(p.all, ss)
	h.due = false
	now := time.Now()
	if n := len(p.all); n > 0 {
		p.cap.lent(n, now)
	} else {
		h.lent = now
	}
	h.giving = p.store.spawn(func() {
		ss.wire.Leave()
		time.Sleep(placeFree)
		p.store.cfg.Queue.Call()
		p.store.log.Debug("a connection was left to another program")
		p.mu.Lock()
		h.giving = false
		p.mu.Unlock()
	})
	if !h.giving { // closing
		ss.wire.Close()
	}
}

// askTransfers asks for a connection, as one more transfer of our own would.
func (p *pool) askTransfers(uploads []*source) {
	all := p.reading()
	for _, r := range all {
		if r.park(restWanted) {
			return
		}
	}
	for _, r := range all {
		r.ask(read)
	}
	for _, u := range uploads {
		u.ask(read)
	}
}

// queued is who makes the first connection of a Store.
type queued struct {
	pool   *pool
	since  time.Time
	ticket *ticket.Ticket // nil: none
	called time.Time      // at last; zero: never
	has    bool           // a connection was given up for us that we have not tried for yet
}

// afterOthers waits until it is our turn again, if another program has the connection
// that was ours a moment ago: to try it would only be refused.
func (w *queued) afterOthers(ctx context.Context) {
	p := w.pool
	p.mu.Lock()
	until := p.sharing.lent.Add(p.turnLocked() + callGrace)
	none := len(p.all) == 0
	p.mu.Unlock()
	if d := time.Until(until); none && d > 0 {
		w.take()
		if w.ticket == nil || !p.store.cfg.Queue.Accept() {
			w.wait(ctx, d)
		}
	}
}

func (w *queued) take() {
	p := w.pool
	if p.store.cfg.Queue == nil || w.ticket != nil {
		return
	}
	t, err := p.store.cfg.Queue.Take(w.since)
	if err != nil {
		p.store.log.Debug("other programs are not asked for a connection", "because", err)
		return
	}
	w.ticket = t
	p.mu.Lock()
	p.sharing.waits = true
	p.mu.Unlock()
}

// refused notes that the server has no place for us, and asks the others for one. Where
// such places go to somebody else, or were none, it asks ever less often.
func (w *queued) refused(err error) {
	p := w.pool
	p.mu.Lock()
	h := &p.sharing
	h.full = wordsOf(err)
	now := time.Now()
	if now.Sub(h.told) > capMemory {
		h.told = now
		p.store.log.Info("the server has no connection left for us: others have them", "answer", h.full)
	}
	again := now.Sub(w.called) >= min(callGrace<<min(max(h.futile-1, 0), 10), mostGrace)
	p.mu.Unlock()
	if again {
		w.take()
	}
}

// wait waits for a call, and reports whether it came.
func (w *queued) wait(ctx context.Context, most time.Duration) bool {
	var called <-chan struct{}
	if w.ticket != nil {
		called = w.ticket.Called()
	}
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-called:
		w.ticket, w.called, w.has = nil, time.Now(), true
		p := w.pool
		p.mu.Lock()
		p.sharing.futile++
		p.sharing.called = w.called
		p.mu.Unlock()
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// leave leaves the queue, with a connection or without. What was given up for who does
// not use it is the next one's.
func (w *queued) leave(got bool) {
	p := w.pool
	if w.ticket != nil && !w.ticket.Return() {
		w.called, w.has = time.Now(), true
	}
	p.mu.Lock()
	p.sharing.waits, p.sharing.full = false, ""
	if w.called.After(p.sharing.called) {
		p.sharing.called = w.called
	}
	p.mu.Unlock()
	if w.has && !got {
		p.store.cfg.Queue.Call()
	}
}
