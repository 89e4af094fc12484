package ftpconn

import (
	"errors"
	"path"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// checkBase makes sure that the mounted directory can be entered.
func (ss *session) checkBase() error {
	r, err := ss.wire.Cmd("CWD " + ss.path("/"))
	if err != nil || r.OK() {
		return err
	}
	e := refused("connect", r)
	switch e.Kind {
	case remote.Unknown, remote.Temporary, remote.NotExist:
		// Servers that give no reason give none for a missing directory, and some
		// say "no such directory" of a file.
		if ss.base == "/" {
			if e.Kind != remote.Temporary {
				e.Kind = remote.Permission
			}
			break
		}
		above := *ss
		above.base = "/"
		switch got, err := above.stat(ss.base); {
		case absent(err):
			e.Kind = remote.NotExist
		case wire.FaultOf(err) != nil:
			return err
		case err == nil && got.Type == remote.File:
			e.Kind = remote.NotDir
		case e.Kind != remote.Temporary: // it is there, or nobody can tell
			e.Kind = remote.Permission
		}
	}
	e.Err = errors.New("directory " + ss.base)
	return e
}

// sure says that a refusal means "not there" beyond doubt.
func sure(r wire.Reply) bool { return kindOf("look", r) == remote.NotExist }

// look finds out what is at p. It returns an error of kind NotExist only when
// the server said so in words, or when the parent's whole listing lacks the
// name or the parent itself is certainly not there.
func (ss *session) look(p string) (remote.Entry, error) {
	if ss.mlst() && !ss.doubtful(p) {
		e, r, err := ss.mlstOf(p)
		if err != nil {
			return remote.Entry{}, err
		}
		if r.OK() {
			return e, nil
		}
		if sure(r) {
			return remote.Entry{}, as(remote.NotExist, r)
		}
		// These may be worded more clearly. SIZE alone proves nothing: "no such
		// file" is what some say of a directory.
		k := ss.store.server.known()
		if !k.is("pure-ftpd") { // SIZE gives no reason there either, and failures of CWD are slow
			rs, err := ss.wire.Batch("SIZE "+ss.path(p), "CWD "+ss.path(p))
			if err != nil {
				return remote.Entry{}, err
			}
			if sure(rs[0]) && sure(rs[1]) {
				return remote.Entry{}, as(remote.NotExist, rs[0])
			}
		}
	}
	if p == "/" {
		if err := ss.checkBase(); err != nil {
			return remote.Entry{}, err
		}
		return remote.Entry{Name: "/", Type: remote.Dir, Size: -1}, nil
	}
	entries, err := ss.list(parent(p), false)
	if err != nil {
		return remote.Entry{}, err
	}
	name := path.Base(p)
	for _, e := range entries {
		if e.Name == name {
			return ss.exactly(p, e)
		}
	}
	if k := ss.store.server.known(); isDotted(p) && k.hidesDots() {
		return ss.unlisted(p)
	}
	return remote.Entry{}, fault(remote.NotExist, "not in the listing of %s", parent(p))
}

// absent says that err, of look, is certain absence: there is no such name, or
// something above it is no directory.
func absent(err error) bool { return remote.Is(err, remote.NotExist) || remote.Is(err, remote.NotDir) }

func (ss *session) mlst() bool {
	k := ss.store.server.known()
	return k.mlst
}

// mlstOf asks for the facts of one path. A refusal is returned as the reply.
func (ss *session) mlstOf(p string) (remote.Entry, wire.Reply, error) {
	cmds := []string{"MLST " + ss.path(p)}
	twin, ask := ss.otherCase(p)
	if ask {
		cmds = append(cmds, "MLST "+ss.path(twin))
	}
	rs, err := ss.wire.Batch(cmds...)
	if err != nil {
		return remote.Entry{}, wire.Reply{}, err
	}
	r := rs[0]
	if !r.OK() {
		ss.noMLST(r)
		return remote.Entry{}, r, nil
	}
	e, err := entryOf(p, r)
	if err == nil && ask {
		ss.casesTold(e, twin, rs[1])
	}
	return e, r, err
}

// noMLST gives up MLST when the server does not have it after all.
func (ss *session) noMLST(r wire.Reply) {
	if r.Code == 500 || r.Code == 502 {
		ss.store.server.learn(func(f *facts) { f.mlst = false })
	}
}

// octal turns pyftpdlib's "unix.mode=0o644" into what RFC 3659 has.
func octal(line string) string {
	facts, name, ok := strings.Cut(line, " ")
	if !ok || !strings.Contains(facts, "=0o") {
		return line
	}
	return strings.ReplaceAll(facts, "unix.mode=0o", "unix.mode=0") + " " + name
}

// entryOf reads the one line of facts in a reply to MLST.
func entryOf(p string, r wire.Reply) (remote.Entry, error) {
	for i, l := range r.Lines {
		if i == 0 && len(r.Lines) > 1 || i > 0 && i == len(r.Lines)-1 {
			continue
		}
		for l != "" && l[0] == ' ' {
			l = l[1:]
		}
		if l == "" {
			continue
		}
		e, _, err := listing.ParseMLST(octal(l))
		if err != nil {
			return remote.Entry{}, &remote.Error{Kind: remote.Protocol, Code: r.Code, Text: l, Err: err}
		}
		e.Name = path.Base(p)
		return e, nil
	}
	return remote.Entry{}, as(remote.Protocol, r)
}
