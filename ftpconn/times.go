package ftpconn

import (
	"math"
	"slices"
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
	entries, err := ss.parse(got, was, make([]remote.Entry, 0, len(got.lines)))
	if err != nil || got.format.Absolute() {
		return entries, err
	}
	var q questions
	if exact {
		if q, err = ss.questions(dir, entries); err != nil {
			return nil, err
		}
	}
	kept, each := &ss.store.times, len(entries) == len(got.lines) // an entry for each line
	told := answers{times: newStamps(len(entries))}
	if each {
		q.timed = kept.split(dir, got.lines, q.timed, told.times)
	}
	if err := ss.ask(dir, entries, q, &told); err != nil {
		return nil, err
	}
	if each {
		kept.keep(dir, got.lines, told.times, time.Now())
	}
	if zone := ss.store.heard(told.votes); zone != was {
		if entries, err = ss.parse(got, zone, entries[:0]); err != nil {
			return nil, err
		}
	}
	if ss.store.server.known().mdtm {
		blur(entries)
	}
	for i, at := range told.times {
		if at != untold {
			entries[i].MTime, entries[i].MGrain = time.Unix(at, 0).UTC(), time.Second
		}
	}
	for i, size := range told.sizes {
		entries[i].Size = size
	}
	return entries, nil
}

// maxAsked is how many questions are put in one go: what they and their replies take is not
// to count beside the listing itself.
const maxAsked = 4000

// stamps are exact times by entry, in seconds since 1970, or untold.
type stamps []int64

const untold = math.MinInt64

func newStamps(n int) stamps { return slices.Repeat(stamps{untold}, n) }

// known is how many there are.
func (s stamps) known() (n int) {
	for _, at := range s {
		if at != untold {
			n++
		}
	}
	return n
}

// answers to questions, by entry.
type answers struct {
	times stamps
	sizes map[int]int64
	votes []vote
}

// ask puts the questions, and adds what is answered to a.
func (ss *session) ask(dir string, entries []remote.Entry, q questions, a *answers) error {
	if len(q.sized) > 0 {
		a.sizes = make(map[int]int64, len(q.sized))
	}
	zone := ss.store.server.location()
	command := func(verb string, i int) string {
		return verb + " " + ss.path(strings.TrimSuffix(dir, "/")+"/"+entries[i].Name)
	}
	for len(q.timed)+len(q.sized) > 0 {
		timed := q.timed[:min(len(q.timed), maxAsked)]
		sized := q.sized[:min(len(q.sized), maxAsked-len(timed))]
		q.timed, q.sized = q.timed[len(timed):], q.sized[len(sized):]
		cmds := make([]string, 0, len(timed)+len(sized))
		for _, i := range timed {
			cmds = append(cmds, command("MDTM", i))
		}
		for _, i := range sized {
			cmds = append(cmds, command("SIZE", i))
		}
		replies, err := ss.wire.Batch(cmds...)
		if err != nil {
			return err
		}
		ss.learnMDTM(replies[:len(timed)])
		if len(a.votes) < maxAsked {
			a.votes = append(a.votes, votesOf(entries, timed, replies, zone)...)
		}
		for n, i := range timed {
			if t, ok := timeIn(replies[n]); ok {
				a.times[i] = t.Unix()
			}
		}
		for n, i := range sized {
			if size, ok := sizeIn(replies[len(timed)+n]); ok {
				a.sizes[i] = size
			}
		}
	}
	return nil
}

// questions are the files, by their place among the entries, of which times and sizes are
// asked for.
type questions struct{ timed, sized []int }

func (ss *session) questions(dir string, entries []remote.Entry) (q questions, err error) {
	k := ss.store.server.known()
	for i := range entries {
		e := &entries[i]
		if e.Type != remote.File || wire.Refused(e.Name) != nil {
			continue
		}
		if !k.noMDTM {
			q.timed = append(q.timed, i)
		}
		if e.Size < 0 {
			q.sized = append(q.sized, i)
		}
	}
	if len(q.timed) > 1 && !k.mdtm && len(k.features) > 0 && !k.has("MDTM") { // does it have MDTM all the same?
		one := answers{times: newStamps(len(entries))}
		if err := ss.ask(dir, entries, questions{timed: q.timed[:1]}, &one); err != nil {
			return q, err
		}
		if one.times.known() == 0 {
			q.timed = nil
		}
	}
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

// parse appends what the lines say to entries.
func (ss *session) parse(got lsOutput, zone *time.Location, entries []remote.Entry) ([]remote.Entry, error) {
	p, keep := got.format.Again(zone), keeper{}
	for _, l := range got.lines {
		e, class, err := p.Line(l)
		switch {
		case err != nil:
			return nil, &remote.Error{Kind: remote.Protocol, Err: err}
		case class == listing.IsEntry:
			e = keep.entry(e)
			ss.store.local(&e)
			entries = append(entries, e)
		}
	}
	return entries, nil
}
