package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// Changes of names are write-through: they fail at once when the server refuses or
// is down. The step on the server is never broken off midway; a caller who is
// interrupted leaves, and the step goes on with its bookkeeping.

// do runs a step that must not be broken off. Until it ends the nodes it works on, n
// and others (nil for none), are kept, also when the caller has left.
func (t *Tree) do(ctx context.Context, op string, n *Node, step func(ctx context.Context) error, others ...*Node) error {
	held := []*Node{n}
	for _, o := range others {
		if o != nil {
			held = append(held, o)
		}
	}
	t.mu.Lock()
	for _, h := range held {
		h.refs++
	}
	t.mu.Unlock()
	forget := func() {
		t.mu.Lock()
		for _, h := range held {
			t.unrefLocked(h)
		}
		t.mu.Unlock()
	}
	done := make(chan error, 1)
	if !t.spawn(func() {
		err := step(t.ctx)
		forget()
		done <- err
	}) {
		forget()
		return &remote.Error{Op: op, Path: t.PathOf(n), Kind: remote.Canceled, Text: "unmounting"}
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return canceled(op, n, ctx)
	}
}

// Mkdir makes a directory, at once.
func (t *Tree) Mkdir(ctx context.Context, dir *Node, name string, mode uint32) (*Node, Attr, error) {
	if t.cfg.ReadOnly {
		return nil, Attr{}, errReadOnly("mkdir", dir)
	}
	if err := checkName("mkdir", t.PathOf(dir), name); err != nil {
		return nil, Attr{}, err
	}
	if err := t.afterLook(ctx, "mkdir", join(t.PathOf(dir), name)); err != nil {
		return nil, Attr{}, err
	}
	if n, _, err := t.Lookup(ctx, dir, name); err == nil {
		t.Forget(n)
		return nil, Attr{}, &remote.Error{Op: "mkdir", Path: join(t.PathOf(dir), name), Kind: remote.Exist}
	} else if !remote.Is(err, remote.NotExist) {
		return nil, Attr{}, err
	}
	if err := t.storable(ctx, "mkdir", dir, name, nil); err != nil {
		return nil, Attr{}, err
	}
	var n *Node
	var left bool // guarded by tree.mu: the caller was interrupted
	err := t.do(ctx, "mkdir", dir, func(ctx context.Context) error {
		path := join(t.PathOf(dir), name)
		if err := t.restless("mkdir", path); err != nil {
			return err
		}
		err := t.store.Mkdir(ctx, path)
		if remote.Is(err, remote.NotExist) && t.remake(ctx, dir) {
			err = t.store.Mkdir(ctx, path)
		}
		if err != nil {
			t.doubtAfter(err, dir)
			return err
		}
		e := entry{typ: remote.Dir, mtime: time.Now().Unix(), grain: grainSecond}
		e.mode, e.flags = uint16(mode&0o7777), hasMode|guessed
		if mode&0o7777 != 0o755 {
			if err := t.store.SetAttr(ctx, path, remote.Attr{Mode: &mode}); err != nil {
				e.showMode(mode)
				t.once("mkdir-mode", "the server cannot set a new directory's mode; it is kept here", err)
			}
		}
		defer t.saveOverlay()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.noteLocked(dir, name, e)
		t.touchDirLocked(dir)
		made := t.nodeLocked(dir, name, e, time.Now())
		made.list = &listing{fetched: time.Now()}
		t.lists.touchLocked(made)
		if !left {
			made.refs++
			n = made
		}
		return nil
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		left = true
		if n != nil {
			t.unrefLocked(n)
		}
		return nil, Attr{}, err
	}
	return n, t.attrLocked(n), nil
}

// remake makes a directory again that somebody removed from the server while files
// in it were on their way there, with those above it. False: it was there, or
// nothing is owed in it, or it cannot be made.
//
// It shares the gate: a directory that is just being renamed must not appear again under
// its old name, nor one of which nobody knows yet whether it was.
func (t *Tree) remake(ctx context.Context, dir *Node) bool {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	if t.gate.Acquire(ctx, 1) != nil {
		return false
	}
	defer t.gate.Release(1)
	var paths []string
	t.mu.Lock()
	if !dir.anyOwedLocked() || dir.removed || t.concerningLocked(dir.pathLocked()) != nil {
		t.mu.Unlock()
		return false
	}
	for n := dir; n.parent != nil; n = n.parent {
		paths = append(paths, n.pathLocked())
	}
	t.mu.Unlock()
	made := false
	for i := len(paths) - 1; i >= 0; i-- {
		_, err := t.store.Stat(ctx, paths[i])
		if err == nil {
			continue
		}
		if !remote.Is(err, remote.NotExist) {
			return false
		}
		if err := t.store.Mkdir(ctx, paths[i]); err != nil && !remote.Is(err, remote.Exist) {
			return false
		}
		t.cfg.Log.Warn("a directory was removed on the server while files in it were on their way; it is made again", "path", paths[i])
		made = true
	}
	return made
}

// doubtAfter makes the next question about dir go to the server, if err leaves it
// open what the server did.
func (t *Tree) doubtAfter(err error, dirs ...*Node) {
	switch k := remote.KindOf(err); {
	case k.Offline(), k == remote.Exist, k == remote.NotExist, k == remote.Protocol, k == remote.NotEmpty, k == remote.Canceled:
		t.mu.Lock()
		for _, d := range dirs {
			t.doubtLocked(d)
		}
		t.mu.Unlock()
	}
}

// Rmdir removes an empty directory, at once. One in which a file is owed is not empty.
func (t *Tree) Rmdir(ctx context.Context, dir *Node, name string) error {
	if t.cfg.ReadOnly {
		return errReadOnly("rmdir", dir)
	}
	if err := t.afterLook(ctx, "rmdir", join(t.PathOf(dir), name)); err != nil {
		return err
	}
	n, _, err := t.Lookup(ctx, dir, name)
	if err != nil {
		return err
	}
	defer t.Forget(n)
	if n.typ != remote.Dir {
		return &remote.Error{Op: "rmdir", Path: t.PathOf(n), Kind: remote.NotDir}
	}
	return t.do(ctx, "rmdir", n, func(ctx context.Context) error { return t.rmdir(ctx, dir, n, name) }, dir)
}

func (t *Tree) rmdir(ctx context.Context, dir, n *Node, name string) error {
	if err := t.stillThere("rmdir", dir, n, name); err != nil {
		return err
	}
	path := t.PathOf(n)
	if err := t.restless("rmdir", path); err != nil {
		return err
	}
	if t.owesBelow(n) {
		return &remote.Error{Op: "rmdir", Path: path, Kind: remote.NotEmpty, Text: "files in it are still on their way to the server"}
	}
	err := t.store.Rmdir(ctx, path)
	if remote.Is(err, remote.NotEmpty) && t.sweepNow(ctx, path) {
		err = t.store.Rmdir(ctx, path) // only our own leftovers were in it
	}
	if err != nil {
		t.doubtAfter(err, dir, n)
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetDirTimeLocked(n)
	t.noteGoneLocked(dir, name)
	t.vanishedLocked(n) // unless a file was made in it meanwhile: then it is made again
	t.touchDirLocked(dir)
	return nil
}

// owesBelow says whether a file is owed at or below n; a directory's own time does
// not count.
func (t *Tree) owesBelow(n *Node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := false
	n.eachOwedLocked(func(*File) { found = true })
	return found
}

// stillThere says whether n is what it was found as: a change of names whose caller was
// interrupted goes on, and may have come in between.
func (t *Tree) stillThere(op string, dir, n *Node, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.removed || n.parent != dir || n.name != name {
		return &remote.Error{Op: op, Path: join(dir.pathLocked(), name), Kind: remote.Temporary, Text: "renamed or removed meanwhile"}
	}
	return nil
}

// freezeFor freezes f for a change of its name. A publication under way is waited
// for, but not for ever.
func (t *Tree) freezeFor(ctx context.Context, f *File) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	return f.freeze(ctx)
}
