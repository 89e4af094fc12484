package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ftpfs/cache/spool"
	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/debt"
	"ftpfs/cmd/internal/mounts"
	"ftpfs/cmd/internal/place"
)

// controlAttr is where a mount's root says which socket its daemon listens on.
const controlAttr = "user.ftpfs.control"

// found is an ftpfs mount, and the path within it that was named.
type found struct {
	mounts.Mount
	within string // "/" is the whole mount
	name   string // as the user gave it, or the mount point
}

// findMounts returns the mounts that args name, files within them included; all of
// this user's (of everybody's, for root) when there are none.
func findMounts(args []string) ([]found, error) {
	all, err := mounts.All()
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return ownMounts(all), nil
	}
	var list []found
	for _, a := range args {
		f, err := findOne(all, a)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func ownMounts(all []mounts.Mount) []found {
	var list []found
	seen := map[string]bool{} // bind mounts show one file system several times
	for _, m := range all {
		uid := os.Geteuid()
		if !m.Ours() || seen[m.Device] || uid != 0 && m.Owner() != uid {
			continue
		}
		seen[m.Device] = true
		list = append(list, found{m, "/", m.Point})
	}
	return list
}

func findOne(all []mounts.Mount, arg string) (found, error) {
	if arg == "" { // as in mountAt
		return found{}, errors.New("the mount point or file is empty")
	}
	path, err := mounts.Resolve(arg, all)
	if err != nil {
		return found{}, err
	}
	m, within, ok := mounts.Containing(all, path)
	if !ok || !m.Ours() {
		return found{}, fmt.Errorf("%s is not in an ftpfs mount", arg)
	}
	if path == m.Point {
		return found{m, within, arg}, nil
	}
	// Follow the symlinks within, if its daemon will answer: what was written
	// through a link is owed under its own name.
	if dir, ok := followed(m, filepath.Dir(path)); ok {
		p := filepath.Join(dir, filepath.Base(path))
		if m2, w, ok := mounts.Containing(all, p); ok && m2.ID == m.ID {
			within = w
		}
	}
	return found{m, within, arg}, nil
}

// pingTime is within what a daemon that is well answers.
const pingTime = 5 * time.Second

func followed(m mounts.Mount, dir string) (string, bool) {
	socket, err := socketOf(m)
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingTime)
	defer cancel()
	if control.Call(ctx, socket, control.Request{Op: control.OpStatus}, nil, nil, m.Owner()) != nil {
		return "", false
	}
	p, err := filepath.EvalSymlinks(dir)
	return p, err == nil
}

// mountAt returns the mount whose mount point arg is.
func mountAt(arg string) (found, error) {
	if arg == "" { // of an unset shell variable; it is not the working directory
		return found{}, errors.New("the mount point is empty")
	}
	all, err := mounts.All()
	if err != nil {
		return found{}, err
	}
	path, err := mounts.Resolve(arg, all)
	if err != nil {
		return found{}, err
	}
	at, ok := mounts.At(all, path)
	switch {
	case ok && at.Ours():
		return found{at, "/", arg}, nil
	case ok:
		return found{}, fmt.Errorf("%s is not an ftpfs mount (%s)", arg, at.Describe())
	}
	if m, _, ok := mounts.Containing(all, path); ok && m.Ours() {
		return found{}, fmt.Errorf("%s is not a mount point; it lies in the mount at %s", arg, m.Point)
	}
	return found{}, fmt.Errorf("%s is not mounted", arg)
}

var errDead = errors.New("its daemon is dead; ftpfs unmount removes the mount, mounting again replaces it")

// socketOf returns the control socket of a mount's daemon. The mount itself, which
// names it too, is asked only when it is not where sockets are: see mounts.Resolve.
func socketOf(m mounts.Mount) (string, error) {
	point := m.Point
	if m.Root != "/" { // bound to a directory within: the daemon knows the whole
		all, err := mounts.All()
		if err != nil {
			return "", err
		}
		for _, o := range all {
			if o.Device == m.Device && o.Root == "/" {
				point = o.Point
			}
		}
	}
	for _, s := range place.FindSockets(m.Owner(), point) {
		if control.Dying(s) {
			return "", errDead
		}
		if control.Listening(s) {
			return s, nil
		}
	}
	s, err := mounts.Getxattr(point, controlAttr)
	switch {
	case err == nil && strings.HasPrefix(s, "/"):
		return s, nil
	case errors.Is(err, syscall.ENOTCONN):
		return "", errDead
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		return "", fmt.Errorf("the mount at %s belongs to another user; try as that user or as root", m.Point)
	case err == nil:
		err = errors.New("the mount names none")
	}
	return "", fmt.Errorf("no control socket for %s: %w", m.Point, err)
}

// dead says whether a mount's daemon is gone.
func dead(m mounts.Mount) bool {
	_, err := socketOf(m)
	return errors.Is(err, errDead)
}

// leftBehind says what the spool of a mount owes when no daemon can be asked: the
// exit code that stands for it, and a line; 0 when it owes nothing. Other users'
// spools are not seen.
func leftBehind(m mounts.Mount) (int, string) {
	last := lastSpool(m)
	if last.owed == 0 {
		return 0, ""
	}
	code := exitOwed
	if last.owed == last.parked {
		code = exitParked
	}
	return code, fmt.Sprintf("%s: %s (kept in %s)", last.note.URL, last.debt().Left(), last.note.Spool)
}

// lastSpool is the spool that was mounted at m last, of this user's.
func lastSpool(m mounts.Mount) (last spoolLeft) {
	for _, s := range spools() {
		if s.note.Mountpoint == m.Point && s.note.Started.After(last.note.Started) {
			last = s
		}
	}
	return last
}

// sending asks the daemons whose mount is gone, but which still send.
func sending(ctx context.Context) []mountReport {
	var list []mountReport
	for _, s := range spools() {
		if s.note.PID == 0 || s.note.Control == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, statusTime)
		var r mountReport
		err := control.Call(ctx, s.note.Control, control.Request{Op: control.OpStatus}, nil, &r.Status)
		cancel()
		if err == nil && r.State != "mounted" {
			r.socket = s.note.Control
			list = append(list, r)
		}
	}
	return list
}

// spoolLeft is a spool as it lies on disk.
type spoolLeft struct {
	note   place.Note
	owed   int   // parked ones too
	bytes  int64 // of those that are not parked
	parked int
}

func (s spoolLeft) debt() debt.Debt {
	return debt.Debt{Files: s.owed - s.parked, Bytes: s.bytes, Parked: s.parked}
}

// spools looks at all spools of this user, in use or not, without touching them.
func spools() []spoolLeft {
	roots, err := place.FindRoots("")
	if err != nil {
		return nil
	}
	keys, err := roots.Keys()
	if err != nil {
		return nil
	}
	var list []spoolLeft
	for _, k := range keys {
		s := spoolLeft{note: place.ReadNote(roots.Of(k).State)}
		if s.note.Spool == "" {
			continue
		}
		if s.owed, s.bytes, s.parked, err = spool.Peek(s.note.Spool); err == nil {
			list = append(list, s)
		}
	}
	return list
}
