package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// staleValid is how long the kernel may keep what was answered from old knowledge
// because the server is down.
const staleValid = time.Second

// Lookup finds a child of dir, with a reference for the caller. An absence is not to be
// remembered by the caller: asking again costs nothing while the listing is fresh.
func (t *Tree) Lookup(ctx context.Context, dir *Node, name string) (*Node, Attr, error) {
	if err := t.wait(ctx, "lookup", dir); err != nil {
		return nil, Attr{}, err
	}
	t.mu.Lock()
	if dir.removed {
		t.mu.Unlock()
		return nil, Attr{}, errGone("lookup", dir)
	}
	if l := dir.list; l != nil && l.asked < walkedMost && t.fresh(l.fetched) > 0 {
		l.asked++
	}
	n, known := t.knownLocked(dir, name, false)
	if known {
		defer t.mu.Unlock()
		return t.foundLocked(dir, name, n)
	}
	t.mu.Unlock()

	n, err := t.ask(ctx, dir, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil || remote.Is(err, remote.NotExist):
		return t.foundLocked(dir, name, n)
	case remote.KindOf(err).Offline():
		if n, known = t.knownLocked(dir, name, true); known {
			n, a, err := t.foundLocked(dir, name, n)
			a.Valid = staleValid
			return n, a, err
		}
	}
	return nil, Attr{}, err
}

// foundLocked turns n, nil for a name that is not there, into Lookup's answer.
func (t *Tree) foundLocked(dir *Node, name string, n *Node) (*Node, Attr, error) {
	if n != nil {
		n.strayed = false
		return n, t.attrLocked(n), nil
	}
	return nil, Attr{}, &remote.Error{Op: "lookup", Path: join(dir.pathLocked(), name), Kind: remote.NotExist}
}

// GetAttr returns fresh attributes, or old ones while the server is down.
func (t *Tree) GetAttr(ctx context.Context, n *Node) (Attr, error) {
	t.mu.Lock()
	if n.strayed && n.removed && (n.file == nil || n.file.handles == 0) {
		defer t.mu.Unlock()
		return Attr{}, errStale("stat", n) // asked by the old name, which is theirs: the kernel looks it up again
	}
	if n.parent == nil || n.removed || n.owedLocked() || t.fresh(t.knownAtLocked(n)) > 0 {
		defer t.mu.Unlock()
		return t.attrLocked(n), nil
	}
	dir, name := n.parent, n.name
	t.mu.Unlock()
	m, err := t.ask(ctx, dir, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if m != nil {
		defer t.unrefLocked(m)
	}
	switch {
	case err == nil && m == n:
		return t.attrLocked(n), nil
	case n.removed && n.file != nil && n.file.handles > 0:
		return t.attrLocked(n), nil // fstat of what was unlinked elsewhere
	case err == nil:
		return Attr{}, errGone("stat", n)
	case remote.KindOf(err).Offline():
		a := t.attrLocked(n)
		a.Valid = staleValid
		return a, nil
	}
	return Attr{}, err
}

// knownAtLocked is when the server last told about n: by itself or in a listing.
func (t *Tree) knownAtLocked(n *Node) time.Time {
	at := n.at
	if n.parent != nil && n.parent.list != nil && n.parent.list.fetched.After(at) {
		at = n.parent.list.fetched
	}
	return at
}

func (t *Tree) attrLocked(n *Node) Attr {
	a := Attr{Ino: n.ino, Type: n.typ, Size: n.ent.size, MTime: n.ent.time(), Nlink: 1,
		Mode: uint32(n.ent.mode), HasMode: n.ent.flags&hasMode != 0}
	if n.typ == remote.Dir {
		a.Nlink = 2
		if n.owesAt != nil {
			a.MTime = *n.owesAt
		}
	}
	a.Valid = max(0, t.fresh(t.knownAtLocked(n)))
	if n.parent == nil {
		a.Valid = t.cfg.DirCacheTime
	}
	if f := n.file; f != nil {
		f.attrLocked(&a)
	}
	if n.removed {
		a.Nlink, a.Valid = 0, 0
	}
	return a
}

// Readlink returns a symlink's target as the server spells it.
func (t *Tree) Readlink(ctx context.Context, n *Node) (string, error) {
	t.mu.Lock()
	target, dir, name, path := n.ent.target(), n.parent, n.name, n.pathLocked()
	t.mu.Unlock()
	if target == nil && n.typ == remote.Symlink {
		m, err := t.ask(ctx, dir, name)
		if err != nil {
			return "", err
		}
		t.mu.Lock()
		target = m.ent.target()
		t.unrefLocked(m)
		t.mu.Unlock()
	}
	if target == nil {
		return "", &remote.Error{Op: "readlink", Path: path, Kind: remote.Unsupported, Text: "the server does not tell the target"}
	}
	return *target, nil
}
