package cache

import (
	"slices"
	"time"

	"ftpfs/cache/remote"
)

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
