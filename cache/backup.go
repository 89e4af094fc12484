package cache

import (
	"context"
	"path"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// Some servers cannot rename over an existing name. There the old file steps aside, to
// a name that was recorded before, and back if the rest fails. For a moment the name is
// absent. Where an answer is lost in between, it is settled by looking, as soon as the
// server answers again, or at the next start.

// replaceByBackup renames from over to on such a server.
func (t *Tree) replaceByBackup(ctx context.Context, from, to string) error {
	return t.withBackup(ctx, to, func() error { return t.store.Rename(ctx, from, to) })
}

func (t *Tree) publishByBackup(ctx context.Context, temp string, p remote.Publish) (done remote.Published, err error) {
	p.Expect = nil // it was as expected, and steps aside
	err = t.withBackup(ctx, p.Path, func() (err error) {
		done, err = t.store.Publish(ctx, temp, p)
		return err
	})
	return done, err
}

func (t *Tree) withBackup(ctx context.Context, to string, replace func() error) error {
	switch now, err := t.store.Stat(ctx, to); { // a directory would step aside just as well
	case err == nil && now.Type == remote.Dir:
		return &remote.Error{Op: "replace", Path: to, Kind: remote.IsDir}
	case err != nil && !surelyGone(err):
		return err
	}
	t.mu.Lock()
	backup := join(path.Dir(to), t.newTemp('o'))
	t.mu.Unlock()
	intent := &spool.Intent{From: to, To: backup, At: time.Now()}
	if err := t.spool.PutIntent(intent); err != nil {
		return err
	}
	err := t.store.Rename(ctx, to, backup)
	switch {
	case err == nil:
		if err = replace(); err == nil {
			t.dropBackup(ctx, intent)
			return nil
		}
		if back := t.store.Rename(ctx, backup, to); back != nil {
			t.cfg.Log.Error("a file could not be replaced nor put back; it is on the server under another name, and put back as soon as the server lets us",
				"path", to, "now", backup, "err", back)
			t.settleLater(intent)
			return err
		}
	case undecided(err):
		t.settleLater(intent) // nobody knows whether it stepped aside
		return err
	}
	t.dropReplacement(intent)
	return err
}

// dropBackup removes the old version of what was replaced. From now on it must not come
// back: the new file may be removed before the backup is.
func (t *Tree) dropBackup(ctx context.Context, in *spool.Intent) {
	err := t.store.Remove(ctx, in.To)
	if err == nil || surelyGone(err) {
		t.dropReplacement(in)
		return
	}
	t.cfg.Log.Warn("the old version of a replaced file is left on the server; it will be removed later", "path", in.To, "err", err)
	useless := &spool.Intent{From: in.To, To: in.To, At: in.At}
	if err := t.spool.PutIntent(useless); err != nil {
		t.cfg.Log.Warn("cannot record that an old version is of no use any more", "path", in.To, "err", err)
		t.settleLater(in)
		return
	}
	t.dropReplacement(in)
	t.settleLater(useless)
}

func (t *Tree) dropReplacement(in *spool.Intent) {
	if err := t.spool.DropIntent(in.Seq); err != nil {
		t.cfg.Log.Warn("cannot drop the record of a finished replacement", "err", err)
	}
}

// settleLater finishes in the background what was broken off. If the tree closes first,
// the record stays for the next start.
func (t *Tree) settleLater(in *spool.Intent) {
	t.mu.Lock()
	t.aside[in.From] = struct{}{}
	t.mu.Unlock()
	t.spawn(func() {
		if !t.settleReplacement(in) {
			return
		}
		t.dropReplacement(in)
		t.mu.Lock()
		delete(t.aside, in.From)
		if dir := t.findLocked(path.Dir(in.From)); dir != nil {
			t.doubtLocked(dir)
		}
		t.mu.Unlock()
		t.queue.Kick()
	})
}

// steppedAside says that the absence of a file may be our doing.
func (t *Tree) steppedAside(p string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.aside[p]
	return ok
}

// settleReplacement finishes a replacement that was broken off, trying until it
// succeeds; false when the tree closes first.
func (t *Tree) settleReplacement(in *spool.Intent) bool {
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		err := t.settleBackup(in.From, in.To)
		if err == nil {
			return true
		}
		if wait == time.Second {
			t.cfg.Log.Warn("cannot settle a replacement that was broken off; it is tried until it succeeds", "path", in.From, "old version", in.To, "err", err)
		}
		select {
		case <-t.ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// settleBackup puts the old version back where nothing took its name, and removes it
// where something did, or where it is only to be removed: then both names are one.
func (t *Tree) settleBackup(to, backup string) error {
	old, err := t.store.Stat(t.ctx, backup)
	switch {
	case surelyGone(err):
		return nil
	case err != nil:
		return err
	case old.Type == remote.Dir:
		t.cfg.Log.Error("a directory stepped aside where a file was to be replaced; it is left under its other name", "path", to, "now", backup)
		return nil
	}
	if to == backup {
		return t.store.Remove(t.ctx, backup)
	}
	switch _, err = t.store.Stat(t.ctx, to); {
	case err == nil:
		return t.store.Remove(t.ctx, backup)
	case surelyGone(err):
		return t.store.Rename(t.ctx, backup, to)
	}
	return err
}
