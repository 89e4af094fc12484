package remotetest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"ftpfs/cache/remote"
)

// deliver: what is uploaded and published in one go is as by Write and Publish, if whoever sends it agrees when
// it is all there, and not published at all if not.
func (s *suite) deliver() {
	store, ok := s.Store.(remote.Deliverer)
	if !ok {
		return
	}
	at, mode := time.Date(2020, 2, 29, 23, 59, 58, 0, time.UTC), uint32(0o604)
	n := 0
	send := func(foreseen, p remote.Publish, ready bool) (agreed bool, err error) {
		s.t.Helper()
		data := content(int(p.Size))
		n++
		tmp := fmt.Sprintf("/.tmp-%s-%d", s.Tag, n)
		out, agreed, err := store.Deliver(s.ctx, tmp, bytes.NewReader(data), remote.Delivery{Foreseen: foreseen,
			Ready: func() (context.Context, remote.Publish, bool) { return s.ctx, p, ready }})
		if !agreed {
			s.ok(err, "upload %s", tmp)
			s.holds(tmp, data)
			if !ready {
				s.ok(s.Store.Remove(s.ctx, tmp), "remove %s", tmp)
				return false, nil
			}
			out, err = s.Store.Publish(s.ctx, tmp, p)
		}
		if err == nil {
			s.published(out, p, data)
		} else {
			s.holds(tmp, data) // nothing was renamed
			s.ok(s.Store.Remove(s.ctx, tmp), "remove %s", tmp)
		}
		return agreed, err
	}
	for i := range 5 { // what the server stands is known after some
		p := remote.Publish{Path: fmt.Sprintf("/delivered %d", i), Size: int64(100 + i), MTime: &at, Mode: &mode}
		_, err := send(p, p, true)
		s.ok(err, "deliver %s", p.Path)
		other := p
		other.Path = fmt.Sprintf("/another %d", i)
		_, err = send(p, other, true)
		s.ok(err, "deliver %s, foreseen as %s", other.Path, p.Path)
		_, err = send(p, p, true)
		s.fails(err, "deliver over what should not be", remote.Changed)
		p.Path = fmt.Sprintf("/never %d", i)
		if agreed, _ := send(p, p, false); agreed {
			s.t.Error("delivered what was not ready")
		}
		s.gone(p.Path)
		if s.Limits.NoReplace {
			continue
		}
		e, err := s.Store.Stat(s.ctx, other.Path)
		s.ok(err, "stat")
		v := e.Version()
		other.Size, other.Expect = 200, &v
		_, err = send(other, other, true)
		s.ok(err, "deliver over another")
	}
}
