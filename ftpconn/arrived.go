package ftpconn

import (
	"errors"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// What was published is dropped here, so that the 250 to RNTO is not believed alone: there
// are servers, and things between us and them, that say it of what they did not do. In the
// segment of RNTO the server is asked what has the name. That costs no round trip.

// askAfter is the question; none where the server does not tell of files by name.
func (pb *publishing) askAfter() inquiry {
	if !pb.asked {
		return inquiry{}
	}
	q := pb.ss.inquire(pb.p.Path)
	if q.mlst {
		q.cmds = q.cmds[:1] // if that is no answer, we look
	}
	return q
}

// arrived fails where the answer says that the temporary file is not what has the name
// (there is nothing of that name, or it has another size, or it still is what was there)
// and the temporary file still is where it was. was is what was there, if there was
// something; rnto is what the server said of the rename. A time or an id alone proves
// nothing, since some servers make new ones in a rename. Where the temporary file is gone the
// rename was done: some servers take files away at once that are delivered to them. And
// where the server will not tell of the name, what it said counts.
func (pb *publishing) arrived(q inquiry, rs []wire.Reply, was remote.Entry, rnto wire.Reply) error {
	if len(q.cmds) == 0 {
		return nil
	}
	e, err := pb.ss.after(q, rs)
	why := ""
	switch {
	case absent(err):
		why = "nothing has the name"
	case wire.FaultOf(err) != nil:
		return err
	case err != nil:
		return nil
	case e.Size >= 0 && e.Size != pb.p.Size:
		why = "what has the name is of another size"
	case was.Name != "" && sameTimeAndSize(was, e) && !sameTimeAndSize(pb.ours, e):
		why = "what was there still is"
	default:
		return nil
	}
	switch _, err := pb.ss.stat(pb.tmp); {
	case absent(err):
		return nil
	case wire.FaultOf(err) != nil:
		return err
	}
	f := as(remote.Temporary, rnto)
	f.Err = errors.New("the server says that it renamed the file, but " + why)
	return f
}

func sameTimeAndSize(a, b remote.Entry) bool {
	v, w := a.Version(), b.Version()
	v.Unique, w.Unique = "", ""
	return !v.Differs(w)
}

// after reads the replies to an inquiry about a file that should be there, and looks where
// they do not tell it.
func (ss *session) after(q inquiry, rs []wire.Reply) (remote.Entry, error) {
	if q.mlst {
		if e, err := entryOf(q.path, rs[0]); rs[0].OK() && err == nil {
			return e, nil
		}
	} else if e, ok := fileOf(q.path, rs[0], rs[1]); ok {
		return e, nil
	}
	return ss.look(q.path)
}
