package ftpconn

import (
	"path"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// asked is what is set and asked before a rename, in one segment, and where in it what stands.
type asked struct {
	cmds                   []string
	setTime, setMode, line int // -1: not in it
	ours, theirs           inquiry
	sum                    sumQuestion
	atOurs, atTheirs       span
	atTwins, atSum         span
}

// span is a part of the commands, and of their replies.
type span struct{ from, to int }

func (s span) of(rs []wire.Reply) []wire.Reply { return rs[s.from:s.to] }

// ask puts together what is set and asked. Lean leaves out what only the words of a server that refuses MLST make
// necessary, and sets time and mode by one command where that can be: it is for a segment that must be short.
func (pb *publishing) ask(lean bool) (q asked, err error) {
	ss, p := pb.ss, pb.p
	tmp := ss.path(pb.tmp)
	at := func(more ...string) span {
		q.cmds = append(q.cmds, more...)
		return span{len(q.cmds) - len(more), len(q.cmds)}
	}
	q.setTime, q.setMode, q.line = -1, -1, -1
	way := setTimeNone
	if p.MTime != nil {
		if way, err = ss.wayToSetTime(tmp, *p.MTime); err != nil {
			return q, err
		}
	}
	both := ""
	if lean && p.Mode != nil && way == setTimeMFMT {
		both = ss.setBoth(tmp, *p.MTime, *p.Mode)
	}
	if both != "" {
		q.setTime = at(both).from
		q.setMode = q.setTime
	}
	if way != setTimeNone && q.setTime < 0 {
		q.setTime = at(timeCommand(way, tmp, *p.MTime)).from
	}
	if p.Mode != nil && q.setMode < 0 {
		if cmd := ss.chmodCommand(tmp, *p.Mode); cmd != "" {
			q.setMode = at(cmd).from
		}
	}
	q.ours, q.theirs = ss.inquire(pb.tmp), ss.inquire(p.Path)
	if lean && q.ours.mlst {
		q.ours.cmds = q.ours.cmds[:1] // if that is no answer, we look
	}
	q.atOurs, q.atTheirs = at(q.ours.cmds...), at(q.theirs.cmds...)
	q.atTwins = at(ss.twinsOf(pb.tmp)...)
	if cmd := ss.lineQuestion(p); cmd != "" {
		q.line = at(cmd).from
	}
	q.sum = ss.sumQuestion(pb.tmp, p.Size, p.Sum)
	q.atSum = at(q.sum.cmds...)
	return q, nil
}

// setBoth is the command that sets time and mode, "" where there is none.
func (ss *session) setBoth(full string, t time.Time, mode uint32) string {
	facts := strings.ToLower(ss.store.server.known().features["MFF"])
	chmod, ok := strings.CutPrefix(ss.chmodCommand(full, mode), "MFF ")
	if !ok || !strings.Contains(";"+facts, ";modify;") {
		return ""
	}
	return "MFF Modify=" + t.UTC().Format(stamp) + ";" + chmod
}

// oursOf are the replies to the question about the uploaded file, as if nothing had been left out.
func (q *asked) oursOf(rs []wire.Reply) []wire.Reply {
	ours := q.atOurs.of(rs)
	if len(ours) == 1 && q.ours.mlst { // lean
		ours = append(ours[:1:1], wire.Reply{})
	}
	return ours
}

// judge takes the answers. It returns what has the name that the file is to get; an error says
// that it must not.
func (pb *publishing) judge(q asked, rs []wire.Reply, took time.Duration) (was remote.Entry, exists bool, err error) {
	ss, p := pb.ss, pb.p
	if q.setTime >= 0 {
		pb.out.TimeSet = rs[q.setTime].OK()
	}
	if q.setMode >= 0 {
		pb.out.ModeSet = rs[q.setMode].OK()
		ss.learnChmod(rs[q.setMode])
	}
	ours := q.oursOf(rs)
	if err := pb.checkOurs(q.ours, ours); err != nil {
		return was, false, err
	}
	if err := ss.twins(pb.tmp, q.ours.size(ours), q.atTwins.of(rs)); err != nil {
		return was, false, err
	}
	if err := ss.compare(q.sum, q.atSum.of(rs), p.Size, p.Sum, took); err != nil {
		return was, false, err
	}
	was, exists, err = pb.checkTheirs(q.theirs, q.atTheirs.of(rs))
	if line, told := ss.lineIn(path.Base(p.Path), rs, q.line); told && err == nil {
		switch {
		case !exists && !p.Force: // SIZE tells of plain files only
			exists, err = true, fault(remote.Changed, "something appeared under that name that SIZE does not tell of")
		case exists && was.Type == line.Type:
			was.Mode, was.HasMode = line.Mode, line.HasMode
		}
	}
	return was, exists, err
}
