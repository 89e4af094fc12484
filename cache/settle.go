package cache

import (
	"fmt"
	"path/filepath"
	"time"
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

// Retry takes up the parked and interrupted files at or below path again, and
// returns how many. Uploads that wait for another attempt are tried now.
func (t *Tree) Retry(path string) (int, error) {
	if err := t.wait(t.ctx, "retry", nil); err != nil {
		return 0, err
	}
	files := t.parkedUnder(path)
	for i, f := range files {
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
	t.queue.Kick() // what waits for another attempt, too
	t.dirQueue.Kick()
	return len(files), nil
}

// Discard gives up the parked and interrupted files at or below path: what the
// server has is the truth again. Their content is moved to the folder kept.
func (t *Tree) Discard(path string) (n int, kept string, err error) {
	if err := t.wait(t.ctx, "discard", nil); err != nil {
		return 0, "", err
	}
	for _, f := range t.parkedUnder(path) {
		to, err := t.discardOne(f)
		if err != nil {
			return n, kept, fmt.Errorf("discard %s: %w", f.path(), err)
		}
		if to != "" {
			n, kept = n+1, filepath.Dir(to)
		}
	}
	return n, kept, nil
}

func (t *Tree) discardOne(f *File) (kept string, err error) {
	if err := t.freezeFor(t.ctx, f); err != nil {
		return "", err
	}
	defer f.thaw()
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	if !f.owed || f.parked == nil && !f.interrupted {
		t.mu.Unlock()
		return "", nil // settled meanwhile
	}
	id := f.id
	t.mu.Unlock()
	if kept, err = t.spool.Discard(id); err != nil {
		return "", err
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
	return kept, nil
}
