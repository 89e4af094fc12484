package ftpconn

import (
	"context"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// change runs an operation that must not be sent twice. A reply that was lost
// is settled by done, which looks and reports whether the change is there.
//
// do calls begun just before it sends what changes something: what fails before
// that may be begun again, and is not settled by looking.
func (s *Store) change(ctx context.Context, t task, do func(ss *session, begun func()) error, done func(*session) bool) error {
	if err := validPath(t.path); err != nil {
		return s.fail(t, err)
	}
	sent := false
	t.again, t.past = true, &sent
	err := s.run(ctx, t, func(ss *session) error { return do(ss, func() { sent = true }) })
	if err == nil || !sent || ctx.Err() != nil || !remote.KindOf(err).Offline() && remote.KindOf(err) != remote.Protocol {
		return err
	}
	f := wire.FaultOf(err)
	if f == nil || !f.Sent {
		return err
	}
	look := task{op: "check", path: t.path, class: metadata, again: true}
	happened := false
	if s.run(ctx, look, func(ss *session) error { happened = done(ss); return ss.wire.Dead() }) == nil && happened {
		s.log.Info("a reply was lost, the change had been carried out", "op", t.op, "path", t.path, "because", err)
		return nil
	}
	return err
}

func (ss *session) gone(p string) bool {
	_, err := ss.look(p)
	return absent(err)
}

// Rename moves a file or directory, over an existing file where the server can.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	t := task{op: "rename", path: from, other: to, class: metadata, changes: true}
	if err := validPath(to); err != nil {
		return s.fail(t, err)
	}
	err := s.change(ctx, t, func(ss *session, begun func()) error {
		begun()
		sent, err := ss.rename(ss.path(from), ss.path(to))
		r, no := refusal(err)
		switch {
		case !no:
			return err
		case !sent:
			return ss.notMoved(from, r)
		}
		if kindOf("rename", r) == remote.NotExist && ss.gone(from) {
			return as(remote.NotExist, r)
		}
		return ss.notReplaced(from, to, false, r)
	}, func(ss *session) bool {
		if !ss.gone(from) {
			return false
		}
		_, err := ss.look(to)
		return err == nil
	})
	if err == nil {
		s.hidden.moved(from, to)
		s.there(to)
	}
	return err
}

// Remove deletes a file or a symlink. Where the server is not known to refuse
// DELE on a directory, we look first.
func (s *Store) Remove(ctx context.Context, p string) error {
	t := task{op: "remove", path: p, class: metadata, changes: true}
	return s.change(ctx, t, func(ss *session, begun func()) error {
		if k := s.server.known(); !k.checksTypes() {
			e, err := ss.look(p)
			if err != nil {
				return err
			}
			if e.Type == remote.Dir {
				return fault(remote.IsDir, "")
			}
		}
		begun()
		err := ss.dele(ss.path(p))
		r, no := refusal(err)
		if !no {
			return err
		}
		kind := kindOf("remove", r)
		if kind == remote.NotExist || kind == remote.IsDir || kind == remote.Temporary {
			return as(kind, r)
		}
		e, err := ss.look(p)
		switch {
		case absent(err):
			return as(remote.KindOf(err), r)
		case err != nil:
			return keepFault(err, as(kind, r))
		case e.Type == remote.Dir:
			return as(remote.IsDir, r)
		case kind == remote.Unknown:
			return as(remote.Permission, r)
		}
		return as(kind, r)
	}, func(ss *session) bool { return ss.gone(p) })
}

// Mkdir makes a directory.
func (s *Store) Mkdir(ctx context.Context, p string) error {
	t := task{op: "mkdir", path: p, class: metadata, changes: true}
	err := s.change(ctx, t, func(ss *session, begun func()) error {
		begun()
		err := ss.mkd(ss.path(p))
		r, no := refusal(err)
		if !no {
			return err
		}
		kind := kindOf("mkdir", r)
		switch kind {
		case remote.Exist, remote.NoSpace:
			return as(kind, r)
		}
		switch _, err := ss.look(p); {
		case err == nil:
			return as(remote.Exist, r)
		case !absent(err):
			return keepFault(err, as(kind, r))
		}
		return ss.notCreated(p, kind, r)
	}, func(ss *session) bool {
		e, err := ss.look(p)
		return err == nil && e.Type == remote.Dir
	})
	if err == nil {
		s.there(p)
	}
	return err
}

// Rmdir deletes an empty directory. Where the server is not known to refuse RMD
// on a file, we look first.
func (s *Store) Rmdir(ctx context.Context, p string) error {
	t := task{op: "rmdir", path: p, class: metadata, changes: true}
	return s.change(ctx, t, func(ss *session, begun func()) error {
		if k := s.server.known(); !k.checksTypes() {
			e, err := ss.look(p)
			if err != nil {
				return err
			}
			if e.Type != remote.Dir {
				return fault(remote.NotDir, "")
			}
		}
		begun()
		err := ss.rmd(ss.path(p))
		r, no := refusal(err)
		if !no {
			return err
		}
		return ss.notRemoved(p, r)
	}, func(ss *session) bool { return ss.gone(p) })
}

// notRemoved settles why RMD was refused.
func (ss *session) notRemoved(p string, r wire.Reply) error {
	kind := kindOf("rmdir", r)
	switch kind {
	case remote.NotEmpty, remote.Temporary:
		return as(kind, r)
	}
	e, err := ss.look(p)
	switch {
	case absent(err):
		return as(remote.KindOf(err), r)
	case err != nil:
		return keepFault(err, as(kind, r))
	case e.Type != remote.Dir:
		return as(remote.NotDir, r)
	}
	inside, err := ss.list(p, false)
	switch {
	case err != nil:
		return keepFault(err, as(kind, r))
	case len(inside) > 0:
		return as(remote.NotEmpty, r)
	case kind == remote.Unknown || kind == remote.NotExist:
		// What was in it may have gone since, as an upload of ours that was given up.
		err := ss.rmd(ss.path(p))
		if r, no := refusal(err); no {
			return as(remote.Permission, r)
		}
		return err
	}
	return as(kind, r)
}
