package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// While a rename is on its way nobody can say under which of the two names the server
// has what is moved, and what lies below it: an answer that it is not there may be
// one to a question about the wrong name. Whoever gets such an answer waits for the
// rename to end, and asks again.

// begin makes m known until it is released. What is owed at that moment depends on its
// record.
func (m *move) begin() (from, to string, owes bool) {
	t := m.tree
	m.over = make(chan struct{})
	t.mu.Lock()
	from, to = m.src.pathLocked(), join(m.to.pathLocked(), m.newName)
	owes = m.src.anyOwedLocked() || m.dst != nil && m.dst.anyOwedLocked() ||
		m.src.typ == remote.Dir && len(t.uploadsInLocked(m.src)) > 0
	m.intent = spool.Intent{From: from, To: to, Dir: m.src.typ == remote.Dir, At: time.Now()}
	t.moves[m] = struct{}{}
	t.mu.Unlock()
	return from, to, owes
}

// release is the end of m, also of one that never began.
func (m *move) release() {
	t := m.tree
	if m.over != nil {
		t.mu.Lock()
		delete(t.moves, m)
		close(m.over)
		t.mu.Unlock()
	}
	m.thaw()
}

// record puts on disk what is about to be renamed, so that a start after a crash finds
// out under which name the server has what is owed. Once is enough, and after the end
// of the rename records have the new names.
func (m *move) record() error {
	m.recording.Lock()
	defer m.recording.Unlock()
	if m.recorded || m.ending {
		return nil
	}
	err := m.tree.spool.PutIntent(&m.intent)
	m.recorded = err == nil
	return err
}

func (m *move) isRecorded() bool {
	m.recording.Lock()
	defer m.recording.Unlock()
	return m.recorded
}

// recordMoves records the renames under way of n, and of what it lies in: n becomes
// owed just now, and before, nothing hung on them.
func (t *Tree) recordMoves(n *Node) error {
	var over []*move
	t.mu.Lock()
	for m := range t.moves {
		if n.withinLocked(m.src) || m.dst != nil && n.withinLocked(m.dst) {
			over = append(over, m)
		}
	}
	t.mu.Unlock()
	for _, m := range over {
		if err := m.record(); err != nil {
			return err
		}
	}
	return nil
}

// movingLocked returns a rename under way that concerns name in dir, or dir itself if name
// is empty; nil if there is none.
func (t *Tree) movingLocked(dir *Node, name string) *move {
	for m := range t.moves {
		if dir.withinLocked(m.src) || m.dst != nil && dir.withinLocked(m.dst) || m.concerns(dir, name) {
			return m
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

// afterMove waits for the end of a rename, but not for one of which the server has not
// told, when asked, whether it happened.
func (t *Tree) afterMove(ctx context.Context, m *move, op, path string) error {
	t.mu.Lock()
	if u := m.doubt; u != nil && u.err != nil {
		defer t.mu.Unlock()
		return u.errorLocked(op, path)
	}
	t.mu.Unlock()
	timer := time.NewTimer(t.cfg.Timeout)
	defer timer.Stop()
	kind := remote.Timeout
	select {
	case <-m.over:
		return nil
	case <-timer.C:
	case <-t.ctx.Done():
		kind = remote.Canceled
	case <-ctx.Done():
		kind = remote.Canceled
	}
	return &remote.Error{Op: op, Path: path, Kind: kind, Text: "waiting for a rename to end"}
}
