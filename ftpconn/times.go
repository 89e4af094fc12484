package ftpconn

import (
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// maxExact is the largest number of files of one directory whose times are
// asked for one by one.
const maxExact = 20_000

// timed turns the lines of a LIST into entries. LIST tells times by the minute
// or the day, in a zone it does not name: MDTM gives those of files exactly, and
// the difference gives the zone.
func (ss *session) timed(dir string, got lsOutput, exact bool) ([]remote.Entry, error) {
	zone := ss.store.server.location()
	entries, err := parse(got, zone)
	if err != nil || !exact && zone != nil {
		return entries, err
	}
	k := ss.store.server.known()
	if k.seen && len(k.features) > 0 && !k.has("MDTM") {
		return entries, nil
	}
	var files []int
	for i := range entries {
		if e := &entries[i]; e.Type == remote.File && e.MGrain != time.Second {
			files = append(files, i)
		}
	}
	if !exact && len(files) > 1 {
		files = files[:1] // for the zone
	}
	if len(files) == 0 || len(files) > maxExact {
		return entries, nil
	}
	cmds := make([]string, len(files))
	for n, i := range files {
		cmds[n] = "MDTM " + ss.path(strings.TrimSuffix(dir, "/")+"/"+entries[i].Name)
		if wire.Refused(cmds[n]) != nil {
			return entries, nil
		}
	}
	replies, err := ss.wire.Batch(cmds...)
	if err != nil {
		return nil, err
	}
	if zone == nil {
		if found := zoneBy(entries, files, replies); found != nil {
			ss.store.server.setLocation(found)
			if entries, err = parse(got, found); err != nil {
				return nil, err
			}
		}
	}
	for n, i := range files {
		if t, ok := timeIn(replies[n]); ok {
			entries[i].MTime, entries[i].MGrain = t, time.Second
		}
	}
	return entries, nil
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

// zoneBy compares times listed as if in UTC with exact ones: the difference,
// rounded to a quarter of an hour, is the listing's zone. Only times told by
// the minute are fit for that, and two files must agree if there are two.
func zoneBy(entries []remote.Entry, files []int, replies []wire.Reply) *time.Location {
	const quarter = 15 * time.Minute
	var offset time.Duration
	votes := 0
	for n, i := range files {
		exact, ok := timeIn(replies[n])
		if !ok || entries[i].MGrain != time.Minute {
			continue
		}
		d := entries[i].MTime.Sub(exact.Truncate(time.Minute))
		// The year of a recent time is guessed: whole years are no zone.
		for d > 183*24*time.Hour {
			d -= 365 * 24 * time.Hour
		}
		for d < -183*24*time.Hour {
			d += 365 * 24 * time.Hour
		}
		r := d.Round(quarter)
		if d != r || r > 15*time.Hour || r < -15*time.Hour {
			continue
		}
		if votes > 0 && r != offset {
			return nil // summer and winter time mixed, or a file that changed: no one zone
		}
		offset = r
		if votes++; votes == 8 {
			break
		}
	}
	if votes == 0 {
		return nil
	}
	return time.FixedZone("", int(offset/time.Second))
}
