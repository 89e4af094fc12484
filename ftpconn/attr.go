package ftpconn

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

const stamp = "20060102150405"

// SetAttr sets mode and time of a path, each as far as the server can.
func (s *Store) SetAttr(ctx context.Context, p string, a remote.Attr) error {
	t := task{op: "set attributes", path: p, class: metadata, changes: true, again: true}
	if err := validPath(p); err != nil {
		return s.fail(t, err)
	}
	return s.run(ctx, t, func(ss *session) error {
		full := ss.path(p)
		var first error
		if a.Mode != nil {
			err := ss.chmod(p, full, *a.Mode)
			if wire.FaultOf(err) != nil {
				return err
			}
			first = err
		}
		if a.MTime != nil {
			if err := ss.touch(p, full, *a.MTime); err != nil && (first == nil || wire.FaultOf(err) != nil) {
				first = err
			}
		}
		return first
	})
}

// chmodCommand is MFF where the server has it for modes, else SITE CHMOD; "" when
// neither can name the path: ProFTPD cuts blanks at the end of the words of SITE,
// so that a mode meant for "dir/ " would be set on dir itself, and makes a blank of a tab.
func (ss *session) chmodCommand(full string, mode uint32) string {
	k := ss.store.server.known()
	switch {
	case k.noChmod:
		return ""
	case strings.Contains(strings.ToLower(k.features["MFF"]), "unix.mode;"):
		return fmt.Sprintf("MFF UNIX.mode=%04o; %s", mode&0o7777, full)
	case (strings.HasSuffix(full, " ") || strings.Contains(full, "\t")) && !k.is("vsftpd") && !k.is("pyftpdlib"):
		return ""
	}
	return fmt.Sprintf("SITE CHMOD %03o %s", mode&0o7777, full)
}

func (ss *session) learnChmod(r wire.Reply) {
	if kindOf("chmod", r) == remote.Unsupported && !r.OK() {
		ss.store.server.learn(func(f *facts) { f.noChmod = true })
	}
}

func (ss *session) chmod(p, full string, mode uint32) error {
	cmd := ss.chmodCommand(full, mode)
	if cmd == "" {
		return fault(remote.Unsupported, "this server cannot set the mode")
	}
	r, err := ss.wire.Cmd(cmd)
	if err != nil || r.OK() {
		return err
	}
	ss.learnChmod(r)
	return ss.notSet(p, r, remote.Permission)
}

func (ss *session) touch(p, full string, t time.Time) error {
	way, err := ss.wayToSetTime(full, t)
	if err != nil {
		return err
	}
	if way == setTimeNone {
		return fault(remote.Unsupported, "this server cannot set times")
	}
	r, err := ss.wire.Cmd(timeCommand(way, full, t))
	if err != nil || r.OK() {
		return err
	}
	e := ss.notSet(p, r, remote.Permission)
	if remote.Is(e, remote.Permission) {
		if got, err := ss.look(p); err == nil && got.Type == remote.Dir {
			return as(remote.Unsupported, r) // some set the times of files only
		}
	}
	return e
}

// notSet settles why an attribute of p could not be set.
func (ss *session) notSet(p string, r wire.Reply, present remote.Kind) error {
	kind := kindOf("set attributes", r)
	if kind != remote.Unknown {
		return as(kind, r)
	}
	switch _, err := ss.look(p); {
	case absent(err):
		return as(remote.KindOf(err), r)
	case err != nil:
		return keepFault(err, as(kind, r))
	}
	return as(present, r)
}

// timeCommand sets the time of full in one of the ways.
func timeCommand(way setTime, full string, t time.Time) string {
	u := t.UTC().Format(stamp)
	switch way {
	case setTimeMDTM:
		return "MDTM " + u + " " + full
	case setTimeUTIME:
		return "SITE UTIME " + full + " " + u + " " + u + " " + u + " UTC"
	case setTimeStamp:
		return "SITE UTIME " + u + " " + full
	}
	return "MFMT " + u + " " + full
}

// wayToSetTime returns how this server sets times. The first time it is asked
// it finds out, on the file that is to be set anyway: what FEAT says first,
// then the ways of servers that say nothing, each believed only when the time
// reads back. The second shape of SITE UTIME, of old ProFTPDs, is tried on temporary files
// of ours alone, as servers might take its time for one of their own zone, and somebody's
// file would be left with a wrong one. Minutes alone, which they take too, are of no use. (vsftpd is known, and reads back no times of directories.)
func (ss *session) wayToSetTime(full string, t time.Time) (setTime, error) {
	k := ss.store.server.known()
	words := strings.ContainsAny(full, " \t\v\f")
	if (k.setTime == setTimeUTIME || k.setTime == setTimeStamp) && words {
		return setTimeNone, nil // words of SITE end at blanks: it would set the time of another file
	}
	if k.setTime != setTimeUntried {
		return k.setTime, nil
	}
	if k.is("vsftpd") {
		ss.store.server.learn(func(f *facts) { f.setTime = setTimeMDTM })
		return setTimeMDTM, nil
	}
	ways := []setTime{setTimeMDTM, setTimeMFMT, setTimeUTIME, setTimeStamp} // SITE last: it cannot name all paths
	if k.has("MFMT") {
		ways = []setTime{setTimeMFMT, setTimeMDTM, setTimeUTIME, setTimeStamp}
	}
	ours, all := ss.store.temporary(ss.mountPath(full)), true
	var utime wire.Reply // to its first shape
	for _, way := range ways {
		switch {
		case (way == setTimeUTIME || way == setTimeStamp) && words:
			all = false
			continue // words of SITE are not safe with blanks
		case way == setTimeStamp && utime.OK():
			continue // it took the first one, and did something else
		case way == setTimeStamp && !ours:
			all = all && kindOf("set attributes", utime) == remote.Unsupported // there is no SITE UTIME
			continue
		}
		r, err := ss.wire.Cmd(timeCommand(way, full, t))
		if err != nil {
			return 0, err
		}
		if way == setTimeUTIME {
			utime = r
		}
		if !r.OK() {
			if way == setTimeMFMT && kindOf("set attributes", r) != remote.Unsupported { // it knows the command; not for this path
				if k.has("MFMT") {
					return setTimeMFMT, nil
				}
				all = all && ours
			}
			continue
		}
		said := way == setTimeMFMT && (k.has("MFMT") || r.Code == 213) // also of a directory, whose time MDTM may not tell
		got, ok, err := ss.timeOf(full)
		if err != nil {
			return 0, err
		}
		if ok && got.Unix() != t.Unix() || !ok && !said {
			continue
		}
		ss.store.server.learn(func(f *facts) { f.setTime = way })
		return way, nil
	}
	if !all {
		return setTimeNone, nil // not for this path
	}
	// Not for this path; only a plain file proves that there is no way.
	if e, err := ss.look(ss.mountPath(full)); err == nil && e.Type == remote.File {
		ss.store.server.learn(func(f *facts) { f.setTime = setTimeNone })
	} else if wire.FaultOf(err) != nil {
		return 0, err
	}
	return setTimeNone, nil
}

// timeOf reads back the time of a path; ok when it is told to the second. It is what the
// mount would show: of MLST where there is that, else of MDTM.
func (ss *session) timeOf(full string) (at time.Time, ok bool, err error) {
	if ss.mlst() {
		e, r, err := ss.mlstOf(ss.mountPath(full))
		switch {
		case wire.FaultOf(err) != nil:
			return at, false, err
		case err == nil && r.OK() && !e.MTime.IsZero() && e.MGrain <= time.Second:
			return e.MTime, true, nil
		}
	}
	r, err := ss.wire.Cmd("MDTM " + full)
	if err != nil {
		return at, false, err
	}
	at, ok = timeIn(r)
	return at, ok, nil
}
