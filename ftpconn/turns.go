package ftpconn

import (
	"context"
	"sync/atomic"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Where there are too few connections for a download, an upload and a listing at once,
// they take turns. Whoever has waited for a second asks the transfers for a connection
// (preempt); a transfer gives way when its turn is over. A download goes on where it was,
// an upload by APPE. Where the server does not append an upload begins again, and its
// turn is twice as long each time, so that it comes to its end whoever else wants what;
// and only if its source has it all (remote.Store.Write): the server's part may be the
// only one.
const (
	shortTurn   = time.Second     // when somebody waits for a listing and the like
	longTurn    = 3 * time.Second // when another transfer waits: to change costs both some round trips
	restartTurn = 4 * time.Second // at first, of an upload that would begin again
	overdue     = 10 * time.Second
	provenFrom  = 4 << 20 // an upload of so much finds out first whether the server appends
)

// turn is that of one transfer.
type turn struct {
	begun time.Time
	asked atomic.Int32 // by whom: 0 nobody, 1 a transfer, 2 somebody else
}

func (t *turn) begin() {
	t.begun = time.Now()
	t.asked.Store(0)
}

func (t *turn) ask(c class) {
	by := int32(1)
	if c == metadata {
		by = 2
	}
	if t.asked.Load() < by {
		t.asked.Store(by)
	}
}

// over says that it is time to give way.
func (t *turn) over() bool {
	switch t.asked.Load() {
	case 0:
		return false
	case 1:
		return time.Since(t.begun) >= longTurn
	}
	return time.Since(t.begun) >= shortTurn
}

// restarts is how long the turn of an upload is that would have to begin again. The
// pool's mutex guards it.
type restarts struct {
	least time.Duration
	at    time.Time
}

func (p *pool) restartTurn() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := &p.restarts; r.least > 0 && time.Since(r.at) < 10*r.least+10*time.Minute {
		return r.least
	}
	return restartTurn
}

// restarted notes that an upload was ended after so long a turn, to begin again.
func (p *pool) restarted(turn time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restarts = restarts{max(2*turn, restartTurn), time.Now()}
}

// through notes that an upload came to its end in one turn of took: what was starving is
// no longer, unless that was a short one beside it.
func (p *pool) through(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took >= p.restarts.least/2 {
		p.restarts = restarts{}
	}
}

// mayCut says whether an upload whose turn is over may end here.
func (s *source) mayCut() bool {
	if s.pool.store.server.known().append == wire.Proven {
		return true
	}
	took := time.Since(s.begun)
	if took < s.patience || s.again == nil || !s.again() {
		return false
	}
	s.restart = true
	s.pool.restarted(took)
	return true
}

// cuttable makes src one of the uploads that give way, until the end is called.
func (p *pool) cuttable(src *source) (end func()) {
	src.pool, src.patience = p, p.restartTurn()
	if r, ok := src.r.(interface{ Again() bool }); ok && src.base == 0 {
		src.again = r.Again
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uploads[src] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.uploads, src)
	}
}

// learnAppend finds out whether the server appends before an upload that may have to
// give way: with three connections none has to.
func (s *Store) learnAppend(ctx context.Context, t task) error {
	if s.server.known().append != wire.Untried || s.pool.limitNow() > 2 {
		return nil
	}
	proof := task{op: t.op, path: t.path, class: upload, again: true}
	err := s.run(ctx, proof, func(ss *session) error { return ss.proveAppend(parent(t.path)) })
	if err != nil && (ctx.Err() != nil || remote.KindOf(err).Offline()) {
		return err
	}
	return nil
}
