package ftpconn

import (
	"sync"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// goneLocked forgets a session that is about to be closed.
func (p *pool) goneLocked(ss *session) {
	delete(p.all, ss)
	if p.closed && len(p.all) == 0 {
		close(p.empty)
	}
}

// close ends every session; operations under way see their sockets close. Once what the
// Store runs has ended, handOn leaves the places to other programs.
func (p *pool) close() (handOn func()) {
	call, end := p.parting()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return func() {}
	}
	p.closed = true
	p.failLocked(fault(remote.Canceled, "closed"))
	held := len(p.all)
	idle := p.idle
	p.idle = nil
	for _, ss := range idle {
		delete(p.all, ss)
	}
	if len(p.all) == 0 {
		close(p.empty)
	}
	if p.tick != nil {
		p.tick.Stop()
	}
	var busy []*session
	for ss := range p.all {
		busy = append(busy, ss)
	}
	p.mu.Unlock()
	for _, ss := range busy {
		ss.wire.Interrupt()
	}
	var wg sync.WaitGroup
	for _, ss := range idle {
		wg.Go(func() { end(ss.wire) })
	}
	wg.Wait()
	p.parkAll(0) // downloads that nobody reads at the moment
	if call == nil || held == 0 {
		return func() {}
	}
	return func() {
		select {
		case <-p.empty:
		case <-time.After(time.Second):
		}
		call(held)
	}
}

// parting returns how somebody who ends leaves connections to who waits for them: each
// ends by end, and handOn calls for so many. Who has left its own place to us does not look
// before our turn would be over, and may take its ticket only then: it finds a word. handOn
// is nil where there is nobody: who has the server for itself just ends.
func (p *pool) parting() (handOn func(places int), end func(*wire.Conn)) {
	q := p.store.cfg.Queue
	p.mu.Lock()
	owed := time.Since(p.sharing.called) < slowTurns*sharedTurn+callGrace
	p.mu.Unlock()
	if q == nil || !owed && !q.Waiting() {
		return nil, (*wire.Conn).Quit
	}
	return func(places int) {
		time.Sleep(placeFree)
		if owed {
			q.Offer()
		}
		for ; places > 0 && q.Call(); places-- {
		}
		if owed && places == 0 {
			q.Accept() // nobody has to
		}
	}, (*wire.Conn).Leave
}
