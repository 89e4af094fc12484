package ftpconn

import (
	"context"
	"path"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Publish makes tmp appear as p.Path in two round trips: time, mode, both
// files' facts and RNFR in one segment, RNTO only after their replies are good, and
// with it the question whether it was done.
func (s *Store) Publish(ctx context.Context, tmp string, p remote.Publish) (remote.Published, error) {
	pb := &publishing{tmp: tmp, p: p}
	t := task{op: "publish", path: p.Path, other: tmp, class: metadata, changes: true, again: true, past: &pb.renaming}
	for _, name := range []string{tmp, p.Path} {
		if err := validPath(name); err != nil {
			return remote.Published{}, s.fail(t, err)
		}
	}
	err := s.run(ctx, t, func(ss *session) error {
		pb.ss = ss
		return pb.do()
	})
	return s.published(ctx, pb, err)
}

// published is how a publication ended that came to err.
func (s *Store) published(ctx context.Context, pb *publishing, err error) (remote.Published, error) {
	tmp, p := pb.tmp, pb.p
	if remote.Is(err, remote.Corrupt) && s.lies(ctx, tmp, p.Size, p.Sum) {
		p.Sum = nil
		return s.Publish(ctx, tmp, p)
	}
	if err != nil && pb.renaming && remote.KindOf(err).Offline() && ctx.Err() == nil {
		// The reply to RNTO was lost.
		if s.moved(ctx, tmp, p.Path, p.Size) {
			s.log.Info("the reply to a rename was lost, it had been carried out", "path", p.Path, "because", err)
			s.there(p.Path)
			return pb.out, nil
		}
	}
	if err != nil {
		return remote.Published{}, err
	}
	s.there(p.Path)
	return pb.out, nil
}

// publishing is one Publish under way.
type publishing struct {
	ss       *session
	tmp      string
	p        remote.Publish
	out      remote.Published
	ours     remote.Entry // the temporary file, as the server tells it
	asked    bool         // in answer to the inquiry, which thus tells of files
	told     bool         // by MLST
	pending  bool         // an RNFR waits for its RNTO
	renaming bool         // the real RNTO was sent
}

func (pb *publishing) do() error {
	ss, tmp := pb.ss, pb.ss.path(pb.tmp)
	pb.out, pb.pending = remote.Published{}, false // on another connection before, it came to something else
	q, err := pb.ask(false)
	if err != nil {
		return err
	}
	cmds := q.cmds
	port := ss.wire.NextPort()
	if port != "" {
		cmds = append(cmds, port)
	}
	began := time.Now()
	rs, err := ss.wire.Batch(append(cmds, "RNFR "+tmp)...)
	if err != nil {
		ss.unanswered(q.sum, err)
		return err
	}
	took := time.Since(began)
	if port != "" { // connected to while the names change: another upload may follow
		ss.wire.Come(port, rs[len(cmds)-1])
	}
	r := rs[len(cmds)]
	pb.pending = r.Class() == 3
	was, exists, err := pb.judge(q, rs, took)
	if err != nil {
		return pb.letGo(tmp, err)
	}
	if pb.modeIsNot(was) {
		if r, err = pb.keepMode(tmp, was.Mode); err != nil {
			return err
		}
	}
	if r.Class() == 3 && !pb.pending { // other commands came between
		if r, err = ss.wire.Cmd("RNFR " + tmp); err != nil {
			return err
		}
	}
	if r.Class() != 3 {
		return ss.notMoved(pb.tmp, r)
	}
	return pb.move(was, exists)
}

// move renames the uploaded file over what was there, and asks whether that was done. RNFR goes with it
// where it was not sent yet.
func (pb *publishing) move(was remote.Entry, exists bool) error {
	ss, p := pb.ss, pb.p
	ask := pb.askAfter()
	cmds := append([]string{"RNFR " + ss.path(pb.tmp), "RNTO " + ss.path(p.Path)}, ask.cmds...)
	if pb.pending {
		cmds = cmds[1:]
	}
	pb.renaming = true
	rs, err := ss.wire.Batch(cmds...)
	if err != nil {
		if e := wire.FaultOf(err); e != nil && (!e.Sent || e.Fault == wire.Closing && e.Step == "RNFR") {
			pb.renaming = false // nothing was sent, or the server has ended it at RNFR and reads no more
		}
		return err
	}
	if !pb.pending {
		if r := rs[0]; r.Class() != 3 {
			pb.renaming = false
			return ss.notMoved(pb.tmp, r)
		}
		rs = rs[1:]
	}
	r := rs[0]
	if !r.OK() {
		pb.renaming = false
		return ss.refusedName(p.Path, ss.notReplaced(pb.tmp, p.Path, exists, r))
	}
	if !exists {
		was = remote.Entry{}
	}
	return pb.arrived(ask, rs[1:], was, r)
}

// letGo ends an RNFR that must not be followed by the real RNTO: ProFTPD takes no
// other command after it. Renaming a file to itself changes nothing.
func (pb *publishing) letGo(tmp string, err error) error {
	if pb.pending && wire.FaultOf(err) == nil {
		pb.pending = false
		if _, err := pb.ss.wire.Cmd("RNTO " + tmp); err != nil {
			return err
		}
	}
	return err
}

// checkOurs compares the uploaded file's size, and takes down what it is.
func (pb *publishing) checkOurs(q inquiry, rs []wire.Reply) error {
	a, err := pb.ss.answered(q, rs)
	if err != nil {
		return err
	}
	e := a.Entry
	pb.asked, pb.told = a.found, a.found && q.mlst && rs[0].OK()
	if !a.found {
		if err := pb.letGo(pb.ss.path(pb.tmp), nil); err != nil {
			return err
		}
		if e, err = pb.ss.look(pb.tmp); err != nil {
			return err
		}
	}
	if e.Size >= 0 && e.Size != pb.p.Size {
		return fault(remote.ShortWrite, "%d bytes arrived of %d", e.Size, pb.p.Size)
	}
	pb.ours = e
	e.Name, e.Size = path.Base(pb.p.Path), pb.p.Size
	if pb.out.TimeSet && pb.p.MTime != nil {
		e.MTime, e.MGrain = pb.p.MTime.UTC().Truncate(time.Second), time.Second
	}
	if pb.out.ModeSet && pb.p.Mode != nil {
		e.Mode, e.HasMode = *pb.p.Mode, true
	}
	pb.out.Entry = e
	return nil
}

// checkTheirs compares the target with what may be replaced.
func (pb *publishing) checkTheirs(q inquiry, rs []wire.Reply) (e remote.Entry, found bool, err error) {
	ss, p := pb.ss, pb.p
	a, err := ss.answered(q, rs)
	if err != nil {
		return e, false, err
	}
	e, found = a.Entry, a.found
	k := ss.store.server.known()
	if !found && !a.absent && !(a.reply.Code == 550 && (!q.mlst && k.is("vsftpd") || pb.bareAbsence(q, rs))) {
		// Not a clear answer. (vsftpd refuses SIZE with a bare 550 for what is no
		// plain file; a directory there stops RNTO, and lineQuestion asks for the rest.)
		if err := pb.letGo(ss.path(pb.tmp), nil); err != nil {
			return e, false, err
		}
		e, err = ss.look(p.Path)
		switch {
		case err == nil:
			found = true
		case !absent(err):
			return e, false, err
		}
	}
	switch {
	case found && e.Type == remote.Dir:
		err = fault(remote.IsDir, "")
	case p.Force:
		return e, found, nil
	case found && p.Expect == nil:
		err = fault(remote.Changed, "a file of that name appeared")
	case !found && p.Expect != nil:
		err = fault(remote.Changed, "the file is gone")
	case found && p.Expect.Differs(e.Version()):
		err = fault(remote.Changed, "the server's file has %d bytes of %v", e.Size, e.MTime.UTC())
	default:
		return e, found, nil
	}
	return e, found, err
}

// bareAbsence says that Pure-FTPd refused MLST for a target that is not there. It gives no reason,
// but as it has just told of the file beside it, only a missing name is left; and SIZE is refused
// in the same words, which would tell of a file whose time MLST cannot put into words. To ask CWD,
// which gives reasons, is no way: each failure of it is slower than the one before.
func (pb *publishing) bareAbsence(q inquiry, rs []wire.Reply) bool {
	k := pb.ss.store.server.known()
	return q.mlst && k.is("pure-ftpd") && rs[1].Code == 550 && rs[1].Text() == rs[0].Text() && pb.told && parent(pb.tmp) == parent(pb.p.Path)
}

// notMoved settles why RNFR was refused.
func (ss *session) notMoved(from string, r wire.Reply) error {
	kind := kindOf("rename", r)
	switch kind {
	case remote.Unknown, remote.NotExist: // the latter may be the answer to something else
	default:
		return as(kind, r)
	}
	switch _, err := ss.look(from); {
	case absent(err):
		return as(remote.KindOf(err), r)
	case err != nil && kind == remote.NotExist:
		return err
	case err != nil:
		return keepFault(err, as(kind, r))
	}
	return as(remote.Permission, r)
}

// notReplaced settles why RNTO was refused.
func (ss *session) notReplaced(from, to string, exists bool, r wire.Reply) error {
	kind := kindOf("rename", r)
	switch kind {
	case remote.Unknown, remote.BadName, remote.Exist, remote.Permission: // "exists" is said of full directories too, and ProFTPD does not permit to replace any
	default:
		return as(kind, r)
	}
	e, err := ss.look(to)
	switch {
	case absent(err):
		return ss.notCreated(to, kind, r)
	case err != nil:
		if exists && kind != remote.Permission && wire.FaultOf(err) == nil {
			return as(remote.NoReplace, r)
		}
		return keepFault(err, as(kind, r))
	case e.Type == remote.Dir:
		if what, err := ss.look(from); err == nil && what.Type != remote.Dir {
			return as(remote.IsDir, r)
		}
		inside, err := ss.list(to, false)
		switch {
		case err != nil:
			return keepFault(err, as(kind, r))
		case len(inside) > 0:
			return as(remote.NotEmpty, r)
		}
		return as(remote.IsDir, r)
	case kind == remote.Permission:
		return as(kind, r)
	}
	return as(remote.NoReplace, r)
}

// moved looks whether a rename whose reply was lost has been carried out: from
// is certainly gone, and to is there, with size bytes unless that is negative.
func (s *Store) moved(ctx context.Context, from, to string, size int64) bool {
	done := false
	t := task{op: "check", path: to, class: metadata, again: true}
	s.run(ctx, t, func(ss *session) error {
		if _, err := ss.look(from); !absent(err) {
			return err
		}
		e, err := ss.look(to)
		done = err == nil && (size < 0 || e.Size < 0 || e.Size == size)
		return err
	})
	return done
}
