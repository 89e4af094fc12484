package ftpconn

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// How long a download may rest between two reads: servers give up on a stalled
// data connection and then also the control connection.
const (
	restMost   = 25 * time.Second
	restWanted = time.Second // when somebody waits for a connection
)

// readers are the downloads that hold a session.
type readers struct {
	mu   sync.Mutex
	set  map[*reader]bool
	tick *time.Timer
}

// watch ends r's transfer when nobody reads it.
func (p *pool) watch(r *reader) {
	w := &p.readers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil {
		w.set = make(map[*reader]bool)
	}
	w.set[r] = true
	if w.tick == nil {
		w.tick = time.AfterFunc(restMost, p.sweep)
	}
}

func (p *pool) unwatch(r *reader) {
	w := &p.readers
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.set, r)
	if len(w.set) == 0 && w.tick != nil {
		w.tick.Stop()
		w.tick = nil
	}
}

func (p *pool) sweep() {
	p.parkAll(restMost)
	w := &p.readers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tick != nil {
		w.tick.Reset(restMost / 5)
	}
}

// preempt takes the connection from a download that nobody reads at the moment,
// when there can be no other. A server that takes only one connection has its
// downloads give way also while they are read: they queue again.
func (p *pool) preempt() {
	p.mu.Lock()
	limit := p.capLocked()
	crowded := len(p.all)+p.dialing >= limit
	p.mu.Unlock()
	if !crowded {
		return
	}
	all := p.reading()
	for _, r := range all {
		if r.park(restWanted) {
			return
		}
	}
	if limit == 1 {
		for _, r := range all {
			r.yield.Store(true)
		}
	}
}

func (p *pool) parkAll(rested time.Duration) {
	for _, r := range p.reading() {
		r.park(rested)
	}
}

func (p *pool) reading() []*reader {
	w := &p.readers
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.set))
}
