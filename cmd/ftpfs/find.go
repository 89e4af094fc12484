package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"ftpfs/cache/spool"
	"ftpfs/cmd/internal/mounts"
	"ftpfs/cmd/internal/place"
)

// controlAttr is where a mount's root says which socket its daemon listens on.
const controlAttr = "user.ftpfs.control"

// found is an ftpfs mount, and the path within it that was named.
type found struct {
	mounts.Mount
	within string // "/" is the whole mount
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
		list = append(list, found{m, "/"})
	}
	return list
}

func findOne(all []mounts.Mount, arg string) (found, error) {
	path, err := mounts.ResolveMountpoint(arg)
	if err != nil {
		return found{}, err
	}
	m, within, ok := mounts.Containing(all, path)
	if !ok || !m.Ours() {
		// A symlink inside a mount is a file of it, wherever it leads.
		if p, err := mounts.Resolve(arg); err == nil {
			m, within, ok = mounts.Containing(all, p)
		}
	}
	if !ok || !m.Ours() {
		return found{}, fmt.Errorf("%s is not in an ftpfs mount", arg)
	}
	return found{m, within}, nil
}

// mountAt returns the mount whose mount point arg is.
func mountAt(arg string) (found, error) {
	all, err := mounts.All()
	if err != nil {
		return found{}, err
	}
	path, err := mounts.ResolveMountpoint(arg)
	if err != nil {
		return found{}, err
	}
	at, ok := mounts.At(all, path)
	switch {
	case ok && at.Ours():
		return found{at, "/"}, nil
	case ok:
		return found{}, fmt.Errorf("%s is not an ftpfs mount (%s)", arg, at.Describe())
	}
	if m, _, ok := mounts.Containing(all, path); ok && m.Ours() {
		return found{}, fmt.Errorf("%s is not a mount point; it lies in the mount at %s", arg, m.Point)
	}
	return found{}, fmt.Errorf("%s is not mounted", arg)
}

var errDead = errors.New("its daemon is dead; ftpfs unmount removes the mount, mounting again replaces it")

// socketOf returns the control socket of a mount's daemon.
func socketOf(m mounts.Mount) (string, error) {
	point := m.Point
	if m.Root != "/" { // bound to a directory within: the attribute is the root's
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
	s, err := mounts.Getxattr(point, controlAttr)
	if err == nil && strings.HasPrefix(s, "/") {
		return s, nil
	}
	if errors.Is(err, syscall.ENOTCONN) {
		return "", errDead
	}
	// Not even root may look into other users' mounts, and a mount may be slow.
	if socks := place.FindSockets(m.Owner(), point); len(socks) > 0 {
		return socks[len(socks)-1], nil
	}
	if err == nil {
		err = errors.New("the mount does not name one")
	}
	return "", fmt.Errorf("no control socket for %s: %w", m.Point, err)
}

// leftBehind says what the spool of a mount owes when no daemon can be asked: the
// exit code that stands for it, and a line; 0 when it owes nothing. Other users'
// spools are not seen.
func leftBehind(m mounts.Mount) (int, string) {
	var last spoolLeft
	for _, s := range spools() {
		if s.note.Mountpoint == m.Point && s.note.Started.After(last.note.Started) {
			last = s
		}
	}
	switch {
	case last.owed == 0:
		return 0, ""
	case last.owed == last.parked:
		return exitParked, fmt.Sprintf("%s parked for %s; kept in %s", filesAre(last.parked), last.note.URL, last.note.Spool)
	}
	return exitOwed, fmt.Sprintf("%s (%s) still owed to %s; kept in %s, sent after the next mount",
		filesAre(last.owed-last.parked), size(last.bytes), last.note.URL, last.note.Spool)
}

// spoolLeft is a spool as it lies on disk.
type spoolLeft struct {
	note   place.Note
	owed   int // parked ones too
	bytes  int64
	parked int
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
