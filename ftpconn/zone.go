package ftpconn

import (
	"slices"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// zone is that of the times in LIST, which names none. Only what is shown hangs on it:
// on a server with MDTM the times by which one version of a file is told from
// another are MDTM's, or so coarse that no zone matters (see blur), so that a wrong
// zone neither makes a change nor hides one. It is found anew by each listing that
// has exact times beside those of LIST: with summer time it changes while a mount lives.
type zone struct {
	at     *time.Location // nil: not known
	given  bool           // by the option: not found anew
	sure   bool           // two files agreed
	warned bool
}

func (v *server) location() *time.Location {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.zone.at
}

// vote is what one file says of the zone: the offset that would make its listed time its exact one.
type vote struct {
	at     time.Time
	offset time.Duration
}

// heard takes in what the files of one listing say of the zone, and returns the zone to
// read that listing in.
func (s *Store) heard(votes []vote) *time.Location {
	offset, sure := outcome(votes)
	v := &s.server
	v.mu.Lock()
	defer v.mu.Unlock()
	z := &v.zone
	if len(votes) == 0 || !sure && (z.sure || len(votes) > 1) {
		return z.at
	}
	found := time.FixedZone("", int(offset/time.Second))
	now := time.Now()
	switch same := z.at != nil && offsetOf(z.at, now) == offset; {
	case z.given && !same && sure && !z.warned:
		z.warned = true
		s.log.Warn("the time zone that was given does not fit: LIST and MDTM of this server differ by another",
			"server", s.cfg.addr(), "given", now.In(z.at).Format("-07:00"), "differ", now.In(found).Format("-07:00"))
	case z.given:
	default:
		if !same && z.sure {
			s.log.Info("the time zone of listings changed", "server", s.cfg.addr(), "was", now.In(z.at).Format("-07:00"), "is", now.In(found).Format("-07:00"))
		}
		if z.sure = sure; !same {
			z.at = found
		}
	}
	return z.at
}

// outcome is the offset that more than half of the files agree on, and if there is none,
// as where summer and winter are listed each by its own, that of the newer half. A single
// file may have changed between LIST and MDTM: with it the outcome is not sure.
func outcome(votes []vote) (offset time.Duration, sure bool) {
	slices.SortStableFunc(votes, func(a, b vote) int { return b.at.Compare(a.at) })
	for _, among := range [][]vote{votes, votes[:(len(votes)+1)/2]} {
		count := make(map[time.Duration]int)
		for _, v := range among {
			count[v.offset]++
		}
		for o, n := range count {
			if 2*n > len(among) {
				return o, n >= 2
			}
		}
	}
	return 0, false
}

// votesOf compares times as listed with exact ones.
func votesOf(entries []remote.Entry, files []int, replies []wire.Reply, zone *time.Location) (votes []vote) {
	for n, i := range files {
		e := &entries[i]
		exact, ok := timeIn(replies[n])
		if !ok || e.MGrain == 0 || e.MGrain > time.Minute {
			continue
		}
		d := e.MTime.Add(offsetOf(zone, e.MTime)).Sub(exact.Truncate(e.MGrain))
		const days = 24 * time.Hour
		for _, years := range []time.Duration{0, 365, -365, 366, -366} { // the year of a recent time is guessed
			if o := d + years*days; isZone(o) {
				votes = append(votes, vote{exact, o})
				break
			}
		}
	}
	return votes
}

// isZone knows the offsets that countries have. A file that changes in a moment between LIST
// and MDTM seldom changes by one of them.
func isZone(o time.Duration) bool {
	const quarter = 15 * time.Minute
	if o%time.Hour == 0 {
		return o >= -12*time.Hour && o <= 14*time.Hour
	}
	switch o / quarter {
	case -38, -14, -10, 14, 18, 22, 23, 26, 35, 38, 42, 43, 51, 55: // -9:30 … +13:45
		return o%quarter == 0
	}
	return false
}

func offsetOf(l *time.Location, at time.Time) time.Duration {
	if l == nil {
		return 0
	}
	_, seconds := at.In(l).Zone()
	return time.Duration(seconds) * time.Second
}
