package ftpconn

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"time"

	"github.com/jlaffaye/ftp"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Open starts a download. What identifies the file's version is asked in the
// same segment, and compared with expect before any of its data is given out.
func (s *Store) Open(ctx context.Context, p string, offset int64, expect *remote.Version) (io.ReadCloser, error) {
	t := task{op: "open", path: p, class: read, again: true}
	if err := validPath(p); err != nil {
		return nil, s.fail(t, err)
	}
	if offset < 0 {
		return nil, s.fail(t, fault(remote.Unsupported, "negative offset"))
	}
	r := &reader{store: s, task: t, path: p, pos: offset, expect: expect}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if err := r.open(); err != nil {
		r.cancel()
		return nil, err
	}
	return r, nil
}

// reader is a download under way. Between reads it may lose its connection to
// someone who waits for one, and takes up again where it was if the file is
// still the same.
type reader struct {
	store  *Store
	task   task
	path   string
	ctx    context.Context
	cancel context.CancelFunc
	turn

	mu     sync.Mutex // held during a read
	expect *remote.Version
	pos    int64
	skip   int64    // bytes that come before pos, where the server begins at the first
	ss     *session // nil: ended, parked or failed
	tricks wire.Tricks
	plain  bool // without any
	unbind func()
	resp   *ftp.Response
	parked bool
	last   time.Time // end of the last read
	err    error     // what every further read says
}

// briefMost is how long a download may be that has a command behind it: so short that it
// fits into the sockets' buffers, and the server has done with it before it looks.
const briefMost = 64 << 10

// open begins the transfer at r.pos on a session of the pool, and keeps it.
func (r *reader) open() error {
	s := r.store
	fresh := false
	for i := 1; ; i++ {
		ss, err := s.pool.acquire(r.ctx, read, fresh)
		if err != nil {
			return s.fail(r.task, err)
		}
		reused := ss.used > 0
		unbind := ss.wire.Bind(r.ctx)
		resp, err := r.begin(ss)
		if err == nil && resp != nil {
			r.ss, r.unbind, r.resp, r.parked, r.last = ss, unbind, resp, false, time.Now()
			r.tricks = ss.wire.Tricks()
			r.turn.begin()
			s.pool.watch(r)
			return nil
		}
		unbind()
		s.finish(ss, read, err)
		if err == nil {
			r.err = io.EOF // at or past the end
			return nil
		}
		if i == attempts || r.ctx.Err() != nil || !s.repeat(r.task, err, reused, i) {
			return s.fail(r.task, err)
		}
		fresh = fresh || renew(ss, err)
	}
}

// begin returns nil and no error for an offset at or past the end.
func (r *reader) begin(ss *session) (*ftp.Response, error) {
	if err := r.store.speakable(r.path); err != nil {
		return nil, err
	}
	full := ss.path(r.path)
	var seen *remote.Version
	q := ss.inquire(r.path)
	past := false
	absent := false
	t := wire.Transfer{Ahead: q.cmds, Check: func(rs []wire.Reply) error {
		e, err := ss.answered(q, rs)
		absent = e.absent
		if err != nil || !e.found {
			return err // not found: RETR itself says why
		}
		if e.Type == remote.Dir {
			return fault(remote.IsDir, "")
		}
		v := e.Version()
		if e.Type == remote.Symlink {
			v.Size = -1 // its own; what is sent is what it points to
		}
		seen = &v
		if r.expect != nil && r.expect.Differs(v) {
			return fault(remote.Changed, "the server's file has %d bytes of %v", v.Size, v.MTime.UTC())
		}
		past = r.pos > 0 && v.Size >= 0 && r.pos >= v.Size
		return nil
	}}
	k := r.store.server.known()
	t.Short = r.expect != nil && r.pos == 0 && r.expect.Size >= 0 && r.expect.Size <= briefMost && !r.plain
	t.HalfClose = k.is("proftpd")
	r.skip = 0
	if ss.store.server.known().noRest {
		r.skip = r.pos
	}
	resp, err := ss.retr(full, r.pos-r.skip, t)
	if _, no := refusal(err); no && ss.wire.RestRefused() && !past {
		// Then from the first byte on. Some refuse only what does not fit into 32 bits.
		if r.pos <= math.MaxInt32 {
			ss.store.server.learn(func(f *facts) { f.noRest = true })
		}
		r.skip = r.pos
		resp, err = ss.retr(full, 0, t)
	}
	ss.ready = toPrepare
	if err == nil && past && r.skip > 0 {
		resp.Close()
		return nil, nil
	}
	if err == nil {
		if seen != nil && r.expect == nil {
			r.expect = seen
		}
		return resp, nil
	}
	reply, no := refusal(err)
	if !no {
		return nil, err
	}
	if past {
		return nil, nil
	}
	return nil, ss.notRead(r.path, reply, absent)
}

// notRead settles why a file cannot be read.
func (ss *session) notRead(p string, r wire.Reply, gone bool) error {
	kind := kindOf("open", r)
	switch kind {
	case remote.NotExist:
		gone = true
	case remote.Unknown, remote.Temporary:
	default:
		return as(kind, r)
	}
	if gone {
		// "No such file" is what some say of a directory.
		switch in, err := ss.wire.Cmd("CWD " + ss.path(p)); {
		case err != nil:
			return err
		case in.OK():
			return as(remote.IsDir, r)
		}
		return as(remote.NotExist, r)
	}
	switch e, err := ss.look(p); {
	case absent(err):
		return as(remote.KindOf(err), r)
	case err != nil:
		return err
	case e.Type == remote.Dir:
		return as(remote.IsDir, r)
	case kind == remote.Unknown:
		return as(remote.Permission, r)
	}
	return as(kind, r)
}

// Read returns io.EOF only after the server confirmed that all was sent.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read(p)
}

func (r *reader) read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.ss != nil && r.expect != nil && r.over() {
		r.abort()
		r.parked = true
	}
	if r.parked {
		if r.expect == nil {
			r.err = r.store.fail(r.task, fault(remote.Temporary, "the download rested too long and was ended"))
			return 0, r.err
		}
		if err := r.open(); err != nil {
			r.err = err
			return 0, err
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	if r.expect != nil && r.expect.Size >= 0 {
		p = p[:min(int64(len(p)), max(0, r.expect.Size-r.pos)+1)] // one more would tell
	}
	n, err := r.skipped(r.store.down.part(p))
	r.pos += int64(n)
	if n > 0 && r.expect != nil && r.expect.Size >= 0 && r.pos > r.expect.Size { // who began behind the end gets nothing
		r.abort()
		r.err = r.store.fail(r.task, fault(remote.Changed, "the server sends more than the %d bytes it told of", r.expect.Size))
		return max(0, n-int(r.pos-r.expect.Size)), r.err
	}
	if werr := r.store.down.moved(r.ctx, n); werr != nil && err == nil {
		r.abort()
		r.err = r.store.fail(r.task, werr)
		return n, r.err
	}
	r.last = time.Now()
	if err == nil {
		return n, nil
	}
	if f := wire.FaultOf(err); f != nil && (f.Fault == wire.Stalled || f.Fault == wire.Stopped) {
		r.resp.Close()
		if f.Fault == wire.Stalled && r.ss.wire.Dead() == nil {
			err = stuck(f)
		}
	}
	if err == io.EOF {
		err = r.ss.settle(r.resp.Close())
		if errors.Is(err, wire.ErrTorn) && r.expect != nil && r.expect.Size == r.pos {
			err = nil // nothing is missing: the size came over the control connection
		}
		if rep, no := refusal(err); no {
			e := refused("read", rep)
			if e.Kind == remote.Unknown {
				e.Kind = remote.Temporary
			}
			err = e
		}
	}
	if r.cutForATrick(err) {
		r.plain = true
		return r.goOn(p, n, err)
	}
	if err == nil && r.expect != nil && r.expect.Size > r.pos {
		err = fault(remote.Temporary, "the server called %d bytes of %d the whole", r.pos, r.expect.Size)
	}
	if err == nil {
		r.err = io.EOF
		r.store.traits.Clear(r.tricks)
	} else {
		r.err = r.store.fail(r.task, err)
	}
	r.giveBack(err)
	return n, r.err
}

// skipped reads behind what is to be skipped.
func (r *reader) skipped(p []byte) (int, error) {
	if r.skip == 0 {
		return r.resp.Read(p)
	}
	none := make([]byte, 32<<10)
	for r.skip > 0 {
		n, err := r.resp.Read(r.store.down.part(none[:min(r.skip, int64(len(none)))]))
		_ = r.store.down.moved(r.ctx, n) // the next step ends with the context
		if r.skip -= int64(n); err != nil {
			return 0, err
		}
	}
	return r.resp.Read(p)
}

// stuck is a transfer that stalled while the server still answers: no reason to
// count it as down.
func stuck(f *wire.Error) error {
	return &remote.Error{Kind: remote.Timeout, Err: errors.New(f.Error())}
}

// Close ends the download; from another goroutine it also ends a Read.
func (r *reader) Close() error {
	if !r.mu.TryLock() {
		r.cancel()
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	r.abort()
	r.parked = false
	if r.err == nil {
		r.err = errors.New("read of a closed download")
	}
	r.cancel()
	return nil
}

// abort ends the transfer and gives the session back.
func (r *reader) abort() {
	if r.ss == nil {
		return
	}
	r.resp.Close()
	r.giveBack(nil)
}

func (r *reader) giveBack(err error) {
	r.store.pool.unwatch(r)
	r.unbind()
	ss := r.ss
	r.ss, r.resp, r.unbind = nil, nil, nil
	r.store.finish(ss, read, err)
}
