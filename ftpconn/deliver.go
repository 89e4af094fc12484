package ftpconn

import (
	"context"
	"io"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

var _ remote.Deliverer = (*Store)(nil)

// Deliver sends what is to be asked before the rename in the segment of the upload, where the server takes
// that with its command, and then the rename: two round trips in all. The next data connection is made meanwhile. Where any
// of this cannot be, or what is to be published is not what was foreseen, the rest is done by
// Publish, on this connection or another.
func (s *Store) Deliver(ctx context.Context, tmp string, r io.Reader, d remote.Delivery) (remote.Published, bool, error) {
	dv := &delivery{Delivery: d, pb: publishing{tmp: tmp, p: d.Foreseen}}
	if err := s.write(ctx, tmp, r, 0, d.Foreseen.Size, dv); !dv.agreed {
		return remote.Published{}, false, err
	}
	if !dv.judged || wire.FaultOf(dv.err) != nil && !dv.pb.renaming {
		out, err := s.Publish(dv.ctx, tmp, dv.pb.p)
		return out, true, err
	}
	t := task{op: "publish", path: dv.pb.p.Path, other: tmp}
	out, err := s.published(dv.ctx, &dv.pb, s.fail(t, dv.err))
	return out, true, err
}

// delivery is one Deliver under way; nil: an upload that is none.
type delivery struct {
	remote.Delivery
	pb     publishing
	asked  asked
	agreed bool
	ctx    context.Context // once it is agreed
	judged bool            // the answers were enough to publish it, or not to
	err    error           // what that came to
}

// foresee is what goes behind the upload, nil where that cannot be: what has to be found out first is so at
// an ordinary publication.
func (d *delivery) foresee(ss *session) []string {
	if d == nil {
		return nil
	}
	d.asked = asked{}
	if k := ss.store.server.known(); d.Foreseen.MTime != nil && k.setTime == setTimeUntried || !k.whole || !ss.store.temporary(d.pb.tmp) {
		return nil
	}
	d.pb.ss = ss
	var err error
	if d.asked, err = d.pb.ask(true); err != nil {
		return nil
	}
	return d.asked.cmds
}

// deliver goes on with an upload that is on the server.
func (d *delivery) deliver(ss *session) {
	if d == nil {
		return
	}
	rs := ss.wire.Trailed()
	if rs == nil || ss.wire.Dead() != nil {
		return
	}
	ctx, p, ok := d.Ready()
	if !ok {
		return
	}
	d.agreed, d.ctx, d.pb.p = true, ctx, p
	q := d.asked
	if !d.Foreseen.Foresaw(&p) || q.setTime >= 0 && q.setTime == q.setMode && !rs[q.setTime].OK() {
		return
	}
	if a, err := ss.answered(q.ours, q.oursOf(rs)); err == nil && a.found && a.Entry.Size < 0 {
		return // whether all of it arrived has to be asked otherwise
	}
	if p.Sum == nil {
		q.sum = sumQuestion{}
	}
	defer ss.wire.Bind(ctx)()
	pb := &d.pb
	pb.ss, pb.out = ss, remote.Published{}
	d.judged = true
	was, exists, err := pb.judge(q, rs, 0)
	if err == nil && pb.modeIsNot(was) {
		var r wire.Reply
		if r, err = pb.keepMode(ss.path(pb.tmp), was.Mode); err == nil && r.Class() != 3 {
			err = ss.notMoved(pb.tmp, r)
		}
	}
	if err == nil {
		err = pb.move(was, exists)
	}
	d.err = err
}
