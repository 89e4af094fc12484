package cache

import (
	"context"
	"path/filepath"
	"time"

	"ftpfs/cache/overlay"
	"ftpfs/cache/remote"
)

// What was set here and the server cannot keep lies over what the server tells, until the
// server's file is another: its size, time or unique id. The entries of listings have it
// while they are known, the table over evictions and restarts. Of a directory the time is
// kept until it has another on the server than at the first listing after it was set,
// and a mode until the server tells another.

func newOverlay(cfg Config) *overlay.Table {
	return overlay.New(filepath.Join(cfg.StateDir, "overlay"), max(1000, cfg.MaxEntries/2))
}

func (t *Tree) loadOverlay() {
	t.mu.Lock()
	torn, err := t.overlay.Load()
	t.mu.Unlock()
	if torn > 0 || err != nil {
		t.cfg.Log.Warn("some times and modes that an earlier run kept for the server cannot be read; the server's show", "lines", torn, "err", err)
	}
}

// keepLocked takes down what of e, as name in dir is known from now on, the server has not.
func (t *Tree) keepLocked(dir *Node, name string, e *entry) {
	if e.flags&(shownSet|modeSet) == 0 {
		if t.overlay.Len() > 0 {
			t.overlay.Drop(dir.pathLocked(), name)
		}
		return
	}
	in := dir.pathLocked()
	a := overlay.Attr{Dir: e.typ == remote.Dir, Over: e.version(), Under: -1,
		HasMTime: e.flags&shownSet != 0, MTime: e.shown(), HasMode: e.flags&modeSet != 0, Mode: e.mode}
	if a.Dir {
		a.Over.Size = -1
	}
	if e.flags&guessed != 0 {
		a.Over.MGrain = 0
	}
	if old, ok := t.overlay.Get(in, name); ok && old.Dir == a.Dir && (a.Dir || !old.Over.Differs(a.Over)) {
		a.Under = old.Under
	}
	t.overlay.Set(in, name, a)
	if !a.Dir && a.Over.MGrain == 0 {
		t.lookSoonLocked(dir)
	}
}

// overlaidLocked lays over e, which is made from what the server told of name in directory
// in, what was set here, if it still is what that was set for.
func (t *Tree) overlaidLocked(in, name string, told, e *entry) {
	a, ok := t.overlay.Get(in, name)
	if !ok {
		return
	}
	now := told.version()
	switch told.typ {
	case remote.File:
		ok = !a.Dir && !a.Over.Differs(now)
	case remote.Dir:
		ok = a.Dir
		now.Size = -1
		a.HasMTime = a.HasMTime && !a.Over.Differs(now)
	default:
		ok = false
	}
	if !ok {
		a.HasMTime, a.HasMode = false, false
	}
	if told.flags&hasMode != 0 {
		a.HasMode = a.HasMode && (a.Under < 0 || a.Under == int32(told.mode))
		a.Under = int32(told.mode)
	}
	if now.MGrain > 0 && (a.Over.MGrain == 0 || now.MGrain < a.Over.MGrain) {
		a.Over.MTime, a.Over.MGrain = now.MTime, now.MGrain
	}
	if a.Over.Unique == "" {
		a.Over.Unique = now.Unique
	}
	t.overlay.Set(in, name, a)
	switch {
	case a.HasMTime:
		e.setShown(a.MTime)
	default:
		e.flags &^= shownSet
	}
	switch {
	case a.HasMode:
		e.showMode(uint32(a.Mode))
	case e.flags&modeSet != 0:
		e.mode, e.flags = told.mode, e.flags&^(modeSet|hasMode)|told.flags&hasMode
	}
}

// unlistedOverlaysLocked forgets what was set for names that the server has not any more.
func (t *Tree) unlistedOverlaysLocked(dir *Node, in string, f *fetch, l *listing) {
	for _, name := range t.overlay.Names(in) {
		_, there := l.ents.get(name)
		_, ours := f.changes[name]
		if k := dir.kid(name); !there && !ours && (k == nil || !k.anyOwedLocked()) {
			t.overlay.Cut(in, name)
		}
	}
}

// dropTimeLocked: dir has another time on the server, by what we did in it.
func (t *Tree) dropTimeLocked(dir *Node) {
	if t.overlay.Len() == 0 || dir.parent == nil {
		return
	}
	in := dir.parent.pathLocked()
	if a, ok := t.overlay.Get(in, dir.name); ok {
		a.HasMTime = false
		t.overlay.Set(in, dir.name, a)
	}
}

// saveOverlay brings the table's file up to date. It may be called with file.rec held.
func (t *Tree) saveOverlay() {
	t.overlayDisk.Lock()
	defer t.overlayDisk.Unlock()
	t.mu.Lock()
	write := t.overlay.Save()
	t.mu.Unlock()
	if write == nil {
		return
	}
	t.overlaySaved = true
	if err := write(); err != nil {
		t.mu.Lock()
		t.overlay.Failed()
		t.mu.Unlock()
		t.once("overlay", "cannot write down times and modes that the server cannot keep; they are kept here while the mount lives", err)
	}
}

// syncOverlay has the table's file survive a power cut.
func (t *Tree) syncOverlay() {
	t.saveOverlay()
	t.overlayDisk.Lock()
	defer t.overlayDisk.Unlock()
	if !t.overlaySaved {
		return
	}
	t.overlaySaved = false
	if err := t.overlay.Rest(); err != nil {
		t.cfg.Log.Debug("cannot sync the times that the server cannot keep", "err", err)
	}
}

// Where the server tells the time of a file in listings alone, what was published has none
// until the next one, and could be any other file of its size after a restart. So a listing
// is made soon, if nobody else makes one.

const lookAfter = 3 * time.Second

func (t *Tree) lookSoonLocked(dir *Node) {
	if !t.unlooked[dir] {
		t.unlooked[dir] = true
		dir.refs++
	}
	t.lookQueue.Schedule(dir, time.Now().Add(lookAfter))
}

// lookAt lists dir once nothing is owed in it.
func (t *Tree) lookAt(ctx context.Context, dir *Node) {
	t.mu.Lock()
	if !t.unlooked[dir] || dir.owed > 0 && !dir.removed { // the publication brings it here again
		t.mu.Unlock()
		return
	}
	removed := dir.removed
	if !removed {
		t.doubtLocked(dir)
	}
	t.mu.Unlock()
	if !removed && t.list(ctx, dir) == nil { // which may have been under way already
		_ = t.list(ctx, dir) // else, and if this fails, the next listing will do
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unlooked[dir] {
		delete(t.unlooked, dir)
		t.unrefLocked(dir)
	}
}

// LookNow makes the listings that are still to be made, so that the times set here of what
// was published outlive the Tree. While the server is down, or when ctx ends, it leaves them.
func (t *Tree) LookNow(ctx context.Context) {
	t.mu.Lock()
	var dirs []*Node
	for dir := range t.unlooked {
		dirs = append(dirs, dir)
	}
	t.mu.Unlock()
	for _, dir := range dirs {
		if ctx.Err() != nil || !t.online() {
			return
		}
		t.lookAt(ctx, dir)
	}
}
