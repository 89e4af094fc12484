package ftpconn

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// List lists a directory as the server does it best: MLSD, else LIST -a, else
// LIST, always of the directory just entered, so that no name is taken for a
// pattern or an option. Where listings have no exact times, those of files are
// asked for.
func (s *Store) List(ctx context.Context, dir string) (entries []remote.Entry, err error) {
	t := task{op: "list", path: dir, class: metadata, again: true}
	if err := validPath(dir); err != nil {
		return nil, s.fail(t, err)
	}
	err = s.run(ctx, t, func(ss *session) (err error) {
		if entries, err = ss.list(dir, true); err == nil {
			entries, err = ss.withHidden(dir, entries)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.hintPage(dir, entries)
	return entries, nil
}

// list does it on this session; exact asks for times to the second.
func (ss *session) list(dir string, exact bool) ([]remote.Entry, error) {
	k := ss.store.server.known()
	if k.mlst && !k.mlsdBad {
		entries, err := ss.mlsd(dir)
		r, no := refusal(err)
		switch {
		case !no:
			return entries, err
		case kindOf("list", r) == remote.Unsupported:
			ss.store.server.learn(func(f *facts) { f.mlsdBad = true })
		default:
			return nil, ss.notListed(dir, r)
		}
	}
	entries, err := ss.ls(dir, exact)
	if r, no := refusal(err); no {
		return nil, ss.notListed(dir, r)
	}
	return entries, err
}

// notListed settles why a directory cannot be entered or listed.
func (ss *session) notListed(dir string, r wire.Reply) error {
	kind := kindOf("list", r)
	switch kind {
	case remote.Unknown, remote.Temporary:
	case remote.NotExist: // "no such directory" is said of files too
	default:
		return as(kind, r)
	}
	if dir == "/" {
		return as(kind, r)
	}
	switch e, err := ss.look(dir); {
	case absent(err):
		return as(remote.KindOf(err), r)
	case err != nil:
		return err
	case e.Type == remote.File || e.Type == remote.Other:
		return as(remote.NotDir, r)
	case kind == remote.Unknown:
		return as(remote.Permission, r)
	}
	return as(kind, r)
}

// mlsd lists by MLSD. Symlinks whose target it does not tell are looked up in a
// LIST.
func (ss *session) mlsd(dir string) ([]remote.Entry, error) {
	var all gathered
	keep := keeper{}
	links, self := false, false
	err := ss.lines(dir, "MLSD", func(line string) error {
		e, class, err := listing.ParseMLSx(octal(line))
		if err != nil {
			return err
		}
		if class == listing.IsEntry {
			e = keep.entry(e)
			ss.store.local(&e)
			all.add(e)
			links = links || e.Type == remote.Symlink && e.Target == ""
		}
		self = self || class == listing.Noise && e.Type == remote.Dir
		return nil
	})
	if err != nil {
		return nil, err
	}
	entries := all.entries()
	switch k := ss.store.server.known(); {
	case self && !k.mlsdSelf:
		ss.store.server.learn(func(f *facts) { f.mlsdSelf = true })
	case !self && len(entries) == 0 && k.mlsdSelf:
		return nil, errBlank
	}
	if links {
		if more, err := ss.ls(dir, false); err == nil {
			addTargets(entries, more)
		} else if wire.FaultOf(err) != nil {
			return nil, err
		}
	}
	return entries, nil
}

func addTargets(entries, more []remote.Entry) {
	target := make(map[string]string)
	for _, e := range more {
		if e.Type == remote.Symlink {
			target[e.Name] = e.Target
		}
	}
	for i := range entries {
		if e := &entries[i]; e.Type == remote.Symlink && e.Target == "" {
			e.Target = target[e.Name]
		}
	}
}

// ls lists by LIST -a, or LIST where -a is taken for a name.
func (ss *session) ls(dir string, exact bool) ([]remote.Entry, error) {
	k := ss.store.server.known()
	if !k.listBare {
		got, err := ss.lsWith(dir, "LIST -a")
		_, no := refusal(err)
		switch {
		case err == nil && got.dots && !k.listSelf:
			ss.store.server.learn(func(f *facts) { f.listSelf = true })
		case err == nil && !got.dots && len(got.lines) == 0 && k.listSelf:
			return nil, errBlank
		}
		switch {
		case err == nil && (len(got.lines) > 1 || got.dots || len(got.lines) == 1 && !strings.HasSuffix(got.lines[0], " -a")):
			return ss.timed(dir, got, exact)
		case err != nil && (!no || ss.entered != dir):
			return nil, err
		}
		// Nothing at all, not even "." and "..": perhaps there is no file
		// named "-a". A LIST of the same directory tells.
		got, err2 := ss.lsWith(dir, "LIST")
		if err2 != nil {
			return nil, err2
		}
		if len(got.lines) > 0 {
			ss.store.server.learn(func(f *facts) { f.listBare = true })
		}
		return ss.timed(dir, got, exact)
	}
	got, err := ss.lsWith(dir, "LIST")
	if err != nil {
		return nil, err
	}
	return ss.timed(dir, got, exact)
}

// errBlank is the success of a listing without a line, on a server that otherwise
// names at least the directory itself.
var errBlank = fault(remote.Protocol, "the listing is blank, where others name the directory itself")

// lsOutput is what LIST gave.
type lsOutput struct {
	lines  []string // of entries
	dots   bool     // "." or ".." was among them
	format *listing.Parser
}

func (ss *session) lsWith(dir, verb string) (lsOutput, error) {
	p := listing.NewParser(time.Now(), nil)
	if ss.store.server.known().dayFirst {
		p.AssumeDayFirst()
	}
	got := lsOutput{format: p}
	half, dotted := false, false
	err := ss.lines(dir, verb, func(line string) error {
		e, class, err := p.Line(line)
		if half && class == listing.Noise && line != "" { // of an older version
			got.lines = got.lines[:len(got.lines)-1]
		}
		half = class == listing.Half
		switch {
		case err != nil:
			return err
		case class == listing.Strange:
			ss.store.unreadLine(dir, verb, line, nil)
		case class != listing.Noise:
			got.lines = append(got.lines, line)
			dotted = dotted || strings.HasPrefix(e.Name, ".")
		case e.Name == "." || e.Name == "..":
			got.dots = true
		}
		return nil
	})
	switch k := ss.store.server.known(); {
	case err != nil || k.dots:
	case got.dots || dotted:
		ss.store.server.learn(func(f *facts) { f.dots = true })
	case p.HidesDots() && !k.dotless:
		ss.store.server.learn(func(f *facts) { f.dotless = true })
	}
	if p.DayFirst() && !ss.store.server.known().dayFirst {
		ss.store.server.learn(func(f *facts) { f.dayFirst = true })
	}
	if err == nil && p.End() != nil {
		err = &remote.Error{Kind: remote.Protocol, Err: p.End()}
	}
	return got, err
}

// truncated is how servers say that a listing is not whole, with a code of
// success.
var truncated = regexp.MustCompile(`(?i)truncat|too many (files|entries|matches)|(output|listing) (was |is )?limited|incomplete|only the first`)

// unopened is how vsftpd says that it could not read a directory, with 226.
var unopened = regexp.MustCompile(`(?i)failed to open directory`)

// lines enters dir and hands each line of its listing to f, in one segment
// where the server stands it. A CWD that failed condemns what follows it: two
// servers list the directory before, one answers that it is empty.
func (ss *session) lines(dir, verb string, f func(line string) error) error {
	ss.entered = ""
	if err := ss.store.server.tooLong(dir); err != nil {
		return err
	}
	// How many bytes come is not known, so that only servers which certainly do not cut them for a
	// question behind are asked one.
	k := ss.store.server.known()
	out, err := ss.wire.Transfer(wire.Transfer{
		Verb:  verb,
		Short: k.is("proftpd") || k.is("vsftpd"),
		Ahead: []string{"CWD " + ss.path(dir)},
		Check: func(rs []wire.Reply) error {
			if !rs[0].OK() {
				return &replyError{rs[0]}
			}
			ss.entered = dir
			return nil
		},
	})
	if err != nil {
		return err
	}
	ss.ready = toPrepare
	if out.Data == nil {
		return &replyError{out.Refusal}
	}
	budget := ss.store.budget()
	defer budget.giveBack()
	err = scan(out.Data, budget, func(line string) error {
		err := f(line)
		if err != nil {
			ss.store.unreadLine(dir, verb, line, err)
		}
		return err
	})
	if err != nil {
		if wire.FaultOf(err) == nil {
			if err2 := out.Data.Abort(); err2 != nil {
				ss.store.log.Debug("no end of a listing that was given up", "because", err2)
			}
			if errors.As(err, new(tooMuch)) {
				ss.store.server.noteTooLong(dir, err)
			}
			var re *remote.Error
			if errors.As(err, &re) {
				return re
			}
			return &remote.Error{Kind: remote.Protocol, Err: err}
		}
		switch f := wire.FaultOf(err); f.Fault {
		case wire.Stalled:
			if out.Data.Abort() == nil {
				return stuck(f)
			}
		case wire.Stopped: // the connection may live, and its reply is to come
			if err2 := out.Data.Abort(); err2 != nil {
				ss.store.log.Debug("no end of a listing that was given up", "because", err2)
			}
		}
		return err
	}
	r, err := out.Data.Finish()
	if err != nil {
		return err
	}
	if !r.OK() {
		if kind := kindOf("list", r); r.Class() == 4 && kind != remote.Temporary || r.Class() == 5 {
			return &replyError{r} // said only after an empty data connection
		}
		return as(remote.Temporary, r)
	}
	if unopened.MatchString(r.Text()) {
		return as(remote.Permission, r)
	}
	if truncated.MatchString(r.Text()) {
		return &remote.Error{Kind: remote.Protocol, Code: r.Code, Text: r.Text(), Err: errors.New("the listing is not whole")}
	}
	return nil
}
