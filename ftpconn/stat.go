package ftpconn

import (
	"context"
	"path"
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// Stat asks for one path: MLST; else SIZE and MDTM, then whether it can be
// entered, then the parent's listing.
func (s *Store) Stat(ctx context.Context, p string) (e remote.Entry, err error) {
	t := task{op: "stat", path: p, class: metadata, again: true}
	if err := validPath(p); err != nil {
		return e, s.fail(t, err)
	}
	err = s.run(ctx, t, func(ss *session) (err error) {
		e, err = ss.stat(p)
		return err
	})
	if err == nil {
		s.there(p)
	}
	return e, err
}

func (ss *session) stat(p string) (remote.Entry, error) {
	if ss.mlst() || p == "/" || ss.doubtful(p) {
		return ss.look(p)
	}
	a, err := ss.byName(p)
	switch {
	case err != nil || a.found:
		return a.Entry, err
	case a.absent:
		return remote.Entry{}, as(remote.NotExist, a.reply)
	}
	return ss.look(p)
}

// byName asks for p as a file and as a directory, in one go.
func (ss *session) byName(p string) (a answer, err error) {
	full := ss.path(p)
	rs, err := ss.wire.Batch("SIZE "+full, "MDTM "+full, "CWD "+full)
	if err != nil {
		return a, err
	}
	a.reply = rs[0]
	if a.Entry, a.found = fileOf(p, rs[0], rs[1]); !a.found && rs[2].OK() {
		a.Entry, a.found = remote.Entry{Name: path.Base(p), Type: remote.Dir, Size: -1}, true
	}
	a.absent = !a.found && sure(rs[0]) && sure(rs[2])
	return a, nil
}

// fileOf makes an entry of the replies to SIZE and MDTM; ok when SIZE was
// answered, which servers do for plain files.
func fileOf(p string, size, mdtm wire.Reply) (remote.Entry, bool) {
	n, ok := sizeIn(size)
	if !ok {
		return remote.Entry{}, false
	}
	e := remote.Entry{Name: path.Base(p), Type: remote.File, Size: n}
	if t, ok := timeIn(mdtm); ok {
		e.MTime, e.MGrain = t, time.Second
	}
	return e, true
}

func sizeIn(r wire.Reply) (int64, bool) {
	if !r.OK() {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(r.Text()), 10, 64)
	return n, err == nil && n >= 0
}

func timeIn(r wire.Reply) (time.Time, bool) {
	if !r.OK() {
		return time.Time{}, false
	}
	return listing.ParseTime(strings.TrimSpace(r.Text()))
}

// inquiry is what tells the version of a file, for one segment.
type inquiry struct {
	path string
	mlst bool
	cmds []string
}

func (ss *session) inquire(p string) inquiry {
	full := ss.path(p)
	if ss.mlst() {
		// SIZE too, because ProFTPD words its refusal more clearly.
		return inquiry{p, true, []string{"MLST " + full, "SIZE " + full}}
	}
	return inquiry{p, false, []string{"SIZE " + full, "MDTM " + full}}
}

// size is the reply to SIZE.
func (q inquiry) size(rs []wire.Reply) wire.Reply {
	if q.mlst {
		return rs[1]
	}
	return rs[0]
}

// answer is what the server says of a name: an entry, certainly nothing, or neither.
type answer struct {
	remote.Entry
	found, absent bool
	reply         wire.Reply // the first refusal
}

func (ss *session) answered(q inquiry, rs []wire.Reply) (a answer, err error) {
	if len(rs) < 2 {
		return a, nil
	}
	a.reply = rs[0]
	a.absent = sure(rs[0]) || sure(rs[1])
	switch {
	case !q.mlst:
		a.Entry, a.found = fileOf(q.path, rs[0], rs[1])
	case rs[0].OK():
		a.Entry, err = entryOf(q.path, rs[0])
		a.found = err == nil
		if n, ok := sizeIn(rs[1]); ok && a.found && a.Type == remote.File {
			a.Size = n // what would be sent: of a link ProFTPD and Pure-FTPd give its own size in MLST
		}
	default:
		ss.noMLST(rs[0])
		a.Entry, a.found = fileOf(q.path, rs[1], wire.Reply{})
	}
	a.absent = a.absent && !a.found
	return a, err
}
