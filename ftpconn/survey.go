package ftpconn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// A server that stores another name than it was told says nothing of it, and what had that
// other name is gone: Pure-FTPd says that there is no "x ", and renames over "x_". So before
// a name with something odd in it is used for the first time, directories with odd names
// are made in a scratch directory of ours, listed, and removed again. That is once for a
// server, not for a name, and never for plain ones.

// samples of odd names, each with one oddity, as far as that is possible.
var samples = []struct {
	odd  oddity
	name string
}{
	{blankEnd, "a "}, {blankEnd, "b\t"}, {dotEnd, "c."}, {blankStart, " d"}, {control, "e\x01f"}, {control, "e\tg"}, {backslash, `h\i`}, {colon, "j:k"},
	{star, "l*"}, {question, "m?"}, {bracket, "n[o]"}, {brace, "p{q}"}, {composed, "r\u00e9"}, {decomposed, "se\u0301"}, {notUTF8, "t\xe9u"},
	{telnet, "v\xff\xffw"}, {trail, "x\x95\\"}, {capitals, "YA"}, {smalls, "yb"},
	{lengthy, strings.Repeat("z", 80)}, {lengthy, strings.Repeat("z", 128)}, {lengthy, strings.Repeat("z", 250)},
}

// What must be kept by any server, also by one that makes all letters capitals, and patterns
// that must not be taken for it.
const sound = "0123"

var soundAlike = []struct {
	odd  oddity
	name string
}{{star, "012*"}, {question, "012?"}, {bracket, "012[3]"}, {brace, "012{3}"}}

// survey is what was found out about names.
type survey struct {
	done    bool
	bad     oddity    // stored as another name, or taken for one
	no      oddity    // refused for a file
	longest int       // the longest name that was seen to be kept
	failed  time.Time // when it could not be done
	why     error
}

// surveyPause is how long a survey that could not be done is not tried again.
const surveyPause = 10 * time.Minute

// odd is what is odd in p to this server.
func (f *facts) odd(p string) oddity {
	o := oddIn(p)
	if f.caseless == wire.Proven {
		o |= casesIn(p)
	}
	return o
}

// speakable refuses paths that this server would silently take for others, so
// that a neighbour would be changed or shown in their place.
func (f *facts) speakable(p string) error {
	bad := f.names.bad
	switch { // what was measured need not be found out
	case f.is("pure-ftpd"):
		bad |= control | blankEnd
	case f.is("pyftpdlib"):
		bad |= notUTF8
	}
	if bad|f.names.no == 0 {
		return nil
	}
	o := f.odd(p)
	switch {
	case o&bad&^lengthy != 0, o&bad&lengthy != 0 && f.tooLong(p):
		return fault(remote.BadName, "this server stores names with %s as others", o&bad)
	case o&f.names.no != 0:
		return fault(remote.BadName, "this server refuses names with %s", o&f.names.no)
	}
	return nil
}

func (f *facts) tooLong(p string) bool {
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > f.names.longest {
			return true
		}
	}
	return false
}

// doubtful says that what the server says of p by name may be said of another one: it may
// store such names as others, and nobody has looked.
func (ss *session) doubtful(p string) bool {
	full, err := encode(ss.store.cfg.Codepage, p)
	k := ss.store.server.known()
	return err == nil && k.odd(full)&overNeighbor != 0 && !k.names.done && !k.measured()
}

// measured says that we have seen for ourselves which names this product keeps.
func (f *facts) measured() bool { return f.checksTypes() }

// refusedName takes in that the server refused a name with one odd thing in it.
func (ss *session) refusedName(p string, err error) error {
	full, _ := encode(ss.store.cfg.Codepage, p)
	if k := ss.store.server.known(); remote.Is(err, remote.BadName) {
		if o := oddName(path.Base(full)); o != 0 && o&(o-1) == 0 && o&k.names.bad == 0 {
			ss.store.server.learn(func(f *facts) { f.names.no |= o })
		}
	}
	return err
}

// sureOf makes sure, before something is changed, that the server will not take a path of
// ours for another one.
func (ss *session) sureOf(paths ...string) error {
	for _, p := range paths {
		full, err := encode(ss.store.cfg.Codepage, p)
		if err != nil {
			return &remote.Error{Kind: remote.BadName, Err: err}
		}
		k := ss.store.server.known()
		o := k.odd(full)
		if o == 0 || k.names.done {
			continue
		}
		if k.speakable(full) != nil {
			continue // known to be refused
		}
		if time.Since(k.names.failed) > surveyPause {
			if err := ss.survey(p); err != nil {
				return err
			}
			k = ss.store.server.known()
		}
		if !k.names.done && o&overNeighbor != 0 && !k.measured() {
			return &remote.Error{Kind: remote.BadName, Err: fmt.Errorf("this server may take a name with %s for another one, and does not let that be tried: %w", o&overNeighbor, k.names.why)}
		}
	}
	return nil
}

// survey finds out which names the server keeps, in the nearest directory above p whose
// own path is plain. The error is a broken dialogue or a trouble of the moment; a server
// that does not let it be done is noted.
func (ss *session) survey(p string) error {
	s := ss.store
	dir := parent(p)
	for full, _ := encode(s.cfg.Codepage, dir); oddIn(full) != 0; full, _ = encode(s.cfg.Codepage, dir) {
		dir = parent(dir)
	}
	scratch := ss.path(path.Join(dir, fmt.Sprintf(".ftpfs-%su%08x", s.cfg.MountTag, rand.Uint32())))
	rs, err := ss.wire.Batch("MKD "+scratch, "MKD "+scratch+"/"+sound, "RMD "+scratch+"/"+sound, "MKD "+scratch+"/"+sound)
	if err != nil {
		return err
	}
	for i, r := range rs {
		if r.OK() {
			continue
		}
		if i > 0 {
			if _, err := ss.wire.Batch("RMD "+scratch+"/"+sound, "RMD "+scratch); err != nil {
				return err
			}
		}
		switch kind := kindOf("mkdir", r); {
		case kind == remote.Temporary, kind == remote.NoSpace, kind == remote.NotExist:
			return as(kind, r)
		case kind == remote.Unknown && r.Class() == 4:
			return as(remote.Temporary, r)
		}
		s.noSurvey(as(remote.Permission, r))
		return nil
	}
	found, iac, err := ss.tryNames(scratch)
	if left := ss.clear(scratch); left != nil && err == nil {
		err = left
	}
	if err == nil {
		s.server.learn(func(f *facts) { f.names, f.iac = found, iac })
		if found.bad != 0 {
			s.log.Info("the server does not keep all names; such names are refused", "with", found.bad.String())
		}
		return nil
	}
	if kind := remote.KindOf(err); wire.FaultOf(err) == nil && !kind.Offline() && kind != remote.Temporary {
		s.noSurvey(err)
		return nil
	}
	return err
}

func (s *Store) noSurvey(why error) {
	s.log.Info("cannot find out which names the server keeps", "because", why)
	s.server.learn(func(f *facts) { f.names.failed, f.names.why = time.Now(), why })
}

// tryNames makes the samples in scratch and looks what became of them.
func (ss *session) tryNames(scratch string) (found survey, iac wire.Trait, err error) {
	var cmds []string
	for _, n := range samples {
		cmds = append(cmds, "MKD "+scratch+"/"+n.name)
	}
	for _, n := range soundAlike {
		cmds = append(cmds, "RMD "+scratch+"/"+n.name)
	}
	rs, err := ss.wire.Batch(cmds...)
	if err != nil {
		return found, iac, err
	}
	kept, err := ss.rawNames(scratch)
	if err != nil {
		return found, iac, err
	}
	for i, n := range soundAlike {
		if rs[len(samples)+i].OK() {
			found.bad |= n.odd // it removed the sound one
			kept[sound] = true
		}
	}
	if !kept[sound] {
		return found, iac, errors.New("a directory that was made is not listed")
	}
	iac = wire.Off
	for i, n := range samples {
		r := rs[i]
		switch {
		case n.odd == telnet && r.OK() && kept["v\xffw"]:
			iac = wire.Proven
		case r.OK() && kept[n.name]:
			if n.odd == lengthy {
				found.longest = len(n.name)
			}
		case r.Class() == 4:
			return found, iac, as(remote.Temporary, r)
		case r.OK():
			found.bad |= n.odd // what is refused does no harm
		}
	}
	found.done = true
	return found, iac, nil
}

// rawNames are the names in a directory of the server's, in its bytes.
func (ss *session) rawNames(full string) (map[string]bool, error) {
	entries, err := ss.list(ss.mountPath(full), false)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, e := range entries {
		name, err := encode(ss.store.cfg.Codepage, e.Name)
		if err != nil {
			return nil, err
		}
		names[name] = true
	}
	return names, nil
}

// clear removes a scratch directory with what is in it.
func (ss *session) clear(scratch string) error {
	names, err := ss.rawNames(scratch)
	if err != nil {
		return err
	}
	var cmds []string
	for name := range names {
		cmds = append(cmds, "RMD "+scratch+"/"+ss.telnet(name))
	}
	rs, err := ss.wire.Batch(append(cmds, "RMD "+scratch)...)
	if err != nil {
		return err
	}
	if r := rs[len(rs)-1]; !r.OK() {
		ss.store.log.Warn("a scratch directory is left on the server", "path", ss.mountPath(scratch), "said", r.String())
	}
	return nil
}

// Storable says whether the server would keep a name. It may ask, once.
func (s *Store) Storable(ctx context.Context, p string) error {
	t := task{op: "look at the name", path: p, class: metadata, again: true}
	if err := validPath(p); err != nil {
		return s.fail(t, err)
	}
	if err := s.speakable(p); err != nil {
		return s.fail(t, err)
	}
	full, _ := encode(s.cfg.Codepage, p) // speakable, so that it can be
	if k := s.server.known(); k.odd(full) == 0 || k.names.done {
		return nil
	}
	t.changes = true
	return s.run(ctx, t, func(*session) error { return s.speakable(p) })
}
