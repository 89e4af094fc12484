package ftpconn

import (
	"slices"
	"time"
)

// What nobody has asked for yet gets a connection when nobody waits for one, and leaves two:
// one for metadata, as always, and one for the next read that is asked for. Once it has one
// it counts as any other. It may have connections made, but logins are paced.
//
// As long as each is over in a moment, as small files and listings are on most lines, one is left: a read
// that is asked for then waits for the first of those under way to end, and for none of those in line.
const (
	keptIdle  = 2
	keptBrief = 1
	moment    = 500 * time.Millisecond
)

// keptLocked is how many connections are left.
func (p *pool) keptLocked() int {
	if !p.brief {
		return keptIdle
	}
	now := time.Now()
	for ss := range p.all {
		if !ss.ahead.IsZero() && now.Sub(ss.ahead) > p.moment {
			return keptIdle
		}
	}
	return keptBrief
}

// aheadEndsLocked takes in how long something took that was begun ahead.
func (p *pool) aheadEndsLocked(ss *session) {
	if !ss.ahead.IsZero() {
		p.brief = time.Since(ss.ahead) <= p.moment
		ss.ahead = time.Time{}
	}
}

// mayRunAhead is how many connections may work ahead, of so many that there may be.
func (p *pool) mayRunAhead(limit int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, limit-p.keptLocked())
}

// queueLocked puts w in line. With asked it waits for its turn behind all others until that
// is closed.
func (p *pool) queueLocked(w *waiter, asked <-chan struct{}) {
	if asked != nil {
		p.later = append(p.later, w)
		return
	}
	p.waiting[w.class] = append(p.waiting[w.class], w)
}

// asked is called when somebody waits for what w is for.
func (p *pool) asked(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leaveLaterLocked(w) { // else it has been served
		p.waiting[w.class] = append(p.waiting[w.class], w)
		p.dispatchLocked()
	}
}

func (p *pool) leaveLaterLocked(w *waiter) bool {
	i := slices.Index(p.later, w)
	if i >= 0 {
		p.later = slices.Delete(p.later, i, i+1)
	}
	return i >= 0
}

// aheadLocked serves those who come last, and returns how many more connections they could
// use.
func (p *pool) aheadLocked() (want int) {
	if p.wantedLocked() {
		return 0
	}
	for len(p.later) > 0 {
		kept := p.keptLocked()
		busy := p.busy[metadata] + p.busy[read] + p.busy[upload]
		if busy+kept >= len(p.all) {
			return max(0, min(len(p.later), p.capLocked()-kept-busy))
		}
		w := p.later[0]
		ss := p.takeLocked(false)
		if ss == nil {
			return 0
		}
		p.later = slices.Delete(p.later, 0, 1)
		p.busy[w.class]++
		ss.ahead = time.Now()
		w.ch <- grant{ss: ss}
	}
	return 0
}
