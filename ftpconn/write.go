package ftpconn

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Write uploads r, by STOR from the beginning or by APPE at the present end
// (append.go). A final reply that was lost is settled by SIZE. An upload to a
// temporary name that holds the only connection is cut when somebody waits for it
// (turns.go), and goes on by APPE when they are done, or begins again where the server
// does not append. While r gives nothing no time is counted against the server, so r
// itself must end with ctx.
func (s *Store) Write(ctx context.Context, p string, r io.Reader, offset, size int64) error {
	return s.write(ctx, p, r, offset, size, nil)
}

// write is Write; what is then to be delivered goes on where the upload has ended.
func (s *Store) write(ctx context.Context, p string, r io.Reader, offset, size int64, d *delivery) error {
	src := &source{r: r, ctx: ctx, up: s.up, base: offset, size: size}
	t := task{op: "upload", path: p, class: upload, changes: true, again: true, past: &src.touched}
	if err := validPath(p); err != nil {
		return s.fail(t, err)
	}
	if d != nil {
		if t.other = d.pb.p.Path; validPath(t.other) != nil {
			t.other, d = "", nil
		}
	}
	brief := offset == 0 && size >= 0 && size <= shortMost && s.temporary(p) && s.up == nil && src.keeps()
	if brief && d != nil && s.pool.limitNow() >= fewConns {
		t.class = metadata // it is as short, and needs nothing left for others
	}
	if brief {
		t.past = &src.sent // what is kept may be begun again until it is on its way
	} else if s.temporary(p) { // only what nobody takes for the whole file may be cut
		if size < 0 || size > provenFrom {
			if err := s.learnAppend(ctx, t); err != nil {
				return err
			}
		}
		defer s.pool.cuttable(src)()
	}
	err := s.run(ctx, t, func(ss *session) error {
		src.begin()
		if offset > 0 {
			return ss.append(p, src, offset)
		}
		var err error
		if brief {
			if err = ss.storAll(ss.path(p), src, d.foresee(ss)); err == nil {
				d.deliver(ss)
			}
		} else {
			err = ss.stor(ss.path(p), src, !s.temporary(p))
		}
		ss.ready = toPrepare
		if r, no := refusal(err); no {
			return ss.notWritten(p, r)
		}
		return err
	})
	if err == nil && src.wasCut && src.restart {
		err = s.fail(t, fault(remote.Temporary, "ended to let others go first, as there is one connection; it begins again, because this server does not append"))
	}
	for err == nil && src.wasCut {
		from := src.base + src.n
		src.wasCut, src.touched = false, false
		err = s.run(ctx, t, func(ss *session) error {
			src.begin()
			return ss.append(p, src, from)
		})
		if remote.Is(err, remote.Unsupported) {
			err = s.fail(t, fault(remote.Temporary, "ended to let others go first, and this server does not append after all: it begins again"))
		}
	}
	if err == nil && src.pool != nil {
		s.pool.through(time.Since(src.begun))
	}
	if src.err != nil {
		// The source gave out, not the server.
		if _, ours := src.err.(*remote.Error); ours || ctx.Err() == nil {
			return s.fail(t, src.err)
		}
	}
	if err != nil && src.whole && ctx.Err() == nil && remote.KindOf(err).Offline() {
		if n, err2 := s.sizeOf(ctx, p); err2 == nil && n == src.base+src.n {
			s.log.Info("the reply to an upload was lost, its size is right", "path", p, "because", err)
			return nil
		}
	}
	return err
}

// notWritten settles why an upload was refused.
func (ss *session) notWritten(p string, r wire.Reply) error {
	kind := kindOf("upload", r)
	if kind == remote.BadName && r.Code == 553 && ss.store.temporary(p) {
		kind = remote.Unknown // a name of our own making is a good one: vsftpd says so of any file it may not make
	}
	if kind != remote.Unknown && kind != remote.Permission && !(kind == remote.BadName && r.Code == 553) { // Windows denies access to what is a directory
		return as(kind, r)
	}
	e, err := ss.look(p)
	switch {
	case err == nil && e.Type == remote.Dir:
		return as(remote.IsDir, r)
	case err == nil:
		return as(remote.Permission, r)
	case !absent(err):
		return keepFault(err, as(kind, r))
	}
	return ss.notCreated(p, kind, r)
}

// notCreated settles why a name that is not there could not be made.
func (ss *session) notCreated(p string, kind remote.Kind, r wire.Reply) error {
	e, err := ss.look(parent(p))
	switch {
	case absent(err):
		return as(remote.KindOf(err), r)
	case err != nil:
		return keepFault(err, as(kind, r))
	case e.Type == remote.File || e.Type == remote.Other:
		return as(remote.NotDir, r)
	case kind == remote.Unknown:
		return as(remote.Permission, r)
	}
	return as(kind, r)
}

// keepFault prefers a broken dialogue to a refusal that could not be explained.
func keepFault(err error, r *remote.Error) error {
	if wire.FaultOf(err) != nil {
		return err
	}
	return r
}

func (s *Store) sizeOf(ctx context.Context, p string) (n int64, err error) {
	t := task{op: "check", path: p, class: metadata, again: true}
	err = s.run(ctx, t, func(ss *session) error {
		r, err := ss.wire.Cmd("SIZE " + ss.path(p))
		if err != nil {
			return err
		}
		size, ok := sizeIn(r)
		if !ok {
			return refused(t.op, r)
		}
		n = size
		return nil
	})
	return n, err
}

// source counts what an upload's reader gives, and fails when that is not what
// was announced, so that the server never takes a part for the whole.
type source struct {
	r       io.Reader
	ctx     context.Context
	up      *throttle
	base    int64 // bytes of the file before r's first
	size    int64 // announced; -1 unknown
	n       int64
	touched bool   // bytes were taken: the upload cannot be begun again
	whole   bool   // the end was reached, and it was the right one
	sent    bool   // of a short one: it is on its way
	kept    []byte // all of it, once it was asked for
	err     error  // of r

	pool     *pool         // nil: it does not give way
	patience time.Duration // the least turn if it has to begin again
	again    func() bool   // may it? nil: never
	turn
	wasCut  bool
	restart bool // it begins again
}

// shortMost is how long an upload may be that is read at once and sent in one piece.
const shortMost = remote.Short

// keeps says that what r gave stays where it was until it is on the server, so that it may be read ahead.
func (s *source) keeps() bool {
	r, ok := s.r.(interface{ Again() bool })
	return !ok || r.Again()
}

// all is the whole of a short one, read once.
func (s *source) all() ([]byte, error) {
	if s.kept == nil {
		b := bytes.NewBuffer(make([]byte, 0, s.size+1))
		if _, err := b.ReadFrom(struct{ io.Reader }{s}); err != nil {
			return nil, err
		}
		s.kept = b.Bytes()
	}
	return s.kept, nil
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.touched && s.n != s.size && s.pool != nil && s.over() && s.mayCut() {
		s.wasCut = true
		return 0, io.EOF
	}
	s.touched = true
	n, err := s.r.Read(s.up.part(p))
	if werr := s.up.moved(s.ctx, n); werr != nil {
		s.err = werr
		return 0, werr
	}
	s.n += int64(n)
	switch {
	case s.size >= 0 && s.n > s.size:
		s.err = &remote.Error{Kind: remote.ShortWrite, Err: fmt.Errorf("more than the announced %d bytes to upload", s.size)}
		return 0, s.err
	case err == io.EOF && s.size >= 0 && s.n < s.size:
		s.err = &remote.Error{Kind: remote.ShortWrite, Err: fmt.Errorf("%d of the announced %d bytes to upload", s.n, s.size)}
		return n, s.err
	case err == io.EOF:
		s.whole = true
	case err != nil:
		s.err = err
	}
	return n, err
}
