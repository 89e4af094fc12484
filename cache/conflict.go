package cache

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// errConflict: ours was published beside theirs.
var errConflict = errors.New("kept beside the server's own change")

// theirs is called when the target is not the version that may be replaced. If it
// is gone, ours takes its place; else both are kept: theirs, whatever it is, under the
// name, ours beside it.
func (s *shipment) theirs(temp string, p remote.Publish) (remote.Published, error) {
	t := s.tree
	now, err := t.store.Stat(t.ctx, p.Path)
	switch {
	case remote.Is(err, remote.NotExist):
		gone := p.Expect != nil
		p.Expect = nil
		done, err := t.store.Publish(t.ctx, temp, p)
		if err == nil && gone {
			t.conflict(s.parent(), TheirsRemoved, p.Path, "")
		}
		return done, err
	case err != nil:
		return remote.Published{}, err
	}
	what := TheirsChanged
	if now.Type != remote.File {
		what = TheirsReplaced
	}
	beside := remote.Publish{Size: p.Size, MTime: p.MTime, Mode: p.Mode}
	for n := range conflictTries {
		beside.Path = besidePath(p.Path, n)
		done, err := t.store.Publish(t.ctx, temp, beside)
		if err == nil {
			s.keptBeside(now, beside, done)
			t.conflict(s.parent(), what, p.Path, beside.Path)
			return done, errConflict
		}
		if !nameTaken(err) {
			return done, err
		}
	}
	return remote.Published{}, errNoFreeName(p.Path)
}

func (s *shipment) parent() *Node {
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	return s.file.node.parent
}

const conflictTries = 100

// besidePath is the n-th name to try for a copy beside p.
func besidePath(p string, n int) string {
	dir, name := path.Split(p)
	return dir + conflictName(name, time.Now(), n)
}

func nameTaken(err error) bool {
	return remote.Is(err, remote.Changed) || remote.Is(err, remote.Exist) || remote.Is(err, remote.IsDir)
}

func errNoFreeName(p string) error {
	return &remote.Error{Op: "publish", Path: p, Kind: remote.Temporary, Text: "no free name for a conflict copy"}
}

// conflictName tells whose the copy is and when it was made, and keeps the suffix
// by which programs know the kind of file. It has at most 255 bytes.
func conflictName(name string, now time.Time, n int) string {
	host, err := os.Hostname()
	if err != nil || strings.ContainsAny(host, "/\r\n") {
		host = "ftpfs"
	}
	mark := ".conflict-" + host + "-" + now.Format("20060102-150405")
	if n > 0 {
		mark += "-" + string(rune('a'+n%26))
	}
	ext := path.Ext(name)
	if len(ext) > 20 || ext == name {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	if over := len(stem) + len(mark) + len(ext) - 255; over > 0 {
		stem = strings.ToValidUTF8(stem[:max(1, len(stem)-over)], "")
	}
	return stem + mark + ext
}

// keptBeside gives ours the name under which it was published, with its handles and
// what was written since, and the old name to theirs.
func (s *shipment) keptBeside(theirs remote.Entry, beside remote.Publish, ours remote.Published) {
	t, n := s.tree, s.file.node
	t.mu.Lock()
	dir, old, name := n.parent, n.name, path.Base(beside.Path)
	if k := dir.kids[name]; k != nil && k != n {
		t.detachLocked(k) // found by somebody who listed before we knew
	}
	t.moveLocked(n, dir, name)
	t.noteLocked(dir, old, packEntry(&theirs))
	t.mu.Unlock()
	s.published(ours, beside)
	t.tellGone(dir, old)
}

// replaceByBackup renames from over to on a server that cannot replace: the old file
// steps aside, and back if the rest fails. For a moment the name is absent.
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
	intent := spool.Intent{From: to, To: backup, At: time.Now()}
	if err := t.spool.PutIntent(&intent); err != nil {
		return err
	}
	err := t.store.Rename(ctx, to, backup)
	if err == nil {
		if err = replace(); err == nil {
			err = t.store.Remove(ctx, backup)
			if err == nil || remote.Is(err, remote.NotExist) {
				return t.spool.DropIntent(intent.Seq)
			}
			t.cfg.Log.Warn("the old version of a replaced file is left on the server", "path", backup, "err", err)
			return nil // the intent stays: the next start removes it
		}
		if back := t.store.Rename(ctx, backup, to); back != nil {
			t.cfg.Log.Error("a file could not be replaced nor put back; it is on the server under another name, and put back at the next start",
				"path", to, "now", backup, "err", back)
			return err // the intent stays
		}
	} else if undecided(err) {
		return err // the intent stays: nobody knows whether it stepped aside
	}
	if drop := t.spool.DropIntent(intent.Seq); drop != nil {
		t.cfg.Log.Warn("cannot drop the record of a finished rename", "err", drop)
	}
	return err
}

// settleBackup finishes, at start, a replacement that was broken off.
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
	switch _, err = t.store.Stat(t.ctx, to); {
	case err == nil:
		return t.store.Remove(t.ctx, backup)
	case surelyGone(err):
		return t.store.Rename(t.ctx, backup, to)
	}
	return err
}
