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
	if k := dir.kids[name]; k != nil && k.typ == e.typ {
		k.ent, k.at = e, time.Now()
	}
}

func (t *Tree) noteGoneLocked(dir *Node, name string) {
	t.overtakenLocked(dir, name)
	if len(t.conflicts) > 0 {
		t.settledLocked(join(dir.pathLocked(), name))
	}
	if t.overlay.Len() > 0 {
		if k := dir.kids[name]; k != nil && k.typ == remote.Dir {
			t.overlay.Cut(dir.pathLocked(), name)
		} else {
			t.overlay.Drop(dir.pathLocked(), name)
		}
	}
	if dir.list != nil {
		delete(dir.list.ents, name)
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
	for _, k := range dir.kids {
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
	f.err = err
	close(f.done)
	t.releaseLocked(dir)
}

// installLocked makes ents, listed from time began on, what is known of dir.
func (t *Tree) installLocked(dir *Node, f *fetch, ents []remote.Entry, began time.Time) {
	l := &listing{ents: make(map[string]entry, len(ents)), fetched: began}
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
			if old, ok := dir.list.ents[r.Name]; ok {
				e.inherit(&old)
			}
		}
		if k := dir.kids[r.Name]; k != nil {
			e.inherit(&k.ent)
		}
		if _, ours := f.changes[r.Name]; !ours && t.overlay.Len() > 0 {
			t.overlaidLocked(in, r.Name, &told, &e)
		}
		l.ents[r.Name] = e
	}
	for name, c := range f.changes {
		switch e, ok := l.ents[name]; {
		case c.gone:
			delete(l.ents, name)
		case c.attr && (!ok || e.typ != c.ent.typ || e.typ == remote.File && e.size != c.ent.size):
			f.doubted = true // somebody else changed the rest
		default:
			l.ents[name] = c.ent
		}
	}
	if f.doubted {
		l.fetched = time.Time{} // good for those who wait, and for nobody after
	}
	t.unlistedOverlaysLocked(dir, in, f, l)
	dir.list, dir.asked = l, false
	t.lists.touchLocked(dir)
	for name, k := range dir.kids {
		if e, ok := l.ents[name]; ok {
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

// ask asks the server about one name in a directory whose listing is unknown or
// old: the name alone at first where that is cheap, the whole listing at the
// second question. It returns the node with a reference for the caller. NotExist
// is returned only when it is certain.
func (t *Tree) ask(ctx context.Context, dir *Node, name string) (*Node, error) {
	return t.askSince(ctx, dir, name, time.Time{})
}

// askSince is ask for who needs to know what was there after a time: a listing from before
// is not an answer. One under way is taken for one, and may have begun before.
func (t *Tree) askSince(ctx context.Context, dir *Node, name string, since time.Time) (*Node, error) {
	t.mu.Lock()
	hidden := t.mayHide(name)
	unlisted := hidden && dir.list != nil && t.fresh(dir.list.fetched) > 0 && since.IsZero()
	// Where cases are not told apart, the answer may be about another name.
	single := unlisted || !dir.asked && dir.fetch == nil && t.store.Caps().CheapStat && !t.foldsCase()
	dir.asked = true
	path := join(dir.pathLocked(), name)
	t.mu.Unlock()
	if single {
		n, err := t.askOne(ctx, dir, name, path)
		if err != nil || unlisted || !t.foldsCase() {
			return n, err
		}
		t.Forget(n) // it has just told that it does not
	}
	if err := t.listSince(ctx, dir, since); err != nil {
		return nil, err
	}
	t.mu.Lock()
	n, known := t.knownLocked(dir, name, true)
	if hidden && n != nil && !n.owedLocked() && !dir.listsLocked(name) { // as it was before
		t.unrefLocked(n)
		n = nil
	}
	path = join(dir.pathLocked(), name)
	t.mu.Unlock()
	switch {
	case n != nil:
		return n, nil
	case !known, hidden: // evicted in the moment between; not listed
		return t.askOne(ctx, dir, name, path)
	}
	return nil, &remote.Error{Op: "stat", Path: path, Kind: remote.NotExist}
}

func (n *Node) listsLocked(name string) bool {
	if n.list == nil {
		return false
	}
	_, ok := n.list.ents[name]
	return ok
}

// mayHide says that a listing of the server may lack the name although it is there. It is
// then asked for by itself; while the server is down it counts as not there.
func (t *Tree) mayHide(name string) bool {
	return name[0] == '.' && t.store.Caps().HidesDots
}

// question is one about a single name, while the server is asked. Guarded by tree.mu.
type question struct {
	dir       *Node
	name      string
	overtaken bool // we changed the name meanwhile: the answer may be from before
}

func (t *Tree) overtakenLocked(dir *Node, name string) {
	for q := range t.asking {
		q.overtaken = q.overtaken || q.dir == dir && q.name == name
	}
}

func (t *Tree) askOne(ctx context.Context, dir *Node, name, path string) (*Node, error) {
	q := &question{dir: dir, name: name}
	t.mu.Lock()
	t.asking[q] = struct{}{}
	t.mu.Unlock()
	began := time.Now()
	r, err := t.store.Stat(ctx, path)
	t.mu.Lock()
	defer t.mu.Unlock()
	defer delete(t.asking, q)
	for try := 0; !dir.removed; try++ {
		over := t.movingLocked(dir, name)
		if !remote.Is(err, remote.NotExist) {
			over = nil
		}
		k := dir.kids[name]
		known := k != nil && (k.owedLocked() || k.at.After(began))
		if over == nil && join(dir.pathLocked(), name) == path && (known || !q.overtaken) {
			break
		}
		if try == 3 {
			return nil, &remote.Error{Op: "stat", Path: path, Kind: remote.Temporary, Text: "renamed or removed meanwhile"}
		}
		q.overtaken = false
		t.mu.Unlock()
		if over != nil {
			if err := t.afterMove(ctx, over, "stat", path); err != nil {
				t.mu.Lock()
				return nil, err
			}
		}
		path, began = join(t.PathOf(dir), name), time.Now()
		r, err = t.store.Stat(ctx, path)
		t.mu.Lock()
	}
	if dir.removed {
		return nil, errGone("stat", dir)
	}
	k := dir.kids[name]
	if k != nil && (k.owedLocked() || k.at.After(began)) {
		k.refs++ // our own change came in between
		return k, nil
	}
	switch {
	case err == nil:
		e := packEntry(&r)
		told := e
		if k != nil {
			e.inherit(&k.ent)
		}
		t.overlaidLocked(dir.pathLocked(), name, &told, &e)
		if k != nil {
			t.learnLocked(k, e, began)
		}
		if dir.list != nil {
			if old, ok := dir.list.ents[name]; ok {
				e.inherit(&old)
			}
			dir.list.put(name, e)
			t.lists.touchLocked(dir)
		}
		n := t.nodeLocked(dir, name, e, began)
		n.refs++
		return n, nil
	case remote.Is(err, remote.NotExist):
		if dir.list != nil {
			delete(dir.list.ents, name)
			t.lists.touchLocked(dir)
		}
		if k != nil {
			t.vanishedLocked(k)
			if k = dir.kids[name]; k != nil { // something is owed below it
				k.refs++
				return k, nil
			}
		}
	}
	return nil, err
}

// knownLocked answers from memory: the node with a reference, or nil and whether
// its absence is known. Old knowledge counts only if old is true.
func (t *Tree) knownLocked(dir *Node, name string, old bool) (n *Node, known bool) {
	k := dir.kids[name]
	if k != nil && (k.owedLocked() || old || t.fresh(k.at) > 0) {
		k.refs++
		return k, true
	}
	if dir.list == nil || !old && t.fresh(dir.list.fetched) <= 0 {
		return nil, false
	}
	t.lists.touchLocked(dir)
	e, ok := dir.list.ents[name]
	if !ok {
		if k != nil && k.anyOwedLocked() { // gone from the server, with files of ours still to come
			k.refs++
			return k, true
		}
		return nil, old || !t.mayHide(name)
	}
	n = t.nodeLocked(dir, name, e, dir.list.fetched)
	n.refs++
	return n, true
}
