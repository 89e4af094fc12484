package ftpconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"syscall"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/proxy"
	"ftpfs/ftpconn/wire"
)

// rule is a line of the table that turns a reply into a kind of failure. The
// first rule that fits counts. What to do about a failure follows from its kind
// alone (remote.Kind.Verdict).
type rule struct {
	codes string         // codes it is for, as a pattern
	text  *regexp.Regexp // nil: any
	op    string         // pattern of operations; "": any
	kind  remote.Kind
}

// crowdWords are in the refusals of servers that have too many connections.
var crowdWords = text(`too many|maximum|limit|connections?\b.*(reached|exceeded|allowed)|users? .*logged in|\b(full|busy|overloaded)\b`)

func text(p string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + p) }

// Servers word their refusals differently; 550 covers nearly all of them. A 550
// without a reason is Unknown here, and then the operation looks.
var table = []rule{
	{codes: `500|502|504|202`, kind: remote.Unsupported},
	{codes: `503`, kind: remote.Protocol},
	{codes: `[45]..|33.`, op: `login`, text: text(`\bban(ned|s)?\b|fail(ed|ures?)\b|attempts`), kind: remote.Auth}, // "too many failed logins"
	{codes: `5..|33.|4[3-5].`, op: `login`, text: crowdWords, kind: remote.Temporary},
	{codes: `5..|33.`, op: `login`, kind: remote.Auth},
	{codes: `421`, kind: remote.Down},
	{codes: `452|552`, kind: remote.NoSpace},
	{codes: `[45]..`, text: text(`quota|disk (is )?full|no space|space left|not enough (disk )?space|insufficient (disk |storage )?space`), kind: remote.NoSpace},
	{codes: `[45]..`, text: text(`not empty`), kind: remote.NotEmpty},
	{codes: `[45]..`, text: text(`name too long|invalid (file ?|path ?|directory ?)?name|(bad|illegal|prohibited) (file ?|directory ?)?name|invalid character|not allowed in (file )?name|volume label syntax|filename or extension is too long`), kind: remote.BadName},
	{codes: `[45]..`, text: text(`is a directory`), kind: remote.IsDir},
	{codes: `[45]..`, text: text(`not a directory|the directory name is invalid`), kind: remote.NotDir},
	{codes: `[45]..`, text: text(`no such (file|dir|path|object)|(file|directory|path|folder)( was| is|name)? not (found|exist)|does ?n[o']t exist|cannot find|could not find|non-?existent`), kind: remote.NotExist},
	{codes: `[45]..`, text: text(`already exists|file exists|target exists|directory exists`), kind: remote.Exist},
	{codes: `[45]..`, text: text(`used by another process`), kind: remote.Temporary}, // Windows' sharing violation
	{codes: `[45]..`, text: text(`permission|denied|not permitted|read-?only|forbidden|privilege|not allowed|unauthori[sz]ed`), kind: remote.Permission},
	{codes: `521`, op: `mkdir`, kind: remote.Exist},
	{codes: `522|53[346]`, kind: remote.Temporary}, // about the encryption of data, not about the file
	{codes: `530|532`, kind: remote.Permission},
	{codes: `553`, kind: remote.BadName},
	{codes: `450|501|55.`, kind: remote.Unknown},
	{codes: `4..`, kind: remote.Temporary},
}

type compiled struct {
	codes, op *regexp.Regexp
	rule
}

var rules = func() []compiled {
	out := make([]compiled, len(table))
	for i, r := range table {
		out[i] = compiled{regexp.MustCompile(`^(?:` + r.codes + `)$`), regexp.MustCompile(`^(?:` + r.op + `)$`), r}
	}
	return out
}()

// kindOf sorts a refusal of op.
func kindOf(op string, r wire.Reply) remote.Kind {
	code, txt := fmt.Sprint(r.Code), r.Text()
	for _, c := range rules {
		if c.codes.MatchString(code) && (c.rule.op == "" || c.op.MatchString(op)) && (c.rule.text == nil || c.rule.text.MatchString(txt)) {
			return c.kind
		}
	}
	return remote.Unknown
}

// refused is the error of a reply that is a refusal. op and path are filled in
// by fail.
func refused(op string, r wire.Reply) *remote.Error {
	return &remote.Error{Kind: kindOf(op, r), Code: r.Code, Text: r.Text()}
}

// as is refused with the kind already known.
func as(kind remote.Kind, r wire.Reply) *remote.Error {
	return &remote.Error{Kind: kind, Code: r.Code, Text: r.Text()}
}

func fault(kind remote.Kind, format string, args ...any) *remote.Error {
	return &remote.Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// replyIn returns the server's refusal in an error of the client library.
func replyIn(err error) (wire.Reply, bool) {
	var te *textproto.Error
	if errors.As(err, &te) && te.Code >= 100 {
		return wire.Reply{Code: te.Code, Lines: []string{te.Msg}}, true
	}
	return wire.Reply{}, false
}

// fail makes err the task's error: an *remote.Error that says what was tried on
// what.
func (s *Store) fail(t task, err error) error {
	if err == nil {
		return nil
	}
	op, path := t.op, t.path
	if t.op == "connect" {
		op = "connect to " + s.cfg.addr()
	}
	var re *remote.Error
	if errors.As(err, &re) {
		e := *re
		switch {
		case e.Op == "" || t.op == "connect":
			e.Op, e.Path = op, path
		case e.Op != op: // a connection that could not be made
			e = remote.Error{Op: op, Path: path, Kind: re.Kind, Err: re}
		}
		return &e
	}
	e := &remote.Error{Op: op, Path: path, Kind: remote.Unknown, Err: err}
	f := wire.FaultOf(err)
	switch {
	case errors.Is(err, context.Canceled):
		e.Kind = remote.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		e.Kind = remote.Timeout
	case f != nil:
		e.Kind, e.Err = kindOfFault(f), s.cfg.TLS.plain(f)
	default:
		if r, ok := replyIn(err); ok {
			e = refused(t.op, r)
			e.Op, e.Path = op, path
		}
	}
	return e
}

func kindOfFault(f *wire.Error) remote.Kind {
	switch f.Fault {
	case wire.Stalled:
		return remote.Timeout
	case wire.Stopped:
		return remote.KindOf(f.Err)
	case wire.Garbage:
		return remote.Protocol
	case wire.Unreached:
		if late := net.Error(nil); errors.As(f.Err, &late) && late.Timeout() {
			return remote.Timeout
		}
		return remote.Down
	case wire.Local:
		return remote.Temporary
	case wire.Unsent:
		return remote.BadName
	}
	return remote.Down
}

// plain words a broken dialogue for people.
func (t TLS) plain(f *wire.Error) error {
	var dns *net.DNSError
	var pe *proxy.Error
	switch {
	case f.Fault == wire.Insecure:
		return t.insecure(f)
	case errors.As(f.Err, &pe) && f.Step == "connect":
		return pe
	case errors.As(f.Err, &dns) && dns.IsNotFound && f.Step == "connect":
		return fmt.Errorf("unknown host %q", dns.Name)
	case errors.Is(f.Err, syscall.ECONNREFUSED) && f.Step == "connect":
		return errors.New("connection refused")
	case f.Fault == wire.Stalled && f.Step == "connect":
		return errors.New("no answer")
	}
	return f
}
