package cache

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// load reads the spool back and puts what is owed into the tree. What hangs on a rename
// whose outcome is unknown is published once that is settled, the rest at once.
func (t *Tree) load() {
	t.loadOverlay()
	recs, intents, err := t.spool.Load(t.ctx)
	if err != nil {
		t.cfg.Log.Error("cannot read the spool; what it owes stays there", "err", err)
	}
	t.mu.Lock()
	t.loadErr = err
	t.mu.Unlock()
	was := untangle(recs, time.Now())
	var files []*File
	var temps []string
	for i := range recs {
		if recs[i].Dir {
			continue
		}
		if recs[i].Temp != "" && !recs[i].Resume && recs[i].Gone == 0 {
			temps = append(temps, recs[i].Temp)
		}
		f, err := t.restore(&recs[i])
		if err != nil {
			t.cfg.Log.Error("cannot take up an owed file; it stays in the spool", "path", recs[i].Path, "err", err)
			continue
		}
		if f == nil {
			continue
		}
		files = append(files, f)
		if p, beside := was[f.id]; beside {
			t.putBeside(f, p)
		}
	}
	t.restoreDirTimes(recs)
	if err == nil && !t.keepMarks {
		t.dropOldMarks()
		t.dropOldSent()
	}
	unsettled := t.takeUpIntents(intents, recs)
	close(t.loaded)
	if len(files) > 0 {
		t.cfg.Log.Info("taking up what is owed to the server", "files", len(files))
	}
	for _, u := range unsettled {
		t.spawn(u.run)
	}
	t.spawn(func() { t.removeOld(temps) })
	now := time.Now()
	for _, f := range files {
		t.queue.Schedule(f, now)
	}
	t.mu.Lock()
	for n := range t.owedDirs {
		t.dirDoneLocked(n)
	}
	t.mu.Unlock()
}

// restore puts one file's record into the tree; nil if nothing is owed of it.
func (t *Tree) restore(r *spool.Record) (*File, error) {
	marked := false
	if r.Interrupted {
		for _, w := range t.readMarks(r.ID) { // written since the record's last update
			r.Have.Add(w.Off, w.End)
			r.Dirty.Add(w.Off, w.End)
			r.Size = max(r.Size, w.End)
			marked = true
		}
	}
	if r.Interrupted && r.Base != nil && r.Dirty.Empty() && r.Size == r.Base.Size {
		return nil, t.spool.Drop(r.ID) // opened for writing, and nothing was written
	}
	data, err := t.spool.OpenData(r.ID)
	if err != nil {
		return nil, err
	}
	st, err := data.Stat()
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	size, have := r.Size, r.Have
	if r.Interrupted && r.Base == nil && st.Size() > size {
		size = st.Size() // written since the record's last update
		have.Add(r.Gone, size)
	}
	if size > st.Size() {
		if err := data.Truncate(size); err != nil {
			return nil, errors.Join(err, data.Close())
		}
	}
	if err := data.Close(); err != nil { // opened again when it is used
		return nil, err
	}
	if marked {
		if err := t.spool.Put(r); err != nil {
			t.keepMarks = true
			t.cfg.Log.Warn("cannot note in its record what an interrupted file holds; its marks are kept", "path", r.Path, "err", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodeAtLocked(r.Path, remote.File)
	if n == nil || n.owedLocked() {
		return nil, errors.New("its path is taken by another owed file") // untangle does not leave any
	}
	f := n.fileLocked()
	f.owedNowLocked()
	f.id, f.size, f.base, f.created = r.ID, size, r.Base, r.Created
	f.mode, f.modeKept = r.Mode, r.ModeKept
	f.attempts, f.sent, f.interrupted = r.Attempts, r.Sent, r.Interrupted
	f.mtime = wholeSecond(st.ModTime())
	if r.MTime != nil {
		f.mtime = *r.MTime
	}
	if r.LastError != "" {
		f.failed = errors.New(r.LastError)
	}
	if r.Parked {
		f.parked = f.failed
		if f.parked == nil {
			f.parked = errors.New("refused by the server")
		}
	}
	f.gen, f.changes, f.saved, f.savedOpen = 1, 1, 1, r.Open && !r.Interrupted
	f.cur = t.restoredContent(f, r, size, have)
	t.takeUpTempLocked(f, r, size)
	f.tail = r.Tail
	f.reserved = have.Len()
	if sys, ok := st.Sys().(*syscall.Stat_t); ok { // what is had of a sparse file is mostly holes
		f.reserved = min(f.reserved, sys.Blocks*512)
	}
	if r.Base != nil && r.Gone == 0 && !f.cur.lean {
		f.reserved = max(f.reserved, min(r.Base.Size, size))
	}
	t.space.take(f.reserved)
	if n.ent.mtime == 0 {
		n.ent.mtime, n.ent.grain, n.ent.size = f.mtime.Unix(), grainNone, size
	}
	return f, nil
}

// restoreDirTimes takes up the times that are owed of directories, but of those whose name
// is a file's by now.
func (t *Tree) restoreDirTimes(recs []spool.Record) {
	for i := range recs {
		r := &recs[i]
		if !r.Dir {
			continue
		}
		t.mu.Lock()
		n := t.nodeAtLocked(r.Path, remote.Dir)
		if n != nil && r.MTime != nil {
			n.owesAt, n.owesID = r.MTime, r.ID
			t.owedDirs[n] = struct{}{}
		}
		t.mu.Unlock()
		if n != nil && r.MTime != nil {
			continue
		}
		if err := t.spool.Drop(r.ID); err != nil {
			t.cfg.Log.Warn("cannot drop the record of a directory's time", "path", r.Path, "err", err)
		}
	}
}

func (t *Tree) restoredContent(f *File, r *spool.Record, size int64, have ranges.Set) *content {
	v := remote.Version{Size: 0}
	if r.Base != nil {
		v = *r.Base
	}
	c := newContent(f, v)
	c.shut, c.spooled, c.size = r.ID, true, size
	c.have, c.dirty = have, r.Dirty
	if r.Base != nil {
		c.base = min(r.Base.Size, size)
		d := r.Dirty.Ranges()
		c.lean = c.base == r.Base.Size && c.base > t.cfg.leanAbove && len(d) > 0 && d[0].Off >= c.base
	}
	if r.Tail != nil {
		c.growsLocked(r.ID, r.Tail)
		c.sent, _ = os.Open(c.sentPath) // if there is one
	}
	if r.Gone > 0 {
		c.base, c.gone, c.ours = 0, r.Gone, true
	}
	return c
}

// nodeAtLocked makes the nodes along a mount path. The directories are as the
// server last had them; whether they still are turns out when somebody asks.
func (t *Tree) nodeAtLocked(p string, typ remote.EntryType) *Node {
	n := t.root
	if p == "/" {
		return n
	}
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, name := range parts {
		e := entry{typ: remote.Dir, size: -1}
		if i == len(parts)-1 {
			e.typ = typ
		}
		if k := n.kid(name); k != nil && k.typ != e.typ {
			return nil
		}
		n = t.nodeLocked(n, name, e, time.Time{})
	}
	return n
}
