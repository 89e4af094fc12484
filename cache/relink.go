package cache

import (
	"context"

	"ftpfs/cache/remote"
)

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
			f.mode, f.modeKept = &mode, true
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

// lacks says whether n is owed and the server has nothing under its name: a
// publication that a restart left in doubt had not happened, or somebody removed the
// file there. Then ours is like one that was never sent, if all of it is here; of a patch
// to what is gone the rest is nowhere, and must not be looked for in another file.
func (t *Tree) lacks(ctx context.Context, n *Node, path string) bool {
	if n.file == nil || !n.file.isOwed() {
		return false
	}
	if _, err := t.store.Stat(ctx, path); !remote.Is(err, remote.NotExist) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.file.newbornLocked()
}

// newbornLocked makes f like a file that was never sent, if all of it is here.
func (f *File) newbornLocked() bool {
	if c := f.cur; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.wholeLocked() || !c.unsure.Empty() {
			return false
		}
		c.tailOverLocked()()
	}
	f.base, f.sent, f.tail = nil, nil, nil
	return true
}

func (n *Node) owedNow() bool { return n.file != nil && n.file.isOwed() }

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
	for !m.relinkOver() {
		if m.keepNewer() {
			return
		}
	}
}

// relinkOver is relink where nothing newer is under the new name; else it does nothing.
func (m *move) relinkOver() bool {
	t := m.tree
	var saves []*File
	var dropped *File
	defer m.lockRecords()()
	t.mu.Lock()
	if m.newerLocked() != nil {
		t.mu.Unlock()
		return false
	}
	if m.dst != nil {
		if f := m.dst.file; f != nil && f.owed {
			dropped = f
		}
		if dropped == nil {
			t.detachLocked(m.dst)
		}
	}
	if k := m.to.kid(m.newName); k != nil && k != m.dst && k != m.src {
		t.lostLocked(k) // found by somebody who asked the server before we knew
	}
	t.overlay.Move(m.from.pathLocked(), m.name, m.to.pathLocked(), m.newName)
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
	t.saveOverlay()
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
	return true
}

// newerLocked is what has been written under the new name since the server has it, before
// that was known here: by somebody who found it there, or into a directory that was
// replaced. Of a file that was replaced nothing is newer.
func (m *move) newerLocked() *Node {
	k := m.to.kid(m.newName)
	if k == nil || k == m.src || k == m.dst && k.typ == remote.File || !k.anyOwedLocked() {
		return nil
	}
	return k
}

// keepNewer has what is newer keep the new name, if anything is. A directory's content is
// joined to it. A file that is owed itself keeps its old name, and else it is nothing any
// more.
func (m *move) keepNewer() bool {
	t, src := m.tree, m.src
	t.mu.Lock()
	k := m.newerLocked()
	if k == nil {
		t.mu.Unlock()
		return false
	}
	t.doubtLocked(m.from)
	t.doubtLocked(m.to)
	if k.typ == remote.Dir && src.typ == remote.Dir {
		t.mu.Unlock()
		t.mergeInto(src, m.to, m.newName)
		return true
	}
	if !src.anyOwedLocked() {
		t.noteGoneLocked(m.from, m.name)
		t.lostLocked(src)
	}
	t.mu.Unlock()
	return true
}

// mergeInto moves src to name in to. Where both have a directory, the daemon died when
// some of what is owed had its new name on record, or something was written in the other
// since: then what is below moves.
func (t *Tree) mergeInto(src, to *Node, name string) {
	t.mu.Lock()
	dst := to.kid(name)
	if dst == nil || dst.typ != remote.Dir || src.typ != remote.Dir {
		m := &move{tree: t, src: src, from: src.parent, name: src.name, to: to, newName: name}
		t.mu.Unlock()
		m.relink()
		return
	}
	src.refs++
	dst.refs++
	var below []*Node
	for _, k := range src.eachKid() {
		below = append(below, k)
	}
	t.mu.Unlock()
	for _, k := range below {
		t.mergeInto(k, dst, k.name)
	}
	t.mu.Lock()
	if src.owesAt != nil && dst.owesAt == nil {
		at, id := src.owesAt, src.owesID
		src.owesAt, dst.owesAt, dst.owesID = nil, at, id
		delete(t.owedDirs, src)
		t.owedDirs[dst] = struct{}{}
	}
	for f := range t.owed {
		if f.tempDir == src {
			f.setTempLocked(f.temp, dst)
		}
	}
	t.unrefLocked(src)
	t.vanishedLocked(src)
	t.mu.Unlock()
	t.saveDirTimes(dst)
	t.Forget(dst)
}
