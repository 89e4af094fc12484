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
		w.tick = time.AfterFunc(restMost, func() { p.store.spawn(p.sweep) })
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

// preempt makes place for someone of class c who has waited for a while, when
// there can be no further connection. A download that nobody reads at the moment
// loses its connection. Where transfers hold every connection, or those of one sort
// all that are for transfers, they take turns with those who wait (turns.go).
func (p *pool) preempt(c class) {
	p.mu.Lock()
	p.growLocked()
	transfers := p.busy[read] + p.busy[upload]
	crowded := len(p.all)+p.dialing >= p.capLocked()
	var starved bool
	switch c {
	case metadata:
		starved = transfers >= len(p.all)
	default:
		starved = p.busy[c] == 0 && transfers > 0
	}
	uploads := slices.Collect(maps.Keys(p.uploads))
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
	if !starved {
		return
	}
	for _, r := range all {
		r.ask(c)
	}
	for _, u := range uploads {
		u.ask(c)
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
