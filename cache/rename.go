package cache

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

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
	release  func()        // ends the freeze
	over     chan struct{} // closed at the end; see moving.go
	intent   spool.Intent  // immutable while it is under way, save Seq

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
		m.release = func() { t.gate.Release(gateAll) }
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
	m.release = func() {
		for _, f := range files {
			f.thaw()
		}
	}
	return nil
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
	if m.to.removed || m.to.kids[m.newName] != nil {
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
		err = m.tree.restless("rename", m.tree.PathOf(m.src))
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
// rename fails, and the next one knows. (EBUSY, as the kernel tries again at ESTALE.)
func (m *move) seen(ctx context.Context) error {
	t := m.tree
	if m.dst == nil || m.dst.typ == remote.Dir {
		return nil
	}
	t.mu.Lock()
	owed, known, path := m.dst.owedLocked(), m.dst.ent.version(), m.dst.pathLocked()
	t.mu.Unlock()
	if owed {
		return nil // its own base is looked at when it is published
	}
	now, err := t.store.Stat(ctx, path)
	switch {
	case surelyGone(err):
		return nil
	case err != nil:
		return err
	case now.Type == m.dst.typ && !(now.Type == remote.File && known.Differs(now.Version())):
		return nil
	}
	t.mu.Lock()
	t.doubtLocked(m.to)
	t.mu.Unlock()
	t.cfg.Log.Warn("a file was not renamed over another one that somebody had just changed on the server", "path", path)
	return fmt.Errorf("rename over %s: changed on the server since it was listed: %w", path, syscall.EBUSY)
}

// local renames a file that the server does not know. It adopts the version of what
// it replaces as its base.
func (m *move) local() error {
	t, f := m.tree, m.src.file
	var old *File
	defer m.lockRecords()()
	unadopt := func() {}
	if m.dst != nil && m.dst.file != nil {
		unadopt = f.adoptTail(m.dst.file)
	}
	t.mu.Lock()
	base, sent := f.base, f.sent
	if m.dst != nil {
		if old = m.dst.file; old != nil && old.owed {
			f.base, f.sent = old.base, old.sent // one of the two is there
		} else {
			old = nil
			v := m.dst.ent.version()
			f.base = &v
		}
		if m.dst.ent.flags&hasMode != 0 && f.mode == nil {
			mode := uint32(m.dst.ent.mode)
			f.mode = &mode
		}
	}
	t.moveLocked(m.src, m.to, m.newName)
	parked, failed, attempts := f.parked, f.failed, f.attempts
	retry := parked != nil // perhaps the server only refused the name
	if retry {
		f.parked, f.failed, f.attempts = nil, nil, 0
	}
	open := f.savedOpen
	t.mu.Unlock()
	var err error
	if old == nil {
		err = f.save(open, false)
	} else { // its content may be nowhere else, so ours must be on disk before it goes
		err = f.savePromptly(open)
	}
	if err != nil {
		unadopt()
		t.mu.Lock()
		t.moveLocked(m.src, m.from, m.name)
		if m.dst != nil {
			t.attachLocked(m.dst)
		}
		f.base, f.sent, f.parked, f.failed, f.attempts = base, sent, parked, failed, attempts
		t.mu.Unlock()
		return err
	}
	if old != nil {
		if err := old.dropRecordLocked(func() { t.detachLocked(m.dst) }); err != nil {
			t.cfg.Log.Warn("cannot drop the record of a replaced file; the newer one wins", "err", err)
		}
		t.removeTemp(old)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.dst != nil {
		t.detachLocked(m.dst)
	}
	t.touchDirLocked(m.from)
	t.touchDirLocked(m.to)
	if retry && f.writers == 0 {
		t.schedule(f, t.cfg.PublishDelay)
	}
	return nil
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
		// Nobody knows whether it happened. Nothing below is published before we do,
		// and if the tree closes first, the intent stays for the next start.
		t.doubtAfter(err, m.from, m.to)
		if !t.spawn(func() {
			if done, known := t.settleRename(from, to, was); known {
				t.mu.Lock()
				newer := m.dstChangesLocked() != dstChanges
				t.mu.Unlock()
				if done && !newer { // else what was written to the target since counts
					m.relink()
				}
				m.ended()
			} else {
				m.release()
			}
		}) {
			m.release()
		}
		return err
	default:
		t.doubtAfter(err, m.from, m.to)
	}
	m.ended()
	return err
}

// lacks says whether n is owed and the server has nothing under its name: a
// publication that a restart left in doubt had not happened, or somebody removed the
// file there. Then ours is like one that was never sent.
func (t *Tree) lacks(ctx context.Context, n *Node, path string) bool {
	if n.file == nil || !n.file.isOwed() {
		return false
	}
	if _, err := t.store.Stat(ctx, path); !remote.Is(err, remote.NotExist) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.file.base, n.file.sent, n.file.tail = nil, nil, nil
	if c := n.file.cur; c != nil {
		c.mu.Lock()
		c.tailOverLocked()()
		c.mu.Unlock()
	}
	return true
}

func (n *Node) owedNow() bool { return n.file != nil && n.file.isOwed() }

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

// lockRecords keeps the records of the two files as they are, until unlock. Between the
// new name of the one and the end of the other nobody may write a record of the
// other: of two for one path the later one wins after a crash.
func (m *move) lockRecords() (unlock func()) {
	var files []*File
	m.tree.mu.Lock()
	for _, n := range []*Node{m.src, m.dst} {
		if n != nil && n.file != nil {
			files = append(files, n.file)
		}
	}
	m.tree.mu.Unlock()
	if len(files) == 2 && files[1].node.ino < files[0].node.ino {
		files[0], files[1] = files[1], files[0] // one order for all
	}
	for _, f := range files {
		f.rec.Lock()
	}
	return func() {
		for _, f := range files {
			f.rec.Unlock()
		}
	}
}

// fewRecords are synced one by one; more of them together.
const fewRecords = 16

// relink takes in that the server has renamed.
func (m *move) relink() {
	t := m.tree
	var saves []*File
	var dropped *File
	defer m.lockRecords()()
	t.mu.Lock()
	if m.dst != nil {
		if f := m.dst.file; f != nil && f.owed {
			dropped = f
		}
		if dropped == nil {
			t.detachLocked(m.dst)
		}
	}
	if k := m.to.kids[m.newName]; k != nil && k != m.dst && k != m.src {
		t.detachLocked(k) // found by somebody who asked the server before we knew
	}
	t.noteGoneLocked(m.from, m.name)
	t.moveLocked(m.src, m.to, m.newName)
	t.noteLocked(m.to, m.newName, m.src.ent)
	t.touchDirLocked(m.from)
	t.touchDirLocked(m.to)
	m.src.eachOwedLocked(func(f *File) { saves = append(saves, f) })
	if m.src.typ == remote.Dir {
		saves = append(saves, t.uploadsInLocked(m.src)...)
	}
	t.mu.Unlock()
	for _, f := range saves {
		if f.node != m.src { // that one is locked
			f.rec.Lock()
		}
		t.mu.Lock()
		open := f.savedOpen
		t.mu.Unlock()
		// The intent ends with the rename, and a power cut must not bring back the old
		// name without it.
		save := f.savePromptly
		if len(saves) > fewRecords {
			save = func(open bool) error { return f.save(open, false) }
		}
		if err := save(open); err != nil {
			t.cfg.Log.Error("cannot record a file's new name; it stays recorded under the old one", "path", f.path(), "err", err)
		}
		if f.node != m.src {
			f.rec.Unlock()
		}
	}
	t.saveDirTimes(m.src)
	if len(saves) > fewRecords {
		if err := t.spool.SyncAll(); err != nil {
			t.cfg.Log.Warn("cannot sync the new names of files; a power cut now would bring back their old ones", "below", t.PathOf(m.src), "err", err)
		}
	}
	if dropped != nil {
		if err := dropped.dropRecordLocked(func() { t.detachLocked(m.dst) }); err != nil {
			t.cfg.Log.Warn("cannot drop the record of a replaced file", "err", err)
		}
	}
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

// dstChangesLocked tells whether what is replaced was written to meanwhile.
func (m *move) dstChangesLocked() uint64 {
	if m.dst == nil || !m.dst.owedLocked() {
		return 0
	}
	return m.dst.file.changes
}

// settleRename looks, until the server answers, whether a rename happened. The names
// alone do not tell: another client may have taken the file away while the target was
// there before. If it is known what the file was, the one at the new name must be it;
// otherwise what is owed keeps its old name, and nothing is lost.
func (t *Tree) settleRename(from, to string, was []remote.Version) (done, known bool) {
	wait, said := time.Second, false
	for {
		_, err := t.store.Stat(t.ctx, from)
		if err == nil {
			return false, true
		}
		if surelyGone(err) {
			var now remote.Entry
			now, err = t.store.Stat(t.ctx, to)
			switch {
			case err == nil && len(was) == 0:
				return true, true
			case err == nil:
				same := func(v remote.Version) bool { return !v.Differs(now.Version()) }
				return now.Type == remote.File && slices.ContainsFunc(was, same), true
			case surelyGone(err):
				return false, true // both gone: someone else; what is owed keeps its old name
			}
		}
		if !said && t.ctx.Err() == nil && !remote.KindOf(err).Offline() {
			said = true
			t.cfg.Log.Error("cannot find out whether a rename happened; what depends on it, after a restart all that is owed, is not published before the server tells",
				"from", from, "to", to, "err", err)
		}
		select {
		case <-t.ctx.Done():
			return false, false
		case <-time.After(wait):
		}
		wait = min(wait*2, 30*time.Second)
	}
}
