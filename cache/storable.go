package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// storable refuses a new name before anything of it is accepted: one that the server
// would store as another, and one that it takes for another in the directory, where cases
// are not told apart. mover is what is to have the name, nil if it is to be made. Where the
// server cannot be asked now, the name is taken, and the publication finds out.
func (t *Tree) storable(ctx context.Context, op string, dir *Node, name string, mover *Node) error {
	path := join(t.PathOf(dir), name)
	if err := t.store.Storable(ctx, path); remote.Is(err, remote.BadName) || remote.Is(err, remote.Canceled) {
		return err
	}
	if !t.foldsCase() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if twin := t.twinLocked(dir, name, mover); twin != "" {
		return errTwin(op, path, twin)
	}
	return nil
}

func errTwin(op, path, twin string) error {
	return &remote.Error{Op: op, Path: path, Kind: remote.Exist, Text: "the server has " + twin + ", and does not tell cases apart"}
}

// foldsCase says that names which differ by case only are known to be one to the server.
func (t *Tree) foldsCase() bool { return t.caseless.Load() || t.store.Caps().FoldsCase }

// alias is for a rename to a name that was not listed, and that the server has something
// under: it may take the name for another one. It is the very thing to be renamed (nil: go
// on), something else (Exist), or somebody has just made it.
func (m *move) alias(ctx context.Context, path string, typ remote.EntryType) error {
	t := m.tree
	if err := t.listSince(ctx, m.to, time.Now()); err != nil {
		return err
	}
	t.mu.Lock()
	listed := true
	if m.to.list != nil {
		_, listed = m.to.list.ents.get(m.newName)
	}
	twin := t.twinLocked(m.to, m.newName, m.src)
	itself := m.from == m.to && twins(m.name, m.newName)
	t.mu.Unlock()
	switch {
	case listed && typ == remote.Dir && m.src.typ != remote.Dir:
		return &remote.Error{Op: "rename", Path: path, Kind: remote.IsDir}
	case listed || twin == "" && !itself:
		return m.busy(path)
	case twin != "":
		t.caseless.Store(true)
		return errTwin("rename", path, twin)
	}
	t.caseless.Store(true)
	return nil
}
