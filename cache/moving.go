package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// While a rename is on its way nobody can say under which of the two names the server
// has what is moved, and what lies below it: an answer that it is not there may be
// one to a question about the wrong name. Whoever gets such an answer waits for the
// rename to end, and asks again.

// begin makes m known until it is released.
func (m *move) begin() {
	t, release := m.tree, m.release
	m.over = make(chan struct{})
	t.mu.Lock()
	t.moves[m] = struct{}{}
	t.mu.Unlock()
	m.release = func() {
		t.mu.Lock()
		delete(t.moves, m)
		close(m.over)
		t.mu.Unlock()
		release()
	}
}

// movingLocked returns what is closed at the end of a rename that concerns name in dir,
// or dir itself if name is empty; nil if there is none.
func (t *Tree) movingLocked(dir *Node, name string) <-chan struct{} {
	for m := range t.moves {
		if dir.withinLocked(m.src) || m.dst != nil && dir.withinLocked(m.dst) || m.concerns(dir, name) {
			return m.over
		}
	}
	return nil
}

func (m *move) concerns(dir *Node, name string) bool {
	return dir == m.from && name == m.name || dir == m.to && name == m.newName
}

// nameMovingLocked says that name in dir is just being renamed, or replaced by a rename.
func (t *Tree) nameMovingLocked(dir *Node, name string) bool {
	for m := range t.moves {
		if m.concerns(dir, name) {
			return true
		}
	}
	return false
}

// afterMove waits for the end of a rename.
func (t *Tree) afterMove(ctx context.Context, over <-chan struct{}, op, path string) error {
	timer := time.NewTimer(t.cfg.Timeout)
	defer timer.Stop()
	kind := remote.Timeout
	select {
	case <-over:
		return nil
	case <-timer.C:
	case <-t.ctx.Done():
		kind = remote.Canceled
	case <-ctx.Done():
		kind = remote.Canceled
	}
	return &remote.Error{Op: op, Path: path, Kind: kind, Text: "waiting for a rename to end"}
}
