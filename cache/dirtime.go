package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// setDirLater records a directory's time if files in it are still owed.
func (t *Tree) setDirLater(n *Node, mtime time.Time) (later bool, err error) {
	t.mu.Lock()
	if n.owed == 0 || n.removed {
		t.forgetDirTimeLocked(n)
		t.mu.Unlock()
		return false, nil
	}
	if n.owesAt == nil {
		n.owesID = t.spool.NewID()
	}
	n.owesAt = &mtime
	t.owedDirs[n] = struct{}{}
	t.mu.Unlock()
	return true, t.saveDirTime(n)
}

// saveDirTime records the time that is owed to n, under the name that it has, if any is.
// What is put and what is dropped keep their order, lest the next start set a time that
// was given up.
func (t *Tree) saveDirTime(n *Node) error {
	t.dirTimesDisk.Lock()
	defer t.dirTimesDisk.Unlock()
	t.mu.Lock()
	if n.owesAt == nil {
		t.mu.Unlock()
		return nil
	}
	r := spool.Record{ID: n.owesID, Path: n.pathLocked(), Dir: true, MTime: n.owesAt, Created: time.Now()}
	t.mu.Unlock()
	return t.spool.Put(&r)
}

// forgetDirTimeLocked: the directory changed since its time was set.
func (t *Tree) forgetDirTimeLocked(n *Node) {
	if n.owesAt == nil {
		return
	}
	n.owesAt = nil
	delete(t.owedDirs, n)
	id := n.owesID
	t.spawn(func() {
		t.saveOverlay()
		t.dirTimesDisk.Lock()
		defer t.dirTimesDisk.Unlock()
		if err := t.spool.Drop(id); err != nil {
			t.cfg.Log.Warn("cannot drop a directory's record", "err", err)
		}
	})
}

// dirDoneLocked is called when a file in dir is no longer owed.
func (t *Tree) dirDoneLocked(dir *Node) {
	if dir.owesAt != nil && dir.owed == 0 {
		t.dirQueue.Schedule(dir, time.Now())
	}
}

// setDirTime is one run of the queue for one directory. It shares the gate: the name that
// it has is not another directory's, nor nobody's, before the server has answered.
func (t *Tree) setDirTime(ctx context.Context, dir *Node) {
	if t.gate.Acquire(ctx, 1) != nil {
		return // the tree closes
	}
	defer t.gate.Release(1)
	t.mu.Lock()
	at, path := dir.owesAt, dir.pathLocked()
	skip := at == nil || dir.owed > 0 || dir.removed || t.concerningLocked(path) != nil
	t.mu.Unlock()
	if skip {
		return
	}
	err := t.store.SetAttr(ctx, path, remote.Attr{MTime: at})
	if remote.Is(err, remote.Unsupported) {
		t.once("dirtime", "the server does not set times of directories; they are kept here", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if dir.owesAt != at || dir.owed > 0 {
		return
	}
	k := remote.KindOf(err)
	if err != nil && k.Verdict() == remote.Retry {
		t.dirQueue.Schedule(dir, time.Now().Add(backoff(4)))
		return
	}
	e := dir.ent
	if err == nil {
		e.mtime, e.grain, e.flags = at.Unix(), grainSecond, e.flags&^(shownSet|guessed)
	} else {
		e.showTime(*at)
		e.flags |= guessed
	}
	dir.ent = e
	if dir.parent != nil && !dir.removed {
		t.noteLocked(dir.parent, dir.name, e)
	}
	t.forgetDirTimeLocked(dir)
	t.changedLocked()
	t.releaseLocked(dir)
}

// saveDirTimes records new paths after n was renamed.
func (t *Tree) saveDirTimes(n *Node) {
	var dirs []*Node
	t.mu.Lock()
	var walk func(*Node)
	walk = func(n *Node) {
		if n.owesAt != nil {
			dirs = append(dirs, n)
		}
		for _, k := range n.eachKid() {
			walk(k)
		}
	}
	walk(n)
	t.mu.Unlock()
	for _, n := range dirs {
		if err := t.saveDirTime(n); err != nil {
			t.cfg.Log.Warn("cannot record a directory's new name", "path", t.PathOf(n), "err", err)
		}
	}
}
