package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// Progress of a Sync.
type Progress struct {
	Files, FilesDone int   // of those owed when it began
	Bytes, BytesDone int64 // including what is under way
	Parked           int
	Online           bool
}

// Outcome of a Sync.
type Outcome int

const (
	AllThere Outcome = iota
	StillOwed
	SomeParked
)

// Sync publishes what is owed under path ("/" for everything; a file that is open is
// published as it stands) and waits for it, or for ctx, calling report about twice a
// second. Parked files make it SomeParked, and do not make it wait.
func (t *Tree) Sync(ctx context.Context, path string, report func(Progress)) (Outcome, error) {
	return t.sync(ctx, path, true, report)
}

// Drain is Sync of everything that is closed. A file that a program still has open
// for writing is left alone, not asked for and not waited for: what comes before the
// end of a mount must not publish half of a file that is being copied.
func (t *Tree) Drain(ctx context.Context, report func(Progress)) (Outcome, error) {
	return t.sync(ctx, "/", false, report)
}

func (t *Tree) sync(ctx context.Context, path string, open bool, report func(Progress)) (Outcome, error) {
	if err := t.wait(ctx, "sync", nil); err != nil {
		return StillOwed, err
	}
	type goal struct {
		changes uint64
		size    int64
	}
	goals := map[*File]goal{}
	var p Progress
	t.mu.Lock()
	top := t.findLocked(path)
	if top != nil {
		top.eachOwedLocked(func(f *File) {
			if !open && f.writers > 0 {
				return
			}
			goals[f] = goal{f.changes, f.size}
			p.Files++
			p.Bytes += f.size
			if f.parked == nil && !f.interrupted {
				t.hurryLocked(f, f.changes)
			}
		})
	}
	t.mu.Unlock()
	if top == nil {
		return AllThere, nil // nothing is known there, so nothing is owed
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		t.mu.Lock()
		p.FilesDone, p.BytesDone, p.Parked = 0, 0, 0
		waiting := 0
		for f, g := range goals {
			switch {
			case !f.owed || f.published >= g.changes || f.node.removed:
				p.FilesDone++
				p.BytesDone += g.size
			case f.parked != nil || f.interrupted:
				p.Parked++
			case !open && f.writers > 0: // opened again meanwhile
				p.Files--
				p.Bytes -= g.size
				delete(goals, f)
			default:
				waiting++
				f.want = max(f.want, g.changes)
				p.BytesDone += min(f.sentBytes.Load(), g.size)
			}
		}
		for n := range t.owedDirs {
			if !n.withinLocked(top) || n.owed > 0 {
				continue
			}
			if u := t.concerningLocked(n.pathLocked()); u != nil && u.refusedLocked() {
				p.Parked++
			} else {
				waiting++
			}
		}
		changed := t.changed
		t.mu.Unlock()
		p.Online = t.online()
		report(p)
		switch {
		case waiting == 0 && p.Parked > 0:
			return SomeParked, nil
		case waiting == 0:
			return AllThere, nil
		}
		select {
		case <-changed:
			select { // many end at once: one report for all
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		case <-tick.C:
		case <-ctx.Done():
			return StillOwed, nil
		case <-t.ctx.Done():
			return StillOwed, &remote.Error{Op: "sync", Path: path, Kind: remote.Canceled, Text: "unmounting"}
		}
	}
}

func (t *Tree) online() bool {
	if h, ok := t.store.(health); ok {
		up, _, _ := h.Health()
		return up
	}
	return true
}
