package ftpconn

import (
	"path"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Whether a server tells "readme" from "README", and the end of a long name from another
// one, is asked in the segment of the first publication, of the temporary file, by names
// that nobody has. It costs no round trip.

// twinsOf are the questions, of a temporary name; none if they were answered before.
func (ss *session) twinsOf(tmp string) []string {
	s := ss.store
	if k := s.server.known(); k.whole || !s.temporary(tmp) {
		return nil
	}
	dir, name := path.Split(tmp)
	return []string{
		"SIZE " + ss.path(dir+strings.ToUpper(name)),
		"SIZE " + ss.path(dir+name[:len(name)-1]+"x"), // the last is a hex digit
	}
}

// otherCase is a path in another case; not to be asked about if that was answered before,
// or if there are no letters in its name.
func (ss *session) otherCase(p string) (twin string, ask bool) {
	if k := ss.store.server.known(); k.caseless != wire.Untried {
		return "", false
	}
	dir, name := path.Split(p)
	for _, other := range []func(byte) byte{upper, lower} {
		b := []byte(name)
		for i := range b {
			b[i] = other(b[i])
		}
		if string(b) == name {
			continue
		}
		_, err := encode(ss.store.cfg.Codepage, dir+string(b))
		return dir + string(b), err == nil
	}
	return "", false
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c - 'A' + 'a'
	}
	return c
}

// casesTold takes the answer about the twin of e, which is there: a server that says the same
// of both takes them for one.
func (ss *session) casesTold(e remote.Entry, twin string, r wire.Reply) {
	if r.Class() == 5 {
		ss.cases(wire.Off)
		return
	}
	other, err := entryOf(twin, r)
	if !r.OK() || err != nil {
		return
	}
	if e.Type == other.Type && e.Unique == other.Unique && !e.MTime.IsZero() && sameTimeAndSize(e, other) {
		ss.cases(wire.Proven)
	} else {
		ss.cases(wire.Off)
	}
}

// cases learns whether names that differ by case only are one.
func (ss *session) cases(folded wire.Trait) {
	ss.store.server.learn(func(f *facts) { f.caseless = folded })
	if folded == wire.Proven {
		ss.store.log.Info("the server does not tell cases apart: names that differ by case only are one to it")
	}
}

// twins takes the answers, and the one about the file itself. It fails on a server that
// cuts our names, and so would mix uploads.
func (ss *session) twins(tmp string, itself wire.Reply, rs []wire.Reply) error {
	n, ok := sizeIn(itself)
	if len(rs) == 0 || !ok {
		return nil
	}
	same := func(r wire.Reply) bool { m, ok := sizeIn(r); return ok && m == n }
	if same(rs[1]) {
		return fault(remote.BadName, "this server cuts names: %s is another one to it, and nothing can be uploaded safely", path.Base(tmp))
	}
	ss.store.server.learn(func(f *facts) { f.whole = true })
	switch {
	case same(rs[0]):
		ss.cases(wire.Proven)
	case rs[0].Class() == 5:
		ss.cases(wire.Off)
	}
	return nil
}
