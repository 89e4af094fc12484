package cache

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sync/semaphore"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

const gateAll = 1 << 20 // of the gate's weight: more than publications under way

func newGate() *semaphore.Weighted { return semaphore.NewWeighted(gateAll) }

// move is one rename under way.
type move struct {
	tree     *Tree
	src, dst *Node // dst: what newName was; nil if nothing
	from, to *Node // directories
	name     string
	newName  string
	unfreeze func()        // ends the freeze; nil: there is none
	over     chan struct{} // closed at the end; see moving.go
	intent   spool.Intent  // immutable while it is under way, save Seq
	doubt    *unsettled    // guarded by tree.mu: nobody knows whether it happened

	recording sync.Mutex // held while the intent is written; inside file.rec
	recorded  bool
	ending    bool
}

// Rename moves name in from to newName in to. A file that never reached the server
// is renamed here alone, and replaces what is at newName when it is published.
func (t *Tree) Rename(ctx context.Context, from *Node, name string, to *Node, newName string, noReplace bool) error {
	if t.cfg.ReadOnly {
		return errReadOnly("rename", from)
	}
	if err := checkName("rename", t.PathOf(to), newName); err != nil {
		return err
	}
	if err := t.afterLook(ctx, "rename", join(t.PathOf(from), name), join(t.PathOf(to), newName)); err != nil {
		return err
	}
	src, _, err := t.Lookup(ctx, from, name)
	if err != nil {
		return err
	}
	defer t.Forget(src)
	dst, _, err := t.Lookup(ctx, to, newName)
	switch {
	case err == nil:
		defer t.Forget(dst)
	case !remote.Is(err, remote.NotExist):
		return err
	}
	m := &move{tree: t, src: src, dst: dst, from: from, to: to, name: name, newName: newName}
	if src == dst {
		return nil
	}
	if err := m.allowed(ctx, noReplace); err != nil {
		return err
	}
	if dst == nil {
		if err := t.storable(ctx, "rename", to, newName, src); err != nil {
			return err
		}
	}
	if dst != nil {
		if err := t.keepForHandles(ctx, dst); err != nil {
			return err
		}
	}
	return t.do(ctx, "rename", src, m.run, dst, from, to)
}

func (m *move) allowed(ctx context.Context, noReplace bool) error {
	if m.dst == nil {
		return nil
	}
	path := m.tree.PathOf(m.dst)
	switch {
	case noReplace:
		return &remote.Error{Op: "rename", Path: path, Kind: remote.Exist}
	case m.dst.typ == remote.Dir && m.src.typ != remote.Dir:
		return &remote.Error{Op: "rename", Path: path, Kind: remote.IsDir}
	case m.dst.typ != remote.Dir && m.src.typ == remote.Dir:
		return &remote.Error{Op: "rename", Path: path, Kind: remote.NotDir}
	case m.dst.typ == remote.Dir:
		d, err := m.tree.OpenDir(ctx, m.dst)
		if err != nil {
			return err
		}
		if d.Len() > 0 || m.tree.owesBelow(m.dst) {
			return &remote.Error{Op: "rename", Path: path, Kind: remote.NotEmpty}
		}
	}
	return nil
}

// freeze stops publications that the rename could cross: of the two files, or, for a
// directory, all for a moment.
func (m *move) freeze(ctx context.Context) error {
	t := m.tree
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	if m.src.typ == remote.Dir {
		if err := t.gate.Acquire(ctx, gateAll); err != nil {
			return canceled("rename", m.src, ctx)
		}
		m.unfreeze = func() { t.gate.Release(gateAll) }
		return nil
	}
	var files []*File
	t.mu.Lock()
	for _, n := range []*Node{m.src, m.dst} {
		if n != nil && n.typ == remote.File {
			files = append(files, n.fileLocked())
		}
	}
	t.mu.Unlock()
	if len(files) == 2 && files[1].node.ino < files[0].node.ino {
		files[0], files[1] = files[1], files[0] // one order for all
	}
	for i, f := range files {
		if err := f.freeze(ctx); err != nil {
			for _, g := range files[:i] {
				g.thaw()
			}
			return err
		}
	}
	m.unfreeze = func() {
		for _, f := range files {
			f.thaw()
		}
	}
	return nil
}

// thaw ends the freeze, once.
func (m *move) thaw() {
	if m.unfreeze != nil {
		m.unfreeze()
		m.unfreeze = nil
	}
}

// stillThere: see Tree.stillThere. What lies at the new name must be what was found
// there too.
func (m *move) stillThere() error {
	if err := m.tree.stillThere("rename", m.from, m.src, m.name); err != nil {
		return err
	}
	if m.dst != nil {
		return m.tree.stillThere("rename", m.to, m.dst, m.newName)
	}
	m.tree.mu.Lock()
	defer m.tree.mu.Unlock()
	if m.to.removed || m.to.kid(m.newName) != nil {
		return &remote.Error{Op: "rename", Path: join(m.to.pathLocked(), m.newName), Kind: remote.Temporary, Text: "made or removed meanwhile"}
	}
	return nil
}

func (m *move) run(ctx context.Context) error {
	if err := m.freeze(ctx); err != nil {
		return err
	}
	err := m.stillThere()
	if err == nil {
		err = m.tree.restless("rename", m.tree.PathOf(m.src), join(m.tree.PathOf(m.to), m.newName))
	}
	if err != nil {
		m.release()
		return err
	}
	if m.dst != nil && m.dst.typ == remote.File {
		m.dst.file.remember()
	}
	if m.src.file != nil && m.src.file.neverSent() {
		defer m.release()
		return m.local()
	}
	if err := m.seen(ctx); err != nil {
		m.release()
		return err
	}
	return m.onServer(ctx)
}

// seen makes sure that a file which is about to be replaced on the server is the one
// that was last listed here. Somebody's change since then is not overwritten: the
// rename fails, and the next one knows. (EBUSY, as the kernel tries again at ESTALE.) It is
// the same where nothing was listed, and something is there by now.
func (m *move) seen(ctx context.Context) error {
	t := m.tree
	t.mu.Lock()
	path := join(m.to.pathLocked(), m.newName)
	var known []remote.Version
	if m.dst != nil {
		known = m.dst.onServerLocked()
	}
	isDir := m.dst != nil && m.dst.typ == remote.Dir
	t.mu.Unlock()
	if isDir {
		return nil // the server refuses to replace one in which something is
	}
	now, err := t.store.Stat(ctx, path)
	same := func(v remote.Version) bool { return !v.Differs(now.Version()) }
	switch {
	case surelyGone(err):
		return nil
	case err != nil:
		return err
	case m.dst == nil:
		return m.alias(ctx, path, now.Type)
	case now.Type == m.dst.typ && (now.Type != remote.File || slices.ContainsFunc(known, same)):
		return nil
	case now.Type == remote.Dir && m.src.typ != remote.Dir:
		m.doubtTarget()
		return &remote.Error{Op: "rename", Path: path, Kind: remote.IsDir}
	}
	return m.busy(path)
}

// busy is why a rename does not replace what nobody here has seen.
func (m *move) busy(path string) error {
	m.doubtTarget()
	m.tree.cfg.Log.Warn("a file was not renamed over another one that somebody had just changed on the server", "path", path)
	return fmt.Errorf("rename over %s: changed on the server since it was listed: %w", path, syscall.EBUSY)
}

func (m *move) doubtTarget() {
	m.tree.mu.Lock()
	m.tree.doubtLocked(m.to)
	m.tree.mu.Unlock()
}

// onServer records the intent where records depend on it, renames, and relinks.
func (m *move) onServer(ctx context.Context) error {
	t := m.tree
	from, to, owes := m.begin()
	t.mu.Lock()
	was, dstChanges := m.src.onServerLocked(), m.dstChangesLocked()
	t.mu.Unlock()
	if owes {
		if err := m.record(); err != nil {
			m.ended()
			return err
		}
	}
	if m.dst != nil && m.dst.typ == remote.Dir {
		if err := t.store.Rmdir(ctx, to); err != nil && !remote.Is(err, remote.NotExist) {
			m.ended()
			t.doubtAfter(err, m.to)
			return err
		}
	}
	err := t.store.Rename(ctx, from, to)
	if remote.Is(err, remote.NoReplace) {
		if m.dst == nil { // it was made in this moment
			m.ended()
			return m.busy(to)
		}
		err = t.replaceByBackup(ctx, from, to)
	}
	if remote.Is(err, remote.NotExist) && t.lacks(ctx, m.src, from) {
		if err = m.local(); err == nil {
			t.mu.Lock()
			t.noteGoneLocked(m.from, m.name) // listings may still have what somebody removed
			t.mu.Unlock()
		}
		m.ended()
		return err
	}
	if remote.Is(err, remote.NotExist) && m.src.owedNow() { // of what is owed here the server's word is none
		err = &remote.Error{Op: "rename", Path: from, Kind: remote.Temporary, Text: "the server does not have it under this name now", Err: err}
	}
	switch {
	case err == nil:
		m.relink()
	case m.isRecorded() && undecided(err):
		t.doubtAfter(err, m.from, m.to)
		m.settleLater(was, dstChanges)
		return err
	default:
		t.doubtAfter(err, m.from, m.to)
	}
	m.ended()
	return err
}

// settleLater finds out in the background whether m happened. Nothing that it concerns is
// published before, and if the tree closes first, the intent stays for the next start.
func (m *move) settleLater(was []remote.Version, dstChanges uint64) {
	t := m.tree
	nodes := []*Node{m.src, m.from, m.to}
	if m.dst != nil {
		nodes = append(nodes, m.dst)
	}
	u := t.unsettle(&m.intent, func() error {
		done, err := t.happened(m.intent.From, m.intent.To, was)
		if err != nil {
			return err
		}
		t.mu.Lock()
		newer := m.dstChangesLocked() != dstChanges // what was written to the target since counts
		gone := m.src.removed || m.to.removed
		t.mu.Unlock()
		if done && !newer && !gone {
			m.relink()
		}
		m.ended()
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, n := range nodes {
			t.unrefLocked(n)
		}
		return nil
	})
	t.mu.Lock()
	m.doubt = u
	for _, n := range nodes {
		n.refs++
	}
	t.mu.Unlock()
	m.thaw()
	t.spawn(u.run)
}

// dstChangesLocked tells whether what is replaced was written to meanwhile.
func (m *move) dstChangesLocked() uint64 {
	if m.dst == nil || !m.dst.owedLocked() {
		return 0
	}
	return m.dst.file.changes
}

func (m *move) ended() {
	m.recording.Lock()
	m.ending = true
	recorded := m.recorded
	m.recording.Unlock()
	if recorded {
		if err := m.tree.spool.DropIntent(m.intent.Seq); err != nil {
			m.tree.cfg.Log.Warn("cannot drop the record of a finished rename", "err", err)
		}
	}
	m.release()
}
