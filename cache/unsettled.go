package cache

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// unsettled is a rename whose answer was lost, or a replacement that was broken off, in
// this run of the daemon or an earlier one. Until the server has told what became of it, nothing
// owed at or below its two names is sent, and no change is made of these names and of
// what lies above and below. All else goes on. The server is asked until it tells, be
// that years; the record in the spool stays as long, so every run asks again.
//
// What waits is shown as parked while the server refuses to tell, and else as waiting. It
// can be discarded then.
type unsettled struct {
	tree   *Tree         // immutable
	intent *spool.Intent // immutable
	before []*unsettled  // immutable: those that must be settled first, as they concern the same names
	look   func() error  // immutable: settles it, or says why it cannot be
	poke   chan struct{} // has the server asked now
	looked chan struct{} // closed after the first look, or when there is none for now
	over   chan struct{} // closed when it is settled

	// guarded by tree.mu
	err     error              // of the last look; nil before the first
	refused bool               // the server will not tell, and was not asked again since
	held    map[*File]struct{} // what has been found waiting for it
}

// unsettle makes in known as unsettled. Nothing that it concerns is begun from here on;
// run finds out what became of it.
func (t *Tree) unsettle(in *spool.Intent, look func() error) *unsettled {
	u := &unsettled{tree: t, intent: in, look: look, poke: make(chan struct{}, 1), looked: make(chan struct{}), over: make(chan struct{}),
		held: map[*File]struct{}{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unsettled = append(t.unsettled, u)
	return u
}

// run asks until the server tells, or the tree closes.
func (u *unsettled) run() {
	t := u.tree
	said := false
	for _, b := range u.before {
		if !u.waitFor(b) {
			return
		}
	}
	wait := time.Second
	for {
		err := u.look()
		if err == nil {
			u.settled()
			if said {
				t.cfg.Log.Info("what the server would not tell is settled", "from", u.intent.From, "to", u.intent.To)
			}
			return
		}
		if t.ctx.Err() != nil {
			return
		}
		u.failed(err)
		if !said && (u.replaces() || !remote.KindOf(err).Offline()) {
			said = true
			u.say(err)
		}
		select {
		case <-t.ctx.Done():
			return
		case <-u.poke:
			wait = time.Second
		case <-time.After(wait):
			wait = min(2*wait, time.Minute)
		}
	}
}

func (u *unsettled) say(err error) {
	if u.replaces() {
		u.tree.cfg.Log.Warn("cannot settle a replacement that was broken off; it is tried until it succeeds", "path", u.intent.From, "old version", u.intent.To, "err", err)
		return
	}
	u.tree.cfg.Log.Error("cannot find out whether a rename happened; what is owed at or below its two names is not sent before the server tells",
		"from", u.intent.From, "to", u.intent.To, "err", err)
}

// waitFor waits until b is settled; false when the tree closes first.
func (u *unsettled) waitFor(b *unsettled) bool {
	t := u.tree
	select {
	case <-t.ctx.Done():
		return false
	case <-b.looked:
	}
	t.mu.Lock()
	err := b.err
	t.mu.Unlock()
	if err != nil {
		u.failed(err)
	}
	select {
	case <-t.ctx.Done():
		return false
	case <-b.over:
		return true
	}
}

// failed takes in why the server did not tell.
func (u *unsettled) failed(err error) {
	t := u.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.err == nil {
		close(u.looked)
		for f := range t.owed {
			if f.waitsForLocked() == u {
				u.held[f] = struct{}{}
			}
		}
	}
	u.err, u.refused = err, remote.KindOf(err).Verdict() == remote.Park
	u.tellLocked()
}

// askLocked has the server asked now. Until it has refused again nothing is parked.
func (u *unsettled) askLocked() {
	select {
	case u.poke <- struct{}{}:
	default:
	}
	if u.refused {
		u.refused = false
		u.tellLocked()
	}
}

// settled has all go on that waited.
func (u *unsettled) settled() {
	t := u.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unsettled = slices.DeleteFunc(t.unsettled, func(o *unsettled) bool { return o == u })
	if n := t.findLocked(u.intent.From); n != nil && n.owedLocked() {
		n.file.retryAt = time.Time{} // a failure may have been of this
		u.held[n.file] = struct{}{}
	}
	for f := range u.held {
		if heldBy(f.lastErrorLocked()) == u {
			f.parked, f.failed = nil, nil
		}
		if f.owed {
			t.schedule(f, 0)
		}
	}
	clear(u.held)
	for n := range t.owedDirs {
		t.dirDoneLocked(n)
	}
	if u.err == nil {
		close(u.looked)
	}
	close(u.over)
	t.changedLocked()
}

// replaces says that it is a replacement: its old version stood aside under the second name,
// and is only to be removed if the first is the same.
func (u *unsettled) replaces() bool { return isTemp(path.Base(u.intent.To)) }

// concerns says that p is at or below one of the two names.
func (u *unsettled) concerns(p string) bool {
	return atOrBelow(p, u.intent.From) || atOrBelow(p, u.intent.To)
}

// touches says that p is at, below or above one of the two names.
func (u *unsettled) touches(p string) bool {
	return u.concerns(p) || atOrBelow(u.intent.From, p) || atOrBelow(u.intent.To, p)
}

func atOrBelow(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// refusedLocked says that the server will not tell, as opposed to cannot now.
func (u *unsettled) refusedLocked() bool {
	for _, b := range u.before {
		if slices.Contains(u.tree.unsettled, b) {
			return b.refusedLocked()
		}
	}
	return u.refused
}

func (t *Tree) concerningLocked(p string) *unsettled {
	for _, u := range t.unsettled {
		if u.concerns(p) {
			return u
		}
	}
	return nil
}

// restless fails where one of the paths is at, above or below a name of which nobody knows
// what is there on the server: it may be put back under the name that was recorded.
func (t *Tree) restless(op string, paths ...string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u := t.touchingLocked(paths); u != nil {
		return u.errorLocked(op, paths[0])
	}
	return nil
}

func (t *Tree) touchingLocked(paths []string) *unsettled {
	for _, u := range t.unsettled {
		if u.intent.From == u.intent.To && u.refusedLocked() {
			continue // of no use to anybody, and it cannot be removed
		}
		if slices.ContainsFunc(paths, u.touches) {
			return u
		}
	}
	return nil
}

// afterLook is restless, save that it waits for the first look at what is unsettled: mostly
// it is settled with that. It comes before the names are looked up, no lock is held.
func (t *Tree) afterLook(ctx context.Context, op string, paths ...string) error {
	if err := t.wait(ctx, op, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	for {
		t.mu.Lock()
		u := t.touchingLocked(paths)
		if u == nil {
			t.mu.Unlock()
			return nil
		}
		known, err := u.err != nil, u.errorLocked(op, paths[0])
		t.mu.Unlock()
		if known {
			return err
		}
		select {
		case <-u.looked:
		case <-ctx.Done():
			return err
		}
	}
}

// happened looks whether a rename happened. The names alone do not tell: another client may
// have taken the file away while the target was there before. If it is known what the
// file was, the one at the new name must be it; otherwise what is owed keeps its old name,
// and nothing is lost.
func (t *Tree) happened(from, to string, was []remote.Version) (bool, error) {
	switch _, err := t.store.Stat(t.ctx, from); {
	case err == nil:
		return false, nil
	case !surelyGone(err):
		return false, err
	}
	now, err := t.store.Stat(t.ctx, to)
	switch {
	case surelyGone(err):
		return false, nil // both gone: someone else; what is owed keeps its old name
	case err != nil:
		return false, err
	case len(was) == 0:
		return true, nil
	}
	same := func(v remote.Version) bool { return !v.Differs(now.Version()) }
	return now.Type == remote.File && slices.ContainsFunc(was, same), nil
}

// onServerLocked is what the server may have under the name of n, a file; nothing if
// that is unknown, or n a directory.
func (n *Node) onServerLocked() []remote.Version {
	f := n.file
	switch {
	case n.typ != remote.File:
		return nil
	case f == nil || !f.owed:
		return []remote.Version{n.ent.version()}
	}
	var all []remote.Version
	for _, v := range []*remote.Version{f.base, f.sent} {
		if v != nil {
			all = append(all, *v)
		}
	}
	if f.tail != nil && f.base != nil { // it may have grown; what it holds is looked at before anything is sent
		all = append(all, remote.Version{Size: -1, Unique: f.base.Unique})
	}
	return all
}
