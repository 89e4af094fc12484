package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// shipment is one attempt to publish a file: its content under a temporary name, then
// renamed into place. What an attempt leaves under the temporary name is used by
// the next (resume.go).
type shipment struct {
	tree    *Tree
	file    *File
	c       *content
	cancel  context.CancelFunc // ends the upload, not the publication
	began   bool               // while the file was open
	settled bool               // it was published with the upload

	// guarded by tree.mu
	feed    *feed // nil until it sends
	early   bool  // counted in tree.early: it follows a writer
	decided bool  // it is known what is sent: size, and the rest as of that moment
	size    int64
	gen     uint64
	changes uint64
	mtime   time.Time
	dir     *Node  // in which the temporary file lies: it moves with it
	temp    string // its name
	more    bool   // a tail that is not all there is to append
}

// errPaused: the writer had nothing more for a while; the upload goes on later.
var errPaused = errors.New("the writer pauses")

// errAgain: what is under the temporary name cannot be used, another is taken.
var errAgain = errors.New("begins again under another name")

// send makes the content whole and uploads it under a temporary name, going on where
// the last attempt ended, if it can.
func (s *shipment) send(ctx context.Context) error {
	f := s.file
	if err := s.c.fetchBase(ctx); err != nil {
		if k := remote.KindOf(err); k == remote.Changed || k == remote.NotExist {
			return &parkError{fmt.Errorf("the file changed on the server while only a part of it was held here; the parts written are kept: %w", err)}
		}
		return err
	}
	for {
		start, err := s.place(ctx)
		if err != nil {
			return err
		}
		err = s.sendFrom(ctx, start)
		if errors.Is(err, errAgain) && start > 0 {
			if err := f.cannotResume(s.c); err != nil {
				return err
			}
			continue
		}
		return err
	}
}

// sendFrom sends what follows start.
func (s *shipment) sendFrom(ctx context.Context, start int64) error {
	t, f := s.tree, s.file
	d, temp, err := s.begin(ctx, start)
	if err != nil {
		return err
	}
	defer func() { d.close() }() // the last one
	f.rec.Lock()
	t.mu.Lock()
	open := f.savedOpen
	t.mu.Unlock()
	err = f.save(open, false) // before the server has the name
	f.rec.Unlock()
	if err != nil {
		return err
	}
	err = s.write(ctx, d, temp, start)
	if remote.Is(err, remote.NotExist) && start == 0 && !s.settled && !s.moved(temp) && t.remake(ctx, s.dir) && !s.moved(temp) {
		d.close() // it may be read already
		anew, name, berr := s.begin(ctx, start)
		if berr != nil {
			return berr
		}
		d, temp = anew, name
		err = s.write(ctx, d, temp, start)
	}
	if s.settled {
		return err
	}
	if remote.Is(err, remote.NotExist) {
		if waits := s.awaitRename(ctx); waits != nil {
			return waits
		}
	}
	t.mu.Lock()
	s.c.mu.Lock()
	called, told, paused, sent, gone := d.err, d.told, d.paused, d.pos, s.c.gone
	s.c.mu.Unlock()
	t.mu.Unlock()
	switch {
	case called != nil && (told || !refused(err)):
		return called
	case err == nil && paused:
		return errPaused
	case err == nil:
		return nil
	case s.moved(temp):
		return errOvertaken // the directory was renamed under the upload
	case start > 0 && unusable(err):
		if remote.Is(err, remote.Unsupported) {
			t.noAppend.Store(true)
		}
		return errAgain
	case start > 0 && sent == start && gone == 0 && remote.Is(err, remote.Timeout):
		// The dead session may hold the file for minutes: vsftpd locks it.
		return errAgain
	}
	if sent > start+inHand && !(refused(err) && remote.KindOf(err).Verdict() == remote.Park) {
		t.mu.Lock()
		f.attempts = 0 // it gets on
		t.mu.Unlock()
	}
	return fmt.Errorf("upload %s: %w", f.path(), err)
}

// inHand is how much of an upload may be on its way, or not even that, when it fails: only
// what goes beyond is progress.
const inHand = 64 << 10

// refused says that err is what the server said, and not a transfer that ended.
func refused(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && (e.Code != 0 || e.Kind != remote.Unknown && e.Kind.Verdict() == remote.Park)
}

// unusable says that a resumed upload failed because of what it was to go on from.
func unusable(err error) bool {
	switch remote.KindOf(err) {
	case remote.Unsupported, remote.Changed, remote.ShortWrite, remote.NotExist:
		return true
	}
	return false
}

// begin makes the feed, as of this moment: open, if the upload follows a writer.
func (s *shipment) begin(ctx context.Context, start int64) (*feed, string, error) {
	t, f, c := s.tree, s.file, s.c
	t.mu.Lock()
	defer t.mu.Unlock()
	if !f.owed || f.node.removed || f.cur != c {
		return nil, "", errOvertaken
	}
	c.mu.Lock()
	if start > c.resumableLocked() || start < c.gone {
		c.mu.Unlock()
		return nil, "", errOvertaken // written over since it was looked at
	}
	d := &feed{c: c, ctx: ctx, cancel: s.cancel, pos: start, end: -1, sum: s.sumFrom(start)}
	c.out, s.feed, s.decided = d, d, false
	c.mu.Unlock()
	f.sentBytes.Store(start)
	through := f.throughLocked()
	if s.early && f.writers > 0 && !(through && f.unflushed == 0) && !(f.hurryLocked() && !through) {
		d.due = func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			s.decideLocked(true)
		}
		if !through {
			d.dueAt = f.snapshotAtLocked()
		}
	} else {
		s.decideLocked(f.asItStandsLocked())
	}
	return d, join(s.dir.pathLocked(), s.temp), nil
}

// decideLocked fixes what is sent: the file as it is now. With keep, later writes do
// not call that off. tree.mu is held.
func (s *shipment) decideLocked(keep bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.decideHeldLocked(keep)
}

// decideHeldLocked is decideLocked for who holds content.mu too.
func (s *shipment) decideHeldLocked(keep bool) {
	f, c, d := s.file, s.c, s.feed
	if d.err != nil || d.paused {
		return
	}
	if !s.decided {
		s.decided = true
		d.end, c.since = c.size, ranges.Set{}
		s.size, s.gen, s.changes, s.mtime = c.size, f.gen, f.changes, f.mtime
		s.followsNobodyLocked()
		c.broadcastLocked()
	}
	d.keep = d.keep || keep
}

// followsNobodyLocked gives the place among the early uploads back.
func (s *shipment) followsNobodyLocked() {
	if s.early {
		s.early = false
		s.tree.early--
	}
}

func (s *shipment) write(ctx context.Context, d *feed, temp string, start int64) error {
	c := s.c
	c.mu.Lock()
	c.restarts = false
	size, nothing := int64(-1), d.end >= 0 && d.end == start && start > 0
	if d.end >= 0 {
		size = d.end - start
	}
	c.mu.Unlock()
	if nothing {
		return nil // the server has it all
	}
	if to, foreseen, ok := s.delivers(d, start); ok {
		return s.deliver(ctx, to, d, temp, foreseen)
	}
	return s.tree.store.Write(ctx, temp, d, start, size)
}

// awaitRename waits until no directory is just being renamed, as nobody can say meanwhile under
// which name the server has what lies in it. It fails if that stays open.
func (s *shipment) awaitRename(ctx context.Context) error {
	if err := s.tree.gate.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.tree.gate.Release(1)
	return s.file.waits()
}

func (s *shipment) moved(temp string) bool {
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	return join(s.dir.pathLocked(), s.temp) != temp
}
