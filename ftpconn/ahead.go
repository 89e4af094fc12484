package ftpconn

import "slices"

// What nobody has asked for yet gets a connection when nobody waits for one, and leaves two:
// one for metadata, as always, and one for the next read that is asked for. Once it has one
// it counts as any other; it is short. It may have connections made, but logins are paced.
const keptIdle = 2

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
		busy := p.busy[metadata] + p.busy[read] + p.busy[upload]
		if busy+keptIdle >= len(p.all) {
			return max(0, min(len(p.later), p.capLocked()-keptIdle-busy))
		}
		w := p.later[0]
		ss := p.takeLocked(false)
		if ss == nil {
			return 0
		}
		p.later = slices.Delete(p.later, 0, 1)
		p.busy[w.class]++
		w.ch <- grant{ss: ss}
	}
	return 0
}
