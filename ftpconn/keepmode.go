package ftpconn

import (
	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// A file that replaces another is given its mode again. What that is may have changed
// since it was listed: somebody who made a file private must not find it public again
// because we published over it. The check before the rename tells the mode where the
// server has MLST, and vsftpd in the line of a listing.

// modeIsNot says that what is replaced has another mode than the uploaded file was given
// for it, or has by itself.
func (pb *publishing) modeIsNot(was remote.Entry) bool {
	if !pb.p.Kept || !was.HasMode || was.Type != remote.File {
		return false
	}
	mode := was.Mode & 0o7777
	switch {
	case pb.p.Mode == nil:
		return !pb.out.Entry.HasMode || pb.out.Entry.Mode&0o7777 != mode
	case !pb.out.ModeSet: // it cannot be set
		return false
	}
	return *pb.p.Mode&0o7777 != mode
}

// keepMode gives the uploaded file the mode that was found on what it is to replace, and
// returns the reply to an RNFR. It costs a round trip, when somebody has changed the mode.
func (pb *publishing) keepMode(tmp string, mode uint32) (wire.Reply, error) {
	ss := pb.ss
	var cmds []string
	if pb.pending {
		cmds = append(cmds, "RNTO "+tmp) // ProFTPD takes no other command before it: see letGo
	}
	chmod := -1
	if cmd := ss.chmodCommand(tmp, mode); cmd != "" {
		chmod = len(cmds)
		cmds = append(cmds, cmd)
	}
	rs, err := ss.wire.Batch(append(cmds, "RNFR "+tmp)...)
	if err != nil {
		return wire.Reply{}, err
	}
	if chmod >= 0 {
		ss.learnChmod(rs[chmod])
		if pb.out.ModeSet = rs[chmod].OK(); pb.out.ModeSet {
			pb.out.Entry.Mode, pb.out.Entry.HasMode = mode&0o7777, true
		}
	}
	r := rs[len(rs)-1]
	pb.pending = r.Class() == 3
	return r, nil
}
