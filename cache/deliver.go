package cache

import (
	"context"

	"ftpfs/cache/remote"
)

// A file that is closed, and needs nothing to be found out first, is uploaded and published in one go where the
// store can do that: what is asked before the rename goes with the upload (remote.Deliverer).
// All that a publication does happens at the same points: what is about to be published is on record before the
// rename, and it is that of a frozen file.

// delivers says whether the upload that d feeds may be published in one go, and as what.
func (s *shipment) delivers(d *feed, start int64) (to remote.Deliverer, foreseen remote.Publish, ok bool) {
	t, f := s.tree, s.file
	if to, ok = t.store.(remote.Deliverer); !ok || start > 0 || s.began || !to.Caps().SetMTime {
		return nil, foreseen, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.decided || f.sent != nil || f.tail != nil || f.throughLocked() {
		return nil, foreseen, false
	}
	foreseen = s.publicationLocked()
	if d.sum != nil {
		foreseen.Sum = &remote.Checksum{Algorithm: d.sum.algorithm}
	}
	return to, foreseen, true
}

// deliver uploads what d feeds, and publishes it if that can be; then s is settled.
func (s *shipment) deliver(ctx context.Context, to remote.Deliverer, d *feed, temp string, foreseen remote.Publish) error {
	var p remote.Publish
	done, agreed, err := to.Deliver(ctx, temp, d, remote.Delivery{Foreseen: foreseen, Ready: func() (context.Context, remote.Publish, bool) {
		var ok bool
		p, ok = s.ready(ctx, d, temp)
		return s.tree.ctx, p, ok // from here on the dialogue is not broken off
	}})
	if !agreed {
		return err
	}
	s.settled = true
	defer s.tree.gate.Release(1)
	defer s.file.thaw()
	return s.conclude(temp, done, p, err)
}

// ready freezes the file for its publication, and takes down what that is to be, if nothing has to be waited
// for: the upload has a connection for itself, which those who hold the gate or the file may wait for.
func (s *shipment) ready(ctx context.Context, d *feed, temp string) (p remote.Publish, ok bool) {
	t, f := s.tree, s.file
	d.close() // all was read
	if ctx.Err() != nil || !t.gate.TryAcquire(1) {
		return p, false
	}
	defer func() {
		if !ok {
			t.gate.Release(1)
		}
	}()
	select {
	case <-f.pub:
	default:
		return p, false
	}
	defer func() {
		if !ok {
			f.thaw()
		}
	}()
	t.mu.Lock()
	now := join(s.dir.pathLocked(), s.temp)
	plain := f.sent == nil && f.tail == nil && now == temp // else there is something to be asked first
	t.mu.Unlock()
	if !plain || f.waits() != nil || !f.rec.TryLock() {
		return p, false
	}
	defer f.rec.Unlock()
	_, p, err := s.promise(nil)
	return p, err == nil
}
