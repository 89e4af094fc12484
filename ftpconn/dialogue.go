package ftpconn

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Dialogue is one logged-in connection that belongs to who asked for it, and not to the
// pool. It is made as the mount's connections are, by the same login and with the same
// encryption, shares with them what is learned of the server, and lets its owner say any
// command: it is for finding out what a server does. Nothing is repeated on it. After a
// broken dialogue it takes no more commands (Dead); another can be had.
//
// It is used by one goroutine at a time, and closed by its owner, before the Store is.
// Paths are the mount's, as in remote.Store.
type Dialogue struct {
	ss    *session
	since time.Time
}

// Dialogue logs in. The error's kind is that of Connect; Temporary says that the server
// has no connection left for us (see InTurn).
func (s *Store) Dialogue(ctx context.Context) (*Dialogue, error) {
	ss, err := s.login(ctx)
	if err != nil {
		return nil, s.fail(task{op: "connect"}, err)
	}
	return &Dialogue{ss, time.Now()}, nil
}

// Meet connects and encrypts as the Store would, does not log in, and hangs up. It
// returns the greeting and what protects the connection.
func (s *Store) Meet(ctx context.Context) (wire.Reply, wire.Protection, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	w, err := wire.Dial(ctx, s.wireConfig(int(s.count.conns.Add(1))))
	if err != nil {
		return wire.Reply{}, s.tls.Known(), s.fail(task{op: "connect"}, turnedAway(err))
	}
	w.Quit()
	return w.Greeting(), s.tls.Known(), nil
}

// Protection is what protects the connections so far, with the server's certificate.
func (s *Store) Protection() wire.Protection { return s.tls.Known() }

// Dead returns why the connection takes no more commands, or nil.
func (d *Dialogue) Dead() error { return d.ss.wire.Dead() }

// Local reports whether the server is this machine.
func (d *Dialogue) Local() bool { return d.ss.wire.Local() }

// Peer is the address of the server; a proxy's where there is one.
func (d *Dialogue) Peer() string { return d.ss.wire.Peer() }

// Greeting is the server's first reply, Features that to FEAT.
func (d *Dialogue) Greeting() wire.Reply { return d.ss.wire.Greeting() }
func (d *Dialogue) Features() wire.Reply { return d.ss.wire.Features() }

// Path is what p is called on the server.
func (d *Dialogue) Path(p string) string { return d.ss.path(p) }

// Cmd sends a command that moves no data and returns its reply, whatever it says. The
// error is of a broken dialogue.
func (d *Dialogue) Cmd(ctx context.Context, cmd string) (r wire.Reply, err error) {
	err = d.do(ctx, task{op: "ask"}, func(ss *session) (err error) {
		r, err = ss.wire.Cmd(cmd)
		return err
	})
	return r, err
}

// Upload sends src by a verb with its argument, at offset if that is not 0: by REST, which
// the mount never sends with an upload, since some servers cut the file there. It returns
// the final reply, or the refusal; after a refusal at an offset the connection is closed,
// as the REST may still count.
func (d *Dialogue) Upload(ctx context.Context, verb string, offset int64, src io.Reader) (r wire.Reply, err error) {
	err = d.do(ctx, task{op: "upload"}, func(ss *session) error {
		if offset > 0 {
			if r, err = ss.wire.Cmd(fmt.Sprintf("REST %d", offset)); err != nil || r.Class() != 3 {
				return err
			}
		}
		out, err := ss.wire.Transfer(wire.Transfer{Verb: verb, Upload: true, Alone: true})
		if r = out.Refusal; err == nil && out.Data != nil {
			_, serr := out.Data.ReadFrom(slowed{src, ctx, ss.store.up})
			if r, err = out.Data.Finish(); err == nil {
				err = serr
			}
		}
		if offset > 0 && (err != nil || !r.OK()) {
			ss.wire.Close()
		}
		return err
	})
	return r, err
}

// Download writes what the server has of p from offset on to dst, and returns the final
// reply, or the refusal. An error of dst ends the transfer early, and is returned.
func (d *Dialogue) Download(ctx context.Context, p string, offset int64, dst io.Writer) (r wire.Reply, err error) {
	err = d.do(ctx, task{op: "download", path: p}, func(ss *session) error {
		out, err := ss.wire.Transfer(wire.Transfer{Verb: "RETR " + ss.path(p), Offset: offset})
		if r = out.Refusal; err == nil && out.Data == nil && ss.wire.RestRefused() && offset <= math.MaxInt32 {
			ss.store.server.learn(func(f *facts) { f.noRest = true })
		}
		if err != nil || out.Data == nil {
			return err
		}
		if _, err = io.Copy(dst, slowed{out.Data, ctx, ss.store.down}); err != nil && wire.FaultOf(err) == nil {
			if aerr := out.Data.Abort(); aerr != nil {
				return aerr
			}
			return err
		}
		final, ferr := out.Data.Finish()
		if r = final; err == nil {
			err = ferr
		}
		return err
	})
	return r, err
}

// Refuse is nil where the server takes names as p's, and else why they are not sent.
func (d *Dialogue) Refuse(p string) error {
	if err := validPath(p); err != nil {
		return err
	}
	return d.ss.store.speakable(p)
}

// List is what the mount sees of a directory. It asks for exact times, as the mount does.
func (d *Dialogue) List(ctx context.Context, dir string) (entries []remote.Entry, err error) {
	err = d.do(ctx, task{op: "list", path: dir}, func(ss *session) (err error) {
		entries, err = ss.list(dir, true)
		return err
	})
	return entries, err
}

// Lines are those of a listing of dir by a command that lists where one is, as they came.
func (d *Dialogue) Lines(ctx context.Context, dir, verb string) (lines []string, err error) {
	err = d.do(ctx, task{op: "list", path: dir}, func(ss *session) error {
		return ss.lines(dir, verb, func(line string) error {
			lines = append(lines, line)
			return nil
		})
	})
	return lines, err
}

// Enter makes sure that the mounted directory is there, as Connect does.
func (d *Dialogue) Enter(ctx context.Context) error {
	return d.do(ctx, task{op: "connect"}, (*session).checkBase)
}

// Touch sets a time, and Chmod a mode, as the mount does it.
func (d *Dialogue) Touch(ctx context.Context, p string, at time.Time) error {
	return d.do(ctx, task{op: "set attributes", path: p}, func(ss *session) error { return ss.touch(p, ss.path(p), at) })
}

func (d *Dialogue) Chmod(ctx context.Context, p string, mode uint32) error {
	return d.do(ctx, task{op: "set attributes", path: p}, func(ss *session) error { return ss.chmod(p, ss.path(p), mode) })
}

// ProveAppend shows on a scratch file in dir that the server appends; the error says how
// it does not.
func (d *Dialogue) ProveAppend(ctx context.Context, dir string) error {
	return d.do(ctx, task{op: "append", path: dir}, func(ss *session) error { return ss.proveAppend(dir) })
}

// Space is what the server tells of its disk.
func (d *Dialogue) Space(ctx context.Context) (sp remote.Space, err error) {
	err = d.do(ctx, task{op: "statfs"}, func(ss *session) (err error) {
		sp, err = ss.space()
		return err
	})
	return sp, err
}

// A Sum is a checksum as the server computes it in one way; Sum is nil where it offers
// the way and the answer is none.
type Sum struct {
	Verb string // HASH, XCRC, …
	remote.Checksum
}

// Sums asks for the checksum of a file of size bytes in each way that FEAT names.
func (d *Dialogue) Sums(ctx context.Context, p string, size int64) (all []Sum, err error) {
	err = d.do(ctx, task{op: "checksum", path: p}, func(ss *session) error {
		k := ss.store.server.known()
		for _, way := range sums {
			if !k.sums(way.verb, way.algorithm) {
				continue
			}
			sum, ok, err := ss.sumBy(way.verb, way.algorithm, p, size)
			if err != nil && !remote.Is(err, remote.Unsupported) {
				return err
			}
			if sum.Algorithm = way.algorithm; !ok {
				sum.Sum = nil
			}
			all = append(all, Sum{way.verb, sum})
		}
		return nil
	})
	return all, err
}

// do runs f until ctx ends.
func (d *Dialogue) do(ctx context.Context, t task, f func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return d.ss.store.fail(t, err)
	}
	defer d.ss.wire.Bind(ctx)()
	return d.ss.store.fail(t, f(d.ss))
}
