package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// ask asks the server about one name in a directory whose listing is unknown or
// old: the name alone at first where that is cheap, the whole listing at the
// second question, or where all are going to be asked for (walked.go). It returns the
// node with a reference for the caller. NotExist is returned only when it is certain.
func (t *Tree) ask(ctx context.Context, dir *Node, name string) (*Node, error) {
	return t.askSince(ctx, dir, name, time.Time{})
}

// askSince is ask for who needs to know what was there after a time: a listing from before
// is not an answer. One under way is taken for one, and may have begun before.
func (t *Tree) askSince(ctx context.Context, dir *Node, name string, since time.Time) (*Node, error) {
	t.mu.Lock()
	hidden := t.mayHide(name)
	unlisted := hidden && dir.list != nil && t.fresh(dir.list.fetched) > 0 && since.IsZero()
	again := t.walkedLocked(dir)
	// Where cases are not told apart, the answer may be about another name.
	single := unlisted || !dir.asked && dir.fetch == nil && !again && t.store.Caps().CheapStat && !t.foldsCase()
	if again && dir.fetch == nil {
		t.ahead.againLocked(dir)
	}
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
	_, ok := n.list.ents.get(name)
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
		k := dir.kid(name)
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
	k := dir.kid(name)
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
			if old, ok := dir.list.ents.get(name); ok {
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
			dir.list.ents.remove(name)
			t.lists.touchLocked(dir)
		}
		if k != nil {
			t.vanishedLocked(k)
			if k = dir.kid(name); k != nil { // something is owed below it
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
	k := dir.kid(name)
	if k != nil && (k.owedLocked() || old || t.fresh(k.at) > 0) {
		k.refs++
		return k, true
	}
	if dir.list == nil || !old && t.fresh(dir.list.fetched) <= 0 {
		return nil, false
	}
	t.lists.touchLocked(dir)
	e, ok := dir.list.ents.get(name)
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
