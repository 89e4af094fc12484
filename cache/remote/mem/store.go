package mem

import (
	"context"
	"strconv"
	"time"

	"ftpfs/cache/remote"
)

// entry is what the server tells of a node.
func (n *node) entry(o Options) remote.Entry {
	e := remote.Entry{Name: n.name, Type: n.kind, Size: int64(len(n.data)), MTime: n.mtime.Truncate(o.MGrain), MGrain: o.MGrain,
		Mode: n.mode, HasMode: true, Owner: "ftp", Group: "ftp", Nlink: 1, Target: n.target}
	switch n.kind {
	case remote.Dir:
		e.Size, e.Nlink = -1, 2
	case remote.Symlink:
		e.Size = int64(len(n.target))
	}
	if o.Unique {
		e.Unique = strconv.FormatUint(n.id, 16)
	}
	return e
}

// answer is what the server tells of a node that was asked for by name.
func (n *node) answer(o Options) remote.Entry {
	e := n.entry(o)
	if o.ListModes {
		e.Mode, e.HasMode = 0, false
	}
	if o.ListTimes {
		e.MTime, e.MGrain = time.Time{}, 0
	}
	return e
}

// do runs one operation on the disk between the hooks.
func (s *Store) do(ctx context.Context, op, path string, effect func(d *Disk) error) error {
	if err := s.enter(ctx, op, path); err != nil {
		return err
	}
	s.disk.mu.Lock()
	err := effect(s.disk)
	s.disk.mu.Unlock()
	return s.leave(op, path, err)
}

// List implements remote.Store.
func (s *Store) List(ctx context.Context, dir string) ([]remote.Entry, error) {
	var list []remote.Entry
	err := s.do(ctx, OpList, dir, func(d *Disk) error {
		n, err := d.find(dir, true)
		if err != nil {
			return err
		}
		if n.kind != remote.Dir {
			return &remote.Error{Kind: remote.NotDir}
		}
		list = make([]remote.Entry, 0, len(n.order))
		for _, name := range n.order {
			if s.opts.HidesDots && name[0] == '.' {
				continue
			}
			list = append(list, n.kids[name].entry(s.opts))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Stat implements remote.Store. A symlink is told as such.
func (s *Store) Stat(ctx context.Context, path string) (remote.Entry, error) {
	var e remote.Entry
	err := s.do(ctx, OpStat, path, func(d *Disk) error {
		n, err := d.find(path, false)
		if err == nil {
			e = n.answer(s.opts)
		}
		return err
	})
	if err != nil {
		return remote.Entry{}, err
	}
	s.found.Store(true)
	return e, nil
}

// Rename implements remote.Store.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	return s.do(ctx, OpRename, from, func(d *Disk) error { return d.move(from, to, s.opts.NoReplace) })
}

// Remove implements remote.Store.
func (s *Store) Remove(ctx context.Context, path string) error {
	return s.do(ctx, OpRemove, path, func(d *Disk) error {
		n, err := d.find(path, false)
		if err != nil {
			return err
		}
		if n.kind == remote.Dir {
			return &remote.Error{Kind: remote.IsDir}
		}
		d.drop(n)
		return nil
	})
}

// Mkdir implements remote.Store.
func (s *Store) Mkdir(ctx context.Context, path string) error {
	return s.do(ctx, OpMkdir, path, func(d *Disk) error { return d.mkdir(path) })
}

// Rmdir implements remote.Store.
func (s *Store) Rmdir(ctx context.Context, path string) error {
	return s.do(ctx, OpRmdir, path, func(d *Disk) error {
		n, err := d.find(path, false)
		switch {
		case err != nil:
			return err
		case n.kind != remote.Dir:
			return &remote.Error{Kind: remote.NotDir}
		case n == d.root:
			return &remote.Error{Kind: remote.Permission, Text: "the top directory"}
		case len(n.kids) > 0:
			return &remote.Error{Kind: remote.NotEmpty}
		}
		d.drop(n)
		return nil
	})
}

// SetAttr implements remote.Store.
func (s *Store) SetAttr(ctx context.Context, path string, a remote.Attr) error {
	return s.do(ctx, OpSetAttr, path, func(d *Disk) error {
		n, err := d.find(path, true)
		if err != nil {
			return err
		}
		timeSet, modeSet := s.setAttr(n, a)
		if !timeSet || !modeSet {
			return &remote.Error{Kind: remote.Unsupported}
		}
		return nil
	})
}

// setAttr sets what it can and reports what is as asked for.
func (s *Store) setAttr(n *node, a remote.Attr) (timeSet, modeSet bool) {
	timeSet = a.MTime == nil || !s.opts.NoTimes && !(s.opts.NoDirTimes && n.kind == remote.Dir)
	if a.MTime != nil && timeSet {
		n.mtime = a.MTime.UTC().Truncate(1e9)
	}
	modeSet = a.Mode == nil || !s.opts.NoModes
	if a.Mode != nil && modeSet {
		n.mode = *a.Mode & 0o7777
	}
	return timeSet, modeSet
}

// Checksum implements remote.Store.
func (s *Store) Checksum(ctx context.Context, path string, size int64) (remote.Checksum, error) {
	sum := remote.Checksum{Algorithm: s.opts.Sums}
	err := s.do(ctx, OpSum, path, func(d *Disk) error {
		n, err := d.find(path, true)
		h := sum.Hash()
		switch {
		case h == nil:
			return &remote.Error{Kind: remote.Unsupported}
		case err != nil:
			return err
		case n.kind == remote.Dir:
			return &remote.Error{Kind: remote.IsDir}
		case int64(len(n.data)) != size:
			return &remote.Error{Kind: remote.Changed}
		}
		h.Write(n.data)
		sum.Sum = h.Sum(nil)
		return nil
	})
	if err != nil {
		return remote.Checksum{}, err
	}
	return sum, nil
}

// Storable implements remote.Store.
func (s *Store) Storable(ctx context.Context, p string) error {
	_, name := split(p)
	if err := check(p); err != nil || s.opts.Unstorable != nil && s.opts.Unstorable(name) {
		return &remote.Error{Op: "look at the name", Path: p, Kind: remote.BadName}
	}
	return nil
}

// Statfs implements remote.Store.
func (s *Store) Statfs(ctx context.Context) (remote.Space, error) {
	space := remote.Space{Total: -1, Free: -1}
	err := s.do(ctx, OpStatfs, "/", func(d *Disk) error {
		switch {
		case s.opts.NoSpaceSay:
			return &remote.Error{Kind: remote.Unsupported}
		case s.opts.Quota > 0:
			space = remote.Space{Total: s.opts.Quota, Free: max(0, s.opts.Quota-d.used)}
		}
		return nil
	})
	return space, err
}
