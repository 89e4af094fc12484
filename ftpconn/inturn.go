package ftpconn

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// InTurn does f, which makes a connection of its owner's own, and does it again while the
// error is Temporary: the server has none left. Other programs of this user are asked for
// one meanwhile (sharing.go), as for the first connection of a Store. It gives up after
// most, which should be longer than a turn of theirs, or when ctx ends, with the last error.
func (s *Store) InTurn(ctx context.Context, most time.Duration, f func() error) error {
	place := queued{pool: &s.pool, since: time.Now()}
	got := false
	defer func() { place.leave(got) }()
	place.afterOthers(ctx)
	pause := 250 * time.Millisecond
	for end := time.Now().Add(most); ; {
		err := f()
		got = err == nil
		if !remote.Is(err, remote.Temporary) {
			return err
		}
		place.has = false
		place.refused(err)
		if time.Now().After(end) {
			return err
		}
		if !place.wait(ctx, pause) {
			pause = min(2*pause, 3*time.Second)
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

// Close says QUIT and ends the connection. Where another program waits for its place it
// is called.
func (d *Dialogue) Close() {
	handOn, end := d.ss.store.pool.parting()
	end(d.ss.wire)
	if handOn != nil {
		handOn(1)
	}
}

// GiveWay closes the Dialogue if another program waits for a connection and this one has
// been had for as long as a turn lasts, and reports whether it did. The next is to be made
// InTurn.
func (d *Dialogue) GiveWay() bool {
	p := &d.ss.store.pool
	q := p.store.cfg.Queue
	p.mu.Lock()
	over := time.Since(d.since) >= p.turnLocked()
	p.mu.Unlock()
	if q == nil || !over || !q.Waiting() {
		return false
	}
	d.Close()
	p.mu.Lock()
	p.sharing.lent = time.Now()
	p.mu.Unlock()
	return true
}
