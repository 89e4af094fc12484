package ftpconn

import (
	"errors"
	"path"
	"strings"
	"unicode/utf8"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// maxPath is the longest path sent to a server.
const maxPath = 4 << 10

// validPath refuses what no server can be asked about, before anything is sent.
func validPath(p string) error {
	switch {
	case wire.Refused(p) != nil:
		return &remote.Error{Kind: remote.BadName, Err: wire.Refused(p)}
	case len(p) > maxPath:
		return &remote.Error{Kind: remote.BadName, Err: errors.New("path too long")}
	case p == "" || p[0] != '/':
		return &remote.Error{Kind: remote.BadName, Err: errors.New("not an absolute path")}
	}
	return nil
}

// speakable refuses paths that this server would silently take for others, so
// that a neighbour would be changed or shown in their place.
func (f *facts) speakable(p string) error {
	switch {
	case f.is("pure-ftpd"):
		if strings.ContainsFunc(p, control) || strings.HasSuffix(p, " ") || strings.Contains(p, " /") {
			return fault(remote.BadName, "this server takes control characters, and blanks at the end of a name, for others")
		}
	case f.is("pyftpdlib"):
		if !utf8.ValidString(p) {
			return fault(remote.BadName, "this server mangles names that are not UTF-8")
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// path of p on the server: always absolute, so that a leading "~" or "-" is
// nothing special.
func (ss *session) path(p string) string {
	full := ss.base
	if p != "/" {
		full = strings.TrimSuffix(full, "/") + p
	}
	if ss.iac {
		full = strings.ReplaceAll(full, "\xff", "\xff\xff")
	}
	return full
}

// parent of a mount path; the root is its own.
func parent(p string) string { return path.Dir(p) }

// temporary says whether a path bears this mount's tag.
func (s *Store) temporary(p string) bool {
	return s.cfg.MountTag != "" && strings.Contains(path.Base(p), s.cfg.MountTag)
}

// mountPath is the inverse of path.
func (ss *session) mountPath(full string) string {
	if ss.iac {
		full = strings.ReplaceAll(full, "\xff\xff", "\xff")
	}
	if p := strings.TrimPrefix(full, strings.TrimSuffix(ss.base, "/")); p != "" {
		return p
	}
	return "/"
}
