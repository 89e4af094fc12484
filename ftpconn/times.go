package ftpconn

import (
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// timed turns the lines of a LIST into entries. LIST tells times by the minute
// or the day, in a zone it does not name, and some formats no sizes: MDTM and SIZE give
// those of files exactly, all asked for in one go, and the difference gives the zone.
func (ss *session) timed(dir string, got lsOutput, exact bool) ([]remote.Entry, error) {
	was := ss.store.server.location()
	entries, err := parse(got, was)
	if err != nil || got.format.Absolute() {
		return entries, err
	}
	var q questions
	if exact {
		if q, err = ss.questions(dir, entries); err != nil {
			return nil, err
		}
	}
	replies, err := ss.wire.Batch(q.cmds...)
	if err != nil {
		return nil, err
	}
	times, sizes := replies[:len(q.timed)], replies[len(q.timed):]
	ss.learnMDTM(times)
	if zone := ss.store.heard(votesOf(entries, q.timed, times, was)); zone != was {
		if entries, err = parse(got, zone); err != nil {
			return nil, err
		}
	}
	if ss.store.server.known().mdtm {
		blur(entries)
	}
	for n, i := range q.timed {
		if t, ok := timeIn(times[n]); ok {
			entries[i].MTime, entries[i].MGrain = t, time.Second
		}
	}
	for n, i := range q.sized {
		if size, ok := sizeIn(sizes[n]); ok {
			entries[i].Size = size
		}
	}
	return entries, nil
}

// questions are the commands that ask for what LIST does not tell of its files: times,
// then sizes.
type questions struct {
	cmds         []string
	timed, sized []int // which entries they are about
}

func (ss *session) questions(dir string, entries []remote.Entry) (q questions, err error) {
	k := ss.store.server.known()
	var sizes []string
	for i := range entries {
		e := &entries[i]
		path := ss.path(strings.TrimSuffix(dir, "/") + "/" + e.Name)
		if e.Type != remote.File || wire.Refused(path) != nil {
			continue
		}
		if !k.noMDTM {
			q.cmds, q.timed = append(q.cmds, "MDTM "+path), append(q.timed, i)
		}
		if e.Size < 0 {
			sizes, q.sized = append(sizes, "SIZE "+path), append(q.sized, i)
		}
	}
	if len(q.timed) > 1 && !k.mdtm && len(k.features) > 0 && !k.has("MDTM") { // does it have MDTM all the same?
		r, err := ss.wire.Cmd(q.cmds[0])
		if err != nil {
			return q, err
		}
		if ss.learnMDTM([]wire.Reply{r}); !r.OK() {
			q.cmds, q.timed = nil, nil
		}
	}
	q.cmds = append(q.cmds, sizes...)
	return q, nil
}

// exactly is an entry of p from a LIST that was not asked to be exact.
func (ss *session) exactly(p string, e remote.Entry) (remote.Entry, error) {
	if k := ss.store.server.known(); e.Type != remote.File || k.noMDTM || k.mlst && !k.mlsdBad {
		return e, nil
	}
	r, err := ss.wire.Cmd("MDTM " + ss.path(p))
	if err != nil {
		return e, err
	}
	ss.learnMDTM([]wire.Reply{r})
	if t, ok := timeIn(r); ok {
		e.MTime, e.MGrain = t, time.Second
	}
	return e, nil
}

// learnMDTM takes in whether the server tells times by MDTM.
func (ss *session) learnMDTM(rs []wire.Reply) {
	k := ss.store.server.known()
	told, unknown := false, len(rs) > 0
	for _, r := range rs {
		_, ok := timeIn(r)
		told = told || ok
		unknown = unknown && !r.OK() && kindOf("list", r) == remote.Unsupported
	}
	switch {
	case told && !k.mdtm:
		ss.store.server.learn(func(f *facts) { f.mdtm = true })
	case unknown && !k.mdtm && !k.noMDTM:
		ss.store.server.learn(func(f *facts) { f.noMDTM = true })
	}
}

// blur makes what LIST says of the times of files so coarse that it holds in whichever
// zone: the same file's time is told by MDTM elsewhere, and must not differ from it for
// a zone that is wrong, or was another in winter.
func blur(entries []remote.Entry) {
	for i := range entries {
		switch e := &entries[i]; {
		case e.Type != remote.File:
		case e.MGrain > time.Minute: // a day that begins within a day of that
			e.MTime, e.MGrain = time.Time{}, 0
		case e.MGrain > 0:
			e.MGrain = 24 * time.Hour
		}
	}
}

func parse(got lsOutput, zone *time.Location) ([]remote.Entry, error) {
	p := got.format.Again(zone)
	entries := make([]remote.Entry, 0, len(got.lines))
	for _, l := range got.lines {
		e, class, err := p.Line(l)
		switch {
		case err != nil:
			return nil, &remote.Error{Kind: remote.Protocol, Err: err}
		case class == listing.IsEntry:
			entries = append(entries, e)
		}
	}
	return entries, nil
}
