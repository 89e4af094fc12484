package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// fetch is one listing under way, for everybody who waits for it. What we change
// in the directory meanwhile is noted, and laid over the answer: the server may
// have listed before or after, but our change is confirmed. Guarded by tree.mu,
// save done.
type fetch struct {
	done    chan struct{} // closed when err is set and the listing is in place
	err     error
	hurry   func() // says that somebody waits for it; nil: somebody did from the beginning
	changes map[string]change
	doubted bool // something happened meanwhile whose outcome nobody knows
}

func newFetch() *fetch { return &fetch{done: make(chan struct{}), changes: map[string]change{}} }

// change of one name: present as ent, or gone.
type change struct {
	ent  entry
	gone bool
	attr bool // only its time or mode was changed
}

// fresh is how much longer knowledge from time at may be answered; at most zero
// when it may not.
func (t *Tree) fresh(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	age := time.Since(at)
	if age < 0 {
		return 0 // the clock went backwards: ask
	}
	return t.cfg.DirCacheTime - age
}

// noteLocked records what we did to a name, once the server confirmed it: in the
// listing, in a listing under way, and in the live node.
func (t *Tree) noteLocked(dir *Node, name string, e entry) {
	t.overtakenLocked(dir, name)
	t.keepLocked(dir, name, &e)
	if dir.list != nil {
		dir.list.put(name, e)
		t.lists.touchLocked(dir)
	}
	if dir.fetch != nil {
		dir.fetch.changes[name] = change{ent: e}
	}
	if k := dir.kid(name); k != nil && k.typ == e.typ {
		k.ent, k.at = e, time.Now()
	}
}

func (t *Tree) noteGoneLocked(dir *Node, name string) {
	t.overtakenLocked(dir, name)
	if len(t.conflicts) > 0 {
		t.settledLocked(join(dir.pathLocked(), name))
	}
	if t.overlay.Len() > 0 {
		if k := dir.kid(name); k != nil && k.typ == remote.Dir {
			t.overlay.Cut(dir.pathLocked(), name)
		} else {
			t.overlay.Drop(dir.pathLocked(), name)
		}
	}
	if dir.list != nil {
		dir.list.ents.remove(name)
		t.lists.touchLocked(dir)
	}
	if dir.fetch != nil {
		dir.fetch.changes[name] = change{gone: true}
	}
}

// doubtLocked makes the next question about dir go to the server.
func (t *Tree) doubtLocked(dir *Node) {
	if dir.fetch != nil {
		dir.fetch.doubted = true
	}
	if dir.list != nil {
		dir.list.fetched = time.Time{}
	}
	for _, k := range dir.eachKid() {
		k.at = time.Time{}
	}
}

// list makes sure that dir's listing is fresh, asking the server once for all who
// want it. It ends early with ctx; the listing itself goes on for the others.
func (t *Tree) list(ctx context.Context, dir *Node) error { return t.listSince(ctx, dir, time.Time{}) }

// listSince is list for who needs to know what the directory was after a time.
func (t *Tree) listSince(ctx context.Context, dir *Node, since time.Time) error {
	t.mu.Lock()
	if dir.removed {
		t.mu.Unlock()
		return errGone("list", dir)
	}
	if dir.list != nil && t.fresh(dir.list.fetched) > 0 && !dir.list.fetched.Before(since) {
		t.lists.touchLocked(dir)
		t.mu.Unlock()
		return nil
	}
	f := dir.fetch
	if f == nil {
		f = newFetch()
		dir.fetch = f
		path := dir.pathLocked()
		t.spawn(func() { t.fetchListing(t.ctx, dir, f, path) })
	} else if f.hurry != nil {
		f.hurry()
	}
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return canceled("list", dir, ctx)
	case <-t.ctx.Done():
		return errClosing("list", dir)
	}
}

func (t *Tree) fetchListing(ctx context.Context, dir *Node, f *fetch, path string) {
	began := time.Now()
	ents, err := t.store.List(ctx, path)
	t.mu.Lock()
	defer t.mu.Unlock()
	for try := 0; try < 3 && !dir.removed && (err == nil || remote.Is(err, remote.NotExist)); try++ {
		over := t.movingLocked(dir, "")
		if err == nil {
			over = nil
		}
		if over == nil && dir.pathLocked() == path {
			break
		}
		// Renamed while we asked: the answer may be of another directory, or of none.
		t.mu.Unlock()
		if over != nil {
			err = t.afterMove(ctx, over, "list", path)
		}
		if over == nil || err == nil {
			path, began = t.PathOf(dir), time.Now()
			ents, err = t.store.List(ctx, path)
		}
		t.mu.Lock()
	}
	dir.fetch = nil
	switch {
	case dir.removed:
		err = errGone("list", dir)
	case (err == nil || remote.Is(err, remote.NotExist)) && dir.pathLocked() != path:
		err = &remote.Error{Op: "list", Path: path, Kind: remote.Temporary, Text: "renamed meanwhile"}
	case err == nil:
		t.installLocked(dir, f, ents, began)
	case remote.Is(err, remote.NotExist) && dir.parent != nil && dir.anyOwedLocked():
		// Removed by somebody else, with files of ours still to come: see remake.
		t.installLocked(dir, f, nil, began)
		err = nil
	case remote.Is(err, remote.NotExist) && dir.parent != nil:
		t.vanishedLocked(dir)
	}
	if err != nil && dir.list != nil {
		dir.list.asked = 0 // not walked: it is not to be tried again, with all beside it, for each name
	}
	f.err = err
	close(f.done)
	t.releaseLocked(dir)
}

// installLocked makes ents, listed from time began on, what is known of dir.
func (t *Tree) installLocked(dir *Node, f *fetch, ents []remote.Entry, began time.Time) {
	l := &listing{ents: newEntries(len(ents)), fetched: began}
	var stray []string
	in := dir.pathLocked()
	for i := range ents {
		r := &ents[i]
		if isTemp(r.Name) {
			if t.strayTemp(r.Name) {
				stray = append(stray, r.Name)
			}
			continue
		}
		e := packEntry(r)
		told := e
		if dir.list != nil {
			if old, ok := dir.list.ents.get(r.Name); ok {
				e.inherit(&old)
			}
		}
		if k := dir.kid(r.Name); k != nil {
			e.inherit(&k.ent)
		}
		if _, ours := f.changes[r.Name]; !ours && t.overlay.Len() > 0 {
			t.overlaidLocked(in, r.Name, &told, &e)
		}
		l.ents.put(r.Name, e)
	}
	for name, c := range f.changes {
		switch e, ok := l.ents.get(name); {
		case c.gone:
			l.ents.remove(name)
		case c.attr && (!ok || e.typ != c.ent.typ || e.typ == remote.File && e.size != c.ent.size):
			f.doubted = true // somebody else changed the rest
		default:
			l.ents.put(name, c.ent)
		}
	}
	if f.doubted {
		l.fetched = time.Time{} // good for those who wait, and for nobody after
	}
	t.unlistedOverlaysLocked(dir, in, f, l)
	dir.list, dir.asked = l, false
	t.lists.touchLocked(dir)
	for name, k := range dir.eachKid() {
		if e, ok := l.ents.get(name); ok {
			t.learnLocked(k, e, began)
		} else if !t.mayHide(name) {
			t.vanishedLocked(k)
		}
	}
	if len(stray) > 0 {
		t.sweepLater(dir.pathLocked(), stray)
	}
}

// learnLocked takes in what the server says of a live node.
func (t *Tree) learnLocked(n *Node, e entry, at time.Time) {
	if n.typ != e.typ {
		if !n.anyOwedLocked() {
			t.lostLocked(n)
		}
		return
	}
	if f := n.file; f != nil && !f.owed && f.cur != nil {
		v, now := f.cur.version(), e.version()
		timeless := v
		timeless.MGrain = 0
		switch {
		case !v.Differs(now):
			f.cur.learn(now, at)
		case f.timing && !timeless.Differs(now):
			return // it is what we are just doing
		default:
			f.staleLocked()
		}
	}
	if !n.removed {
		n.ent, n.at = e, at
	}
}

// vanishedLocked takes in that the server has no such name. What is owed stays:
// it will be there again.
func (t *Tree) vanishedLocked(n *Node) {
	for m := range t.moves {
		if n.withinLocked(m.src) {
			return // it is under its new name already
		}
	}
	if !n.anyOwedLocked() {
		t.lostLocked(n)
	}
}
