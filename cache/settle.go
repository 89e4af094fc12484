package cache

import (
	"fmt"
	"path"
	"path/filepath"
	"time"

	"ftpfs/cache/remote"
)

func (t *Tree) spoolDir() string { return filepath.Join(t.cfg.StateDir, "spool") }

// parkedUnder returns the parked and interrupted files at or below path.
func (t *Tree) parkedUnder(path string) []*File {
	t.mu.Lock()
	defer t.mu.Unlock()
	var files []*File
	if top := t.findLocked(path); top != nil {
		top.eachOwedLocked(func(f *File) {
			if f.parked != nil || f.interrupted {
				files = append(files, f)
			}
		})
	}
	return files
}

// Retry takes up the parked and interrupted files at or below path again, tries those
// now that wait after a failure, and returns how many there are of both.
func (t *Tree) Retry(path string) (int, error) {
	if err := t.wait(t.ctx, "retry", nil); err != nil {
		return 0, err
	}
	files := t.parkedUnder(path)
	waiting := t.pausingUnder(path)
	for i, f := range files {
		if t.isHeld(f) { // it has not been refused itself
			continue
		}
		f.rec.Lock()
		t.mu.Lock()
		f.parked, f.interrupted, f.failed, f.lost, f.attempts, f.retryAt = nil, false, nil, nil, 0, time.Time{}
		f.changes++
		open := f.unflushed > 0
		t.mu.Unlock()
		err := f.save(open, false)
		f.rec.Unlock()
		if err != nil {
			return i, fmt.Errorf("retry %s: %w", f.path(), err)
		}
		t.schedule(f, 0)
	}
	t.kick() // what waits for another attempt, too
	t.dirQueue.Kick()
	return len(files) + waiting, nil
}

// isHeld says that f is parked for the sake of something else, which the server is asked
// about anew.
func (t *Tree) isHeld(f *File) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return heldBy(f.parked) != nil
}

// pausingUnder counts the files at or below path whose last upload failed, and which will
// be tried again by themselves.
func (t *Tree) pausingUnder(path string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if top := t.findLocked(path); top != nil {
		top.eachOwedLocked(func(f *File) {
			if f.parked == nil && !f.interrupted && f.failed != nil {
				n++
			}
		})
	}
	return n
}

// Discard gives up the parked and interrupted files at or below path: what the
// server has is the truth again. Their content is moved to the folder that kept names.
// Of a file that was cut while it passed through the spool, the beginning gets a name
// beside it on the server, which kept says too; where that fails nothing is given up.
func (t *Tree) Discard(path string) (n int, kept string, err error) {
	if err := t.wait(t.ctx, "discard", nil); err != nil {
		return 0, "", err
	}
	cut := ""
	for _, f := range t.parkedUnder(path) {
		to, part, err := t.discardOne(f)
		if err != nil {
			return n, kept, fmt.Errorf("discard %s: %w", f.path(), err)
		}
		if to != "" {
			n, kept = n+1, filepath.Dir(to)
		}
		cut += part
	}
	return n, kept + cut, nil
}

// keepCut gives what the server has of a file that passes through a name to be seen,
// and says which. f is frozen.
func (t *Tree) keepCut(f *File) (string, error) {
	t.mu.Lock()
	temp, p := f.tempPathLocked(), f.node.pathLocked()
	needed := f.holdsOnlyThereLocked() && temp != "" && (f.parked != nil || f.interrupted)
	var gone int64
	if needed {
		f.cur.mu.Lock()
		gone = f.cur.gone
		f.cur.mu.Unlock()
	}
	t.mu.Unlock()
	if !needed {
		return "", nil
	}
	if err := f.waits(); err != nil { // it may be elsewhere
		return "", err
	}
	e, err := t.store.Stat(t.ctx, temp)
	if surelyGone(err) {
		return "", nil
	}
	for n := 0; err == nil && n < conflictTries; n++ {
		to := path.Join(path.Dir(p), besideName(path.Base(p), "cut", time.Now(), n))
		_, err = t.store.Publish(t.ctx, temp, remote.Publish{Path: to, Size: e.Size})
		if err == nil {
			part := fmt.Sprintf("; the copy lacks the first %d bytes of %s, which are on the server in %s", gone, p, to)
			t.cfg.Log.Warn("a file that was cut is given up; its beginning is kept on the server", "path", p, "kept", to)
			return part, nil
		}
		if nameTaken(err) && n+1 < conflictTries {
			err = nil
		}
	}
	return "", fmt.Errorf("keep its beginning, which is on the server only, as %s: %w", temp, err)
}

func (t *Tree) discardOne(f *File) (kept, part string, err error) {
	if err := t.freezeFor(t.ctx, f); err != nil {
		return "", "", err
	}
	defer f.thaw()
	if part, err = t.keepCut(f); err != nil {
		return "", "", err
	}
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	if !f.owed || f.parked == nil && !f.interrupted {
		t.mu.Unlock()
		return "", part, nil // settled meanwhile
	}
	id := f.id
	t.mu.Unlock()
	if kept, err = t.spool.Discard(id); err != nil {
		return "", part, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := f.node
	born := f.base == nil
	t.removeTempLocked(f)
	f.cleanNowLocked()
	if f.cur != nil {
		f.staleLocked()
	}
	t.doubtLocked(n.parent)
	if born {
		t.detachLocked(n)
	}
	t.dirDoneLocked(n.parent)
	t.releaseLocked(n)
	return kept, part, nil
}
