package cache

import (
	"context"
	"path"
	"slices"
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
	return t.withBackup(ctx, to, nil, func(remote.Entry) error { return t.store.Rename(ctx, from, to) })
}

// publishByBackup fails with Changed where the target is not what may be replaced, also
// if that shows only when it has stepped aside.
func (t *Tree) publishByBackup(ctx context.Context, temp string, p remote.Publish) (done remote.Published, err error) {
	if p.Expect == nil {
		return done, changedMeanwhile(p.Path) // nothing was to be replaced, and something is in the way
	}
	expect := p.Expect
	p.Expect = nil // it steps aside
	err = t.withBackup(ctx, p.Path, expect, func(was remote.Entry) (err error) {
		if p.Kept && was.HasMode {
			p.Mode = &was.Mode
		}
		done, err = t.store.Publish(ctx, temp, p)
		return err
	})
	return done, err
}

func changedMeanwhile(path string) error {
	return &remote.Error{Op: "replace", Path: path, Kind: remote.Changed, Text: "it changed in this moment"}
}

// withBackup has replace put another file in the place of to, if that is what it is
// expected to be; nil expects nothing. Between a look and a rename somebody may write: what
// stepped aside is looked at once more, and put back if it is not what was there. replace is
// told what it was.
func (t *Tree) withBackup(ctx context.Context, to string, expect *remote.Version, replace func(was remote.Entry) error) error {
	now, err := t.store.Stat(ctx, to)
	switch {
	case err == nil && now.Type == remote.Dir: // it would step aside just as well
		return &remote.Error{Op: "replace", Path: to, Kind: remote.IsDir}
	case err == nil && expect != nil && expect.Differs(now.Version()):
		return changedMeanwhile(to)
	case err != nil && !surelyGone(err):
		return err
	}
	t.mu.Lock()
	backup := join(path.Dir(to), t.newTemp('o'))
	t.mu.Unlock()
	intent := &spool.Intent{From: to, To: backup, At: time.Now()}
	if err == nil {
		was := now.Version()
		intent.Was = &was
	}
	if err := t.spool.PutIntent(intent); err != nil {
		return err
	}
	err = t.store.Rename(ctx, to, backup)
	switch {
	case err == nil:
		if err = t.isBackup(ctx, intent); err == nil {
			err = replace(now)
		}
		if err == nil {
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

// isBackup fails where what stepped aside is not what was seen before it did. A server that
// does not tell of hidden files leaves it at what was seen.
func (t *Tree) isBackup(ctx context.Context, in *spool.Intent) error {
	old, err := t.store.Stat(ctx, in.To)
	switch {
	case surelyGone(err):
		return nil
	case err != nil:
		return err
	case notTheBackup(in, old):
		return changedMeanwhile(in.From)
	}
	return nil
}

func notTheBackup(in *spool.Intent, old remote.Entry) bool {
	return in.Was == nil || in.Was.Differs(old.Version())
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
	t.spawn(t.unsettle(in, func() error { return t.settleReplacement(in) }).run)
}

// settleReplacement finishes a replacement that was broken off, or says why it cannot be.
func (t *Tree) settleReplacement(in *spool.Intent) error {
	if err := t.settleBackup(in); err != nil {
		return err
	}
	t.dropReplacement(in)
	t.mu.Lock()
	defer t.mu.Unlock()
	if dir := t.findLocked(path.Dir(in.From)); dir != nil {
		t.doubtLocked(dir)
	}
	return nil
}

// steppedAside says that the absence of a file may be our doing.
func (t *Tree) steppedAside(p string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.unsettled, func(u *unsettled) bool { return u.replaces() && u.intent.From == p })
}

// settleBackup puts the old version back where nothing took its name, and removes it
// where something did, or where it is only to be removed: then both names are one. Where
// it is not the version that was to be replaced, it is kept beside what took its name.
func (t *Tree) settleBackup(in *spool.Intent) error {
	to, backup := in.From, in.To
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
	case err == nil && in.Was != nil && notTheBackup(in, old):
		return t.keepBackup(to, backup)
	case err == nil:
		return t.store.Remove(t.ctx, backup)
	case surelyGone(err):
		return t.store.Rename(t.ctx, backup, to)
	}
	return err
}

// keepBackup gives what somebody wrote in the moment before it stepped aside a name that
// can be seen.
func (t *Tree) keepBackup(to, backup string) error {
	for n := range conflictTries {
		beside := besidePath(to, n)
		switch _, err := t.store.Stat(t.ctx, beside); {
		case err == nil:
			continue
		case !surelyGone(err):
			return err
		}
		if err := t.store.Rename(t.ctx, backup, beside); err != nil {
			return err
		}
		t.cfg.Log.Warn("a file was changed on the server in the moment in which it was replaced there: both are kept", "path", to, "their change", beside)
		return nil
	}
	return errNoFreeName(to)
}
