package ftpconn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// What a listing may make us hold.
const maxListLine = 64 << 10

var maxList = bounds{lines: 5_000_000, bytes: 512 << 20}

type bounds struct{ lines, bytes int }

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
		entries, err = ss.list(dir, true)
		return err
	})
	if err != nil {
		return nil, err
	}
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
	var entries []remote.Entry
	links := false
	err := ss.lines(dir, "MLSD", func(line string) error {
		e, class, err := listing.ParseMLSx(octal(line))
		if err != nil {
			return err
		}
		if class == listing.IsEntry {
			entries = append(entries, e)
			links = links || e.Type == remote.Symlink && e.Target == ""
		}
		return nil
	})
	if err != nil {
		return nil, err
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

// lsOutput is what LIST gave.
type lsOutput struct {
	lines []string // of entries
	dots  bool     // "." or ".." was among them
}

func (ss *session) lsWith(dir, verb string) (lsOutput, error) {
	var got lsOutput
	p := listing.NewParser(time.Now(), ss.store.server.location())
	err := ss.lines(dir, verb, func(line string) error {
		_, class, err := p.Line(line)
		switch {
		case err != nil:
			return err
		case class == listing.IsEntry:
			got.lines = append(got.lines, line)
		case strings.HasSuffix(line, " .") || strings.HasSuffix(line, " .."):
			got.dots = true
		}
		return nil
	})
	return got, err
}

// truncated is how servers say that a listing is not whole, with a code of
// success.
var truncated = regexp.MustCompile(`(?i)truncat|too many (files|entries|matches)|(output|listing) (was |is )?limited|incomplete|only the first`)

// lines enters dir and hands each line of its listing to f, in one segment
// where the server stands it. A CWD that failed condemns what follows it: two
// servers list the directory before, one answers that it is empty.
func (ss *session) lines(dir, verb string, f func(line string) error) error {
	ss.entered = ""
	out, err := ss.wire.Transfer(wire.Transfer{
		Verb:  verb,
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
	if err := scan(out.Data, maxList, f); err != nil {
		if wire.FaultOf(err) == nil {
			out.Data.Abort()
			return &remote.Error{Kind: remote.Protocol, Err: err}
		}
		if f := wire.FaultOf(err); f.Fault == wire.Stalled && out.Data.Abort() == nil {
			return stuck(f)
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
	if truncated.MatchString(r.Text()) {
		return &remote.Error{Kind: remote.Protocol, Code: r.Code, Text: r.Text(), Err: errors.New("the listing is not whole")}
	}
	return nil
}

// scan splits a listing into lines, each without its line end.
func scan(r io.Reader, most bounds, f func(line string) error) error {
	br := bufio.NewReaderSize(r, maxListLine)
	bytes := 0
	for n := 0; ; n++ {
		b, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return fmt.Errorf("a line of the listing is longer than %d bytes", maxListLine)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if bytes += len(b); bytes > most.bytes || n > most.lines {
			return fmt.Errorf("the listing is longer than %d bytes or %d lines", most.bytes, most.lines)
		}
		if l := len(b); l > 0 {
			if b[l-1] != '\n' {
				return fmt.Errorf("the listing ends in the middle of a line: %.200q", b)
			}
			b = b[:l-1]
			if l > 1 && b[l-2] == '\r' {
				b = b[:l-2]
			}
		}
		if len(b) > 0 {
			if err := f(string(b)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
