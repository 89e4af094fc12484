package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
)

// zone tells of the times of LIST.
func (r *run) zone(f *Finding, entries []remote.Entry, sample string, fresh time.Time) error {
	facts := &r.rep.Facts
	if sample != "" {
		f.Text += " (" + form(sample) + ")"
	}
	exact := false
	for _, e := range entries {
		exact = exact || e.Type == remote.File && e.MGrain == time.Second
	}
	switch {
	case facts.Zone != "":
		f.Text += ", times of zone " + facts.Zone
	case sample != "" && !fresh.IsZero():
		if z, ok := guess(sample, fresh); ok {
			facts.Zone = z
			f.Text += ", times of zone " + z + " by our clock"
			if z != "+00:00" {
				f.Level = f.Level.atLeast(Note)
				f.More = append(f.More, "the mount cannot find that out without MDTM")
				r.options = append(r.options, Option{"timezone=" + z, "the zone of its listings, as it has no MDTM"})
			}
			break
		}
		fallthrough
	default:
		f.Text += ", the zone of its times is not known"
	}
	if exact {
		f.Text += ", to the second by MDTM"
	} else if !fresh.IsZero() {
		f.Level = f.Level.atLeast(Note)
		f.More = append(f.More, "it tells no times to the second: of files that others wrote rsync needs --modify-window=60")
	}
	return nil
}

// form names the format of a line of LIST, as the mount reads it.
func form(l string) string {
	p := listing.NewParser(time.Now(), time.UTC)
	if _, _, err := p.Line(l); err != nil || p.Format() == "" {
		return "its own form"
	}
	return p.Format()
}

// guess finds the zone of a line that tells of a file just written.
func guess(l string, fresh time.Time) (string, bool) {
	e, class, err := listing.NewParser(time.Now(), time.UTC).Line(l)
	if err != nil || class != listing.IsEntry || e.MGrain != time.Minute {
		return "", false
	}
	const quarter = 15 * time.Minute
	d := e.MTime.Sub(fresh.Truncate(time.Minute))
	z := d.Round(quarter)
	if off := d - z; off > 4*time.Minute || off < -4*time.Minute || z > 15*time.Hour || z < -15*time.Hour {
		return "", false
	}
	return fresh.In(time.FixedZone("", int(z/time.Second))).Format("-07:00"), true
}

// clock compares the time of a file just written with ours.
func (r *run) clock(ctx context.Context, f *Finding, fresh time.Time) error {
	reply, err := r.d.Cmd(ctx, "MDTM "+r.d.Path(r.in(plainName)))
	if err != nil {
		return err
	}
	at, ok := listing.ParseTime(strings.TrimSpace(reply.Text()))
	if !reply.OK() || !ok {
		return nil
	}
	ahead := at.Sub(fresh.Truncate(time.Second))
	seconds := ahead.Seconds()
	r.rep.Facts.Clock = &seconds
	if -2*time.Minute < ahead && ahead < 2*time.Minute {
		return nil
	}
	way := "ahead"
	if ahead < 0 {
		way, ahead = "behind", -ahead
	}
	f.Level = f.Level.atLeast(Note)
	f.More = append(f.More, fmt.Sprintf("MDTM is %s %s of our clock: one of them is wrong, or the server tells local time where UTC is due", longer(ahead), way))
	return nil
}

// longer is a duration in hours and minutes.
func longer(d time.Duration) string {
	if d > 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	}
	if d < time.Hour {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
