package ftpconn

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ftpfs/cache/remote"
)

// class of an operation: who goes first, and how many connections it may hold.
type class uint8

const (
	metadata class = iota // short; one connection is kept for these
	read                  // downloads
	upload
	classes
)

// pool is the bounded set of sessions. Whoever frees capacity calls dispatch,
// which wakes whoever may go on.
type pool struct {
	store *Store
	slept func() time.Duration // how long this machine has slept, which the clock leaves out

	mu       sync.Mutex
	idle     []*session // the last used is last
	all      map[*session]bool
	dialing  int
	upkeep   int // sessions taken out of idle for a moment by us
	cap      limit
	idling   idling
	logins   *rate.Limiter
	slow     bool // the server takes seconds of its processor for a login
	times    rhythm
	used     time.Time // end of the last operation
	reopened bool      // since then
	busy     [classes]int
	waiting  [classes][]*waiter
	later    []*waiter     // for what nobody has asked for yet: ahead.go
	brief    bool          // the last of these was over in a moment
	moment   time.Duration // as long as that may be
	auth     error         // the server refused the password
	authNext time.Time     // when it is tried again
	authTold int           // refusals in a row
	closed   bool
	tick     *time.Timer
	uploads  map[*source]bool // under way, and such as may be cut
	restarts restarts
	sharing  sharing
	empty    chan struct{} // closed once there is no session any more, after close

	readers readers
}

type waiter struct {
	class class
	fresh bool
	since time.Time
	ch    chan grant // buffered, gets exactly one grant
}

type grant struct {
	ss  *session
	err error
}

func (p *pool) init(s *Store) {
	p.store = s
	p.slept = slept
	p.cap.most = s.cfg.MaxConns
	p.times = unhurried
	p.moment = moment
	p.logins = rate.NewLimiter(loginRate, loginBurst)
	p.all = make(map[*session]bool)
	p.empty = make(chan struct{})
	p.uploads = make(map[*source]bool)
}

// acquire waits for a session, a new one when fresh. It waits as long as ctx
// says for an upload, otherwise no longer than about two timeouts, or as long as
// transfers that get on hold the connections (a server that does not answer ends
// it sooner). While the server is down it fails at once.
func (p *pool) acquire(ctx context.Context, c class, fresh bool) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := p.store.health.gate(ctx); err != nil {
		return nil, err
	}
	w := &waiter{class: c, fresh: fresh, since: time.Now(), ch: make(chan grant, 1)}
	p.mu.Lock()
	if err := p.refusesLocked(); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	asked := remote.Asked(ctx)
	p.queueLocked(w, asked)
	p.dispatchLocked()
	p.mu.Unlock()

	select {
	case g := <-w.ch: // the common case costs no timer
		return g.ss, g.err
	default:
	}
	// Longer than a login may take: its failure says more.
	patience := time.NewTimer(2*p.store.cfg.Timeout + time.Second)
	defer patience.Stop()
	nudge := time.NewTimer(time.Second)
	defer nudge.Stop()
	for {
		select {
		case g := <-w.ch:
			return g.ss, g.err
		case <-asked:
			asked = nil
			p.asked(w)
		case <-nudge.C:
			if asked != nil {
				nudge.Reset(time.Second)
				continue
			}
			p.store.spawn(func() { p.preempt(c) }) // it may take a moment: the context comes first
			nudge.Reset(time.Second)
		case <-ctx.Done():
			return nil, p.leave(w, ctx.Err())
		case <-patience.C:
			if c == upload || p.transferring() {
				patience.Reset(p.store.cfg.Timeout)
				continue
			}
			return nil, p.leave(w, fault(remote.Timeout, "all connections stayed busy"))
		}
	}
}

func (p *pool) refusesLocked() error {
	if p.closed {
		return fault(remote.Canceled, "closed")
	}
	if p.auth != nil && time.Now().Before(p.authNext) {
		return p.auth
	}
	return nil
}

// LoginAgain forgets that the server refused the login, which otherwise is not tried
// again for minutes, because servers ban. It reports whether there was anything to
// forget. It is for a person who has set things right.
func (s *Store) LoginAgain() bool {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.refusesLocked() != nil && !p.closed
	if was {
		p.auth = nil
	}
	return was
}

// leave takes w out of its queue, or gives back what it was granted meanwhile.
func (p *pool) leave(w *waiter, err error) error {
	p.mu.Lock()
	q := p.waiting[w.class]
	if i := slices.Index(q, w); i >= 0 {
		p.waiting[w.class] = slices.Delete(q, i, i+1)
		p.mu.Unlock()
		return err
	}
	if p.leaveLaterLocked(w) {
		p.mu.Unlock()
		return err
	}
	p.mu.Unlock()
	if g := <-w.ch; g.ss != nil {
		p.release(g.ss, w.class)
	}
	return err
}

// release gives a session back; one that is condemned is thrown away.
func (p *pool) release(ss *session, c class) {
	dead := ss.wire.Dead() != nil
	p.store.count.commands.Add(ss.counted())
	p.mu.Lock()
	p.busy[c]--
	p.aheadEndsLocked(ss)
	p.used, p.reopened = time.Now(), false
	switch {
	case dead || p.closed:
		p.goneLocked(ss)
	case p.sharing.due:
		p.giveUpLocked(ss)
	default:
		p.idle = append(p.idle, ss)
	}
	p.dispatchLocked()
	p.tendLocked()
	closed := p.closed
	p.mu.Unlock()
	if dead {
		ss.wire.Close()
	} else if closed {
		ss.wire.Quit()
	}
}

// capLocked is how many sessions there may be now.
func (p *pool) capLocked() int { return p.cap.now(time.Now()) }

// remembered notes in m what the pool has learned.
func (p *pool) remembered(m *Memory, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cap.met {
		m.Cap.note(Cap{p.cap.conns, p.cap.stood}, now)
	}
	if p.slow || m.Slow.Value {
		m.Slow.note(p.slow, now)
	}
	if d := p.idling; d.limit > 0 {
		m.Idle.note(Idle{d.limit.Round(time.Second / 10).Seconds(), d.futile}, now)
	}
}

// recall takes over what an earlier life has learned.
func (p *pool) recall(m Memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := m.Cap.Value; c.Conns > 0 {
		p.cap.recall(c, time.Now())
	}
	p.slow = m.Slow.Value
	if d := m.Idle.Value; d.Limit > 0 && d.Limit < mostLimit.Seconds() {
		p.idling.limit, p.idling.futile = time.Duration(d.Limit*float64(time.Second)), d.Futile
	}
}

func (p *pool) limitNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.growLocked()
}

// growLocked is capLocked for who only looks: it dials for those who wait when the
// cap has just been raised, since nobody else would.
func (p *pool) growLocked() int {
	n := p.capLocked()
	p.dispatchLocked()
	return n
}

// mayLocked says whether one more of class c may hold a connection: metadata
// always; transfers leave one for it, and uploads one more for reads, where
// there are that many. What counts is how many connections we have, not how many
// we hope for: else transfers would take them all before the server's cap is
// known. more says that another connection would do.
func (p *pool) mayLocked(c class) (may, more bool) {
	if c == metadata {
		return true, false
	}
	n, transfers := p.capLocked(), p.busy[read]+p.busy[upload]
	if c == upload && p.busy[upload] >= max(1, n-2) || transfers >= max(1, n-1) {
		return false, false
	}
	may = transfers < max(1, len(p.all)-1)
	return may, !may
}

// orderLocked is who goes first: metadata, reads, uploads, but before them those of a
// class that has waited for long and holds no connection.
func (p *pool) orderLocked() [classes]class {
	order := [classes]class{metadata, read, upload}
	for i, c := range order[1:] {
		if q := p.waiting[c]; len(q) > 0 && p.busy[c] == 0 && time.Since(q[0].since) > overdue {
			copy(order[1:], order[:i+1])
			order[0] = c
		}
	}
	return order
}

// dispatchLocked hands idle sessions to waiters, in order of their class and
// arrival, and dials for those who are left while there may be more.
func (p *pool) dispatchLocked() {
	want, fresh := 0, 0
	for _, c := range p.orderLocked() {
		q := p.waiting[c]
		kept := q[:0]
		for _, w := range q {
			if may, more := p.mayLocked(c); !may {
				if more {
					want++
				}
				kept = append(kept, w)
				continue
			}
			if ss := p.takeLocked(w.fresh); ss != nil {
				p.busy[c]++
				w.ch <- grant{ss: ss}
				continue
			}
			if !p.patientLocked(w) {
				want++
			}
			if w.fresh {
				fresh++
			}
			kept = append(kept, w)
		}
		clear(q[len(kept):])
		p.waiting[c] = kept
	}
	want += p.aheadLocked()
	for want > p.dialing+p.upkeep && p.dialing < p.paceLocked() && !p.closed {
		if len(p.all)+p.dialing >= p.capLocked() {
			if fresh == 0 || len(p.idle) == 0 {
				return
			}
			// Someone insists on a new one: the oldest makes place.
			old := p.idle[0]
			p.idle = slices.Delete(p.idle, 0, 1)
			delete(p.all, old)
			p.store.quit(old)
		}
		p.dialing++
		p.store.spawn(p.dial)
	}
}

// takeLocked picks the idle session that was used last and has not died since, as far
// as can be seen without asking. Those of which that is in doubt are asked, and are
// there in a moment if they live. fresh is one that was not used yet, or has just been
// asked.
func (p *pool) takeLocked(fresh bool) *session {
	now := time.Now()
	for i := len(p.idle) - 1; i >= 0; i-- {
		ss := p.idle[i]
		if fresh && ss.used > 0 && !ss.vetted {
			continue
		}
		p.idle = slices.Delete(p.idle, i, i+1)
		p.wakeLocked(ss)
		if !p.doubtfulLocked(ss, now) {
			return ss
		}
		quiet := ss.wire.Quiet()
		p.keepLocked(ss)
		if quiet {
			return nil
		}
	}
	if n := len(p.idle); fresh && n > 0 {
		ss := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.keepLocked(ss)
	}
	return nil
}

// failLocked ends all waiting with err.
func (p *pool) failLocked(err error) {
	for c := range p.waiting {
		for _, w := range p.waiting[c] {
			w.ch <- grant{err: err}
		}
		p.waiting[c] = nil
	}
	for _, w := range p.later {
		w.ch <- grant{err: err}
	}
	p.later = nil
}

// down is called when the server counts as down: nobody waits any longer, and
// idle connections are not worth keeping.
func (p *pool) down(err error) {
	p.mu.Lock()
	p.failLocked(err)
	idle := p.idle
	p.idle = nil
	for _, ss := range idle {
		delete(p.all, ss)
	}
	p.mu.Unlock()
	for _, ss := range idle {
		ss.wire.Close()
	}
}

// heard reports whether the server gave a sign of life within the last while on
// another connection than ss.
func (p *pool) heard(ss *session, while time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other := range p.all {
		if other != ss && time.Since(other.wire.Heard()) < while {
			return true
		}
	}
	return false
}

// transferring reports whether a transfer under way got on within the timeout.
func (p *pool) transferring() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy[read]+p.busy[upload] == 0 {
		return false
	}
	for ss := range p.all {
		if !slices.Contains(p.idle, ss) && time.Since(ss.wire.Heard()) < p.store.cfg.Timeout {
			return true
		}
	}
	return false
}

// add takes in a new session.
func (p *pool) add(ss *session) {
	p.mu.Lock()
	if p.auth != nil && !p.closed { // what is owed need not wait for its next attempt
		p.store.log.Info("the server takes the login again", "server", p.store.cfg.addr())
		p.store.spawn(func() { p.store.health.tell(true) })
	}
	p.auth, p.authTold = nil, 0
	if p.closed {
		p.mu.Unlock()
		ss.wire.Quit()
		return
	}
	p.all[ss] = true
	if len(p.all) == 1 {
		p.firstLocked()
	}
	if was := p.cap.conns; was > 0 {
		if p.cap.grew(len(p.all), time.Now()); p.cap.conns != was {
			p.store.remember()
		}
	}
	if len(p.all) > p.cap.most && len(p.idle) > 0 { // a probe's may be one too many
		old := p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		delete(p.all, old)
		p.store.quit(old)
	}
	p.idle = append(p.idle, ss)
	p.dispatchLocked()
	p.tendLocked()
	p.mu.Unlock()
}
