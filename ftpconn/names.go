package ftpconn

import (
	"errors"
	"path"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/codepage"
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

// unsayable is refused by the wire, whatever it stands in.
const unsayable = "\x00"

// path of p on the server: always absolute, so that a leading "~" or "-" is
// nothing special. This is where names become the server's; a name that cannot was
// refused before (Store.speakable), and would be by the wire.
func (ss *session) path(p string) string {
	full := ss.base
	if p != "/" {
		full = strings.TrimSuffix(full, "/") + p
	}
	full, err := encode(ss.store.cfg.Codepage, full)
	if err != nil {
		return unsayable
	}
	return ss.telnet(full)
}

// telnet doubles the byte 255 for servers that take two for one, as Telnet does.
func (ss *session) telnet(s string) string {
	if strings.IndexByte(s, 0xff) >= 0 && ss.folds255() {
		return strings.ReplaceAll(s, "\xff", "\xff\xff")
	}
	return s
}

func (ss *session) folds255() bool {
	k := ss.store.server.known()
	return k.iac == wire.Proven || k.iac == wire.Untried && k.is("proftpd")
}

// parent of a mount path; the root is its own.
func parent(p string) string { return path.Dir(p) }

// temporary says whether a path bears this mount's tag.
func (s *Store) temporary(p string) bool {
	return s.cfg.MountTag != "" && strings.Contains(path.Base(p), s.cfg.MountTag)
}

// mountPath is the inverse of path.
func (ss *session) mountPath(full string) string {
	if strings.IndexByte(full, 0xff) >= 0 && ss.folds255() {
		full = strings.ReplaceAll(full, "\xff\xff", "\xff")
	}
	full = decode(ss.store.cfg.Codepage, full)
	if p := strings.TrimPrefix(full, strings.TrimSuffix(ss.base, "/")); p != "" {
		return p
	}
	return "/"
}

// encode turns a path into the server's bytes. A nil page is for servers whose bytes are
// ours.
func encode(page *codepage.Page, p string) (string, error) {
	if page == nil {
		return p, nil
	}
	names := strings.Split(p, "/")
	for i, name := range names {
		var err error
		if names[i], err = page.Encode(name); err != nil {
			return "", err
		}
	}
	return strings.Join(names, "/"), nil
}

// decode is its inverse.
func decode(page *codepage.Page, p string) string {
	if page == nil {
		return p
	}
	names := strings.Split(p, "/")
	for i, name := range names {
		names[i] = page.Decode(name)
	}
	return strings.Join(names, "/")
}

// local gives an entry of a listing the names that it has here.
func (s *Store) local(e *remote.Entry) {
	e.Name, e.Target = decode(s.cfg.Codepage, e.Name), decode(s.cfg.Codepage, e.Target)
}
