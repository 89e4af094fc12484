package mem

import (
	"bytes"
	"context"
	"io"

	"ftpfs/cache/remote"
)

// Publish implements remote.Store.
func (s *Store) Publish(ctx context.Context, tmp string, p remote.Publish) (remote.Published, error) {
	var out remote.Published
	err := s.do(ctx, OpPublish, p.Path, func(d *Disk) error {
		n, err := d.find(tmp, false)
		if err != nil {
			return err
		}
		if n.kind == remote.Dir {
			return &remote.Error{Kind: remote.IsDir}
		}
		if err := s.compare(d, p); err != nil {
			return err
		}
		if int64(len(n.data)) != p.Size {
			return &remote.Error{Kind: remote.ShortWrite}
		}
		if p.Sum != nil && p.Sum.Algorithm == s.opts.Sums {
			h := p.Sum.Hash()
			h.Write(n.data)
			if !bytes.Equal(h.Sum(nil), p.Sum.Sum) {
				return &remote.Error{Kind: remote.Corrupt}
			}
		}
		if was, err := d.find(p.Path, false); p.Kept && err == nil && !s.opts.ListModes {
			mode := was.mode
			p.Mode = &mode
		}
		if err := d.move(tmp, p.Path, s.opts.NoReplace); err != nil {
			return err
		}
		out.TimeSet, out.ModeSet = s.setAttr(n, remote.Attr{MTime: p.MTime, Mode: p.Mode})
		out.TimeSet = out.TimeSet && p.MTime != nil
		out.ModeSet = out.ModeSet && p.Mode != nil
		out.Entry = n.answer(s.opts)
		if out.TimeSet {
			out.Entry.MTime = n.mtime
		}
		return nil
	})
	if err != nil {
		return remote.Published{}, err
	}
	return out, nil
}

// compare checks the target against what may be replaced.
func (s *Store) compare(d *Disk, p remote.Publish) error {
	target, err := d.find(p.Path, false)
	switch {
	case remote.Is(err, remote.NotExist):
		if p.Expect != nil && !p.Force {
			return &remote.Error{Kind: remote.Changed, Text: "it is gone"}
		}
		return nil
	case err != nil:
		return err
	case target.kind == remote.Dir:
		return &remote.Error{Kind: remote.IsDir}
	case s.opts.Blind && target.kind != remote.File && p.Expect == nil && !p.Unlisted:
		return nil
	case p.Force:
		return nil
	case p.Expect == nil:
		return &remote.Error{Kind: remote.Changed, Text: "it is there now"}
	}
	e := target.entry(s.opts)
	if e.Version().Differs(*p.Expect) {
		return &remote.Error{Kind: remote.Changed}
	}
	return nil
}

// Deliver implements remote.Deliverer.
func (s *Store) Deliver(ctx context.Context, tmp string, r io.Reader, d remote.Delivery) (out remote.Published, agreed bool, err error) {
	if err := s.Write(ctx, tmp, r, 0, d.Foreseen.Size); err != nil {
		return out, false, err
	}
	ctx, p, agreed := d.Ready()
	if !agreed {
		return out, false, nil
	}
	out, err = s.Publish(ctx, tmp, p)
	return out, true, err
}
