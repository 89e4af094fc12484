package cache

import (
	"errors"
	"os"
	"path"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// errConflict: ours was published beside theirs.
var errConflict = errors.New("kept beside the server's own change")

// theirs is called when the target is not the version that may be replaced. If it
// is gone, ours takes its place; else both are kept: theirs, whatever it is, under the
// name, ours beside it.
func (s *shipment) theirs(temp string, p remote.Publish) (remote.Published, error) {
	t := s.tree
	t.mu.Lock()
	sent := s.file.sent
	t.mu.Unlock()
	// The server has refused ours. What it has is not ours then, even if it looks the same.
	if err := s.maybeSent(nil); err != nil {
		return remote.Published{}, err
	}
	now, err := t.store.Stat(t.ctx, p.Path)
	switch {
	case remote.Is(err, remote.NotExist):
		if t.steppedAside(p.Path) {
			return remote.Published{}, &remote.Error{Op: "publish", Path: p.Path, Kind: remote.Temporary,
				Text: "its old version stepped aside, and is to be put back first"}
		}
		gone := p.Expect != nil
		p.Expect = nil
		if err := s.maybeSent(sent); err != nil {
			return remote.Published{}, err
		}
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
	if p.Kept && p.Mode != nil && now.Type == remote.File { // who made theirs private meant this, too
		if now = t.withMode(p.Path, now); now.HasMode {
			mode := *p.Mode & now.Mode
			beside.Mode = &mode
		}
	}
	for n := range conflictTries {
		beside.Path = besidePath(p.Path, n)
		done, err := t.store.Publish(t.ctx, temp, beside)
		if err == nil {
			t.conflict(s.parent(), what, p.Path, beside.Path) // told before sync returns
			s.keptBeside(now, beside, done)
			return done, errConflict
		}
		if !nameTaken(err) {
			return done, err
		}
	}
	return remote.Published{}, errNoFreeName(p.Path)
}

// maybeSent notes, also in the record, what the server may have of ours under its name from
// now on, without an answer; nil: nothing.
func (s *shipment) maybeSent(v *remote.Version) error {
	t, f := s.tree, s.file
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	f.sent = v
	open := f.savedOpen
	t.mu.Unlock()
	return f.save(open, false)
}

// withMode adds the mode to what the server told of p, where it tells modes in listings
// only.
func (t *Tree) withMode(p string, e remote.Entry) remote.Entry {
	if e.HasMode {
		return e
	}
	list, err := t.store.List(t.ctx, path.Dir(p))
	if err != nil {
		return e // it is not shown, and the copy has the mode that was known
	}
	for _, listed := range list {
		if listed.Name == path.Base(p) && listed.Type == e.Type {
			e.Mode, e.HasMode = listed.Mode, listed.HasMode
		}
	}
	return e
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
	return besideName(name, "conflict", now, n)
}

// besideName is conflictName for any reason why.
func besideName(name, why string, now time.Time, n int) string {
	host, err := os.Hostname()
	if err != nil || strings.ContainsAny(host, "/\r\n") {
		host = "ftpfs"
	}
	mark := "." + why + "-" + host + "-" + now.Format("20060102-150405")
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
// what was written since, and the old name to theirs. Until the kernel has looked the new
// name up, an open of the inode is taken for one by the old name: see Open. If nobody has
// it open, the copy is another inode, so that the kernel, which may keep the old name for
// the old inode a while, opens theirs by it whatever was looked up before.
func (s *shipment) keptBeside(theirs remote.Entry, beside remote.Publish, ours remote.Published) {
	t, n := s.tree, s.file.node
	t.mu.Lock()
	dir, old, name := n.parent, n.name, path.Base(beside.Path)
	if k := dir.kid(name); k != nil && k != n {
		t.lostLocked(k) // found by somebody who listed before we knew
	}
	t.moveLocked(n, dir, name)
	n.strayed = true
	e := packEntry(&theirs)
	e.inheritMode(&n.ent)
	t.noteLocked(dir, old, e)
	t.mu.Unlock()
	s.published(ours, beside)
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := s.file; f.handles == 0 && !f.owed && !n.removed {
		t.detachLocked(n)
		t.spawn(func() { t.tellChanged(n) }) // stat by the old name asks, too
	}
}
