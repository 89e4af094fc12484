package cache

import (
	"path"
	"slices"
	"strings"
	"sync"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// takeUpIntents makes known what was under way on the server when an earlier daemon ended.
// recs are the records found at start.
func (t *Tree) takeUpIntents(intents []spool.Intent, recs []spool.Record) (all []*unsettled) {
	for i := range intents {
		in := &intents[i]
		look := t.settleIntent(in, recs)
		if isTemp(path.Base(in.To)) {
			look = func() error { return t.settleReplacement(in) }
		}
		u := t.unsettle(in, look)
		for _, b := range all {
			if u.touches(b.intent.From) || u.touches(b.intent.To) {
				u.before = append(u.before, b)
			}
		}
		all = append(all, u)
	}
	return all
}

// settleIntent finds out whether a rename that was under way happened, and brings the
// records in line.
func (t *Tree) settleIntent(in *spool.Intent, recs []spool.Record) func() error {
	owedFrom := sync.OnceValue(func() []remote.Version { return t.owedFrom(in) }) // what was settled before has its part in it
	return func() error {
		done, err := t.happened(in.From, in.To, owedFrom())
		if err != nil {
			return err
		}
		if done {
			t.replaced(in, recs)
			t.renamed(in)
		}
		if err := t.spool.DropIntent(in.Seq); err != nil {
			t.cfg.Log.Warn("cannot drop the record of a settled rename", "err", err)
		}
		return nil
	}
}

// owedFrom is what the server may have had under in.From before the rename, as far as
// what is owed there tells.
func (t *Tree) owedFrom(in *spool.Intent) []remote.Version {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.findLocked(in.From)
	if in.Dir || n == nil || n.file == nil || !n.file.owed {
		return nil
	}
	return n.onServerLocked()
}

// replaced gives up what was owed under in.To before the rename, which put another
// file in its place: published, it would come back as a conflict with that. It is kept
// where ftpfs discard keeps things, as only looking told what the rename had come to.
func (t *Tree) replaced(in *spool.Intent, recs []spool.Record) {
	i := slices.IndexFunc(recs, func(r spool.Record) bool { return r.Path == in.To && !r.Dir })
	if i < 0 || recs[i].Seq > in.Seq {
		return
	}
	t.mu.Lock()
	n := t.findLocked(in.To)
	if n == nil || n.file == nil || !n.file.owed || n.file.id != recs[i].ID {
		t.mu.Unlock()
		return
	}
	f := n.file
	t.mu.Unlock()
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	touched := f.changes > 1 || !f.owed // written again since the start: kept beside
	t.mu.Unlock()
	if touched {
		return
	}
	kept, err := t.spool.Discard(recs[i].ID)
	if err != nil {
		t.cfg.Log.Warn("cannot give up a file that was renamed over; it will be kept beside the other", "path", in.To, "err", err)
		return
	}
	t.cfg.Log.Info("what was owed had been renamed over", "path", in.To, "by", in.From, "kept", kept)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeTempLocked(f) // which nobody sends to: it waits for this
	f.cleanNowLocked()
	if f.cur != nil {
		f.staleLocked()
	}
	t.doubtLocked(n.parent)
	t.detachLocked(n)
}

// renamed gives what is owed at or below in.From its new path.
func (t *Tree) renamed(in *spool.Intent) {
	t.mu.Lock()
	typ := remote.File
	if in.Dir {
		typ = remote.Dir
	}
	src := t.findLocked(in.From)
	if src == nil || src.typ != typ || !in.Dir && src.owedLocked() && src.file.base == nil && src.file.sent == nil {
		t.mu.Unlock()
		return // what was owed there is not any more, or was made since
	}
	to := t.root
	if dir := path.Dir(in.To); dir != "/" {
		to = t.nodeAtLocked(dir, remote.Dir)
	}
	if to == nil {
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	t.mergeInto(src, to, path.Base(in.To))
}

// findLocked returns the live node at a mount path, or nil.
func (t *Tree) findLocked(p string) *Node {
	n := t.root
	for name := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
		if name == "" {
			continue
		}
		if n = n.kid(name); n == nil {
			return nil
		}
	}
	return n
}
