package doctor

import (
	"context"
	"path"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// kept says what the mount does about what a server cannot keep.
const kept = "the mount keeps what is set through it and shows it here, so that rsync sends nothing twice; other clients see the server's"

const stamp = "20060102150405"

// settings are the commands that set a time.
var settings = []struct {
	name string
	cmd  func(full, at string) string
}{
	{"MFMT", func(full, at string) string { return "MFMT " + at + " " + full }},
	{"MDTM", func(full, at string) string { return "MDTM " + at + " " + full }},
	{"SITE UTIME", func(full, at string) string { return "SITE UTIME " + full + " " + at + " " + at + " " + at + " UTC" }},
}

// times sets those of a file and of a directory in each way that there is, and then as
// the mount does.
func (r *run) times(ctx context.Context) (Finding, error) {
	if f, err := r.put(ctx, plainName, plainText); f != nil || err != nil {
		return deref(f), err
	}
	if _, err := r.d.Cmd(ctx, "MKD "+r.d.Path(r.in(subName))); err != nil {
		return Finding{}, err
	}
	var refusals []string
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	ways := func(name string) (works []string, err error) {
		for _, s := range settings {
			at = at.Add(26*time.Hour + 7*time.Second)
			reply, err := r.d.Cmd(ctx, s.cmd(r.d.Path(r.in(name)), at.Format(stamp)))
			if err != nil {
				return nil, err
			}
			if !reply.OK() {
				refusals = append(refusals, s.name+": "+plain(reply.String()))
				continue
			}
			if is, err := r.timeOf(ctx, name); err != nil {
				return nil, err
			} else if is.Equal(at) {
				works = append(works, s.name)
			} else {
				refusals = append(refusals, s.name+": "+plain(reply.String())+", and it is not set")
			}
		}
		return works, nil
	}
	facts := &r.rep.Facts
	var err error
	if facts.FileTimes, err = ways(plainName); err != nil {
		return Finding{}, err
	}
	ofFile := refusals
	refusals = nil
	if facts.DirTimes, err = ways(subName); err != nil {
		return Finding{}, err
	}
	at = at.Add(24 * time.Hour)
	// As the mount would: this is what it goes by from now on.
	ferr := r.d.Touch(ctx, r.in(plainName), at)
	if wire.FaultOf(ferr) != nil {
		return Finding{}, ferr
	}
	if is, err := r.timeOf(ctx, plainName); err != nil {
		return Finding{}, err
	} else if ferr != nil || !is.Equal(at) {
		return Finding{Level: Note, Text: "none of the ways works", More: ofFile, Try: "nothing: " + kept}, nil
	}
	how := r.store.Stats().SetsTimes
	f := Finding{Level: OK, Text: "of files by " + how}
	if len(facts.DirTimes) > 0 {
		f.Text = "of files and directories by " + how
	} else {
		f.Level = Note
		f.Text += ", not of directories"
		f.More, f.Try = refusals, "nothing: "+kept
	}
	var more []string
	for _, w := range facts.FileTimes {
		if w != how {
			more = append(more, w)
		}
	}
	if len(more) > 0 {
		f.Text += " (" + strings.Join(more, ", ") + " would do too)"
	}
	return f, nil
}

// timeOf reads a time back: by MDTM, else from the listing, as MDTM is for files on some
// servers. It is zero where neither tells it to the second.
func (r *run) timeOf(ctx context.Context, name string) (time.Time, error) {
	reply, err := r.d.Cmd(ctx, "MDTM "+r.d.Path(r.in(name)))
	if err != nil {
		return time.Time{}, err
	}
	if at, ok := listing.ParseTime(strings.TrimSpace(reply.Text())); ok && reply.OK() {
		return at, nil
	}
	e, _, err := r.entry(ctx, name)
	if err != nil || e.MGrain != time.Second {
		return time.Time{}, err
	}
	return e.MTime, nil
}

// entry is what the listing of the scratch directory tells of a name.
func (r *run) entry(ctx context.Context, name string) (remote.Entry, bool, error) {
	entries, err := r.d.List(ctx, r.scratch)
	for _, e := range entries {
		if e.Name == path.Base(name) {
			return e, true, nil
		}
	}
	return remote.Entry{}, false, err
}

// modes sets that of a file, and looks whether it is shown.
func (r *run) modes(ctx context.Context) (Finding, error) {
	if f, err := r.put(ctx, plainName, plainText); f != nil || err != nil {
		return deref(f), err
	}
	mark := r.watch.mark()
	const mode = 0o640
	err := r.d.Chmod(ctx, r.in(plainName), mode)
	if wire.FaultOf(err) != nil {
		return Finding{}, err
	}
	if err != nil {
		f := Finding{Level: Note, Text: "cannot be set", Try: "nothing: " + kept}
		f.Sent, f.Came = r.watch.failure(mark)
		return f, nil
	}
	e, _, err := r.entry(ctx, plainName)
	if err != nil {
		return Finding{}, err
	}
	how := "SITE CHMOD"
	if r.watch.said(mark, "MFF ") {
		how = "MFF"
	}
	switch {
	case !e.HasMode:
		r.rep.Facts.Modes = how
		return Finding{Level: Note, Text: "by " + how + "; listings do not show them"}, nil
	case e.Mode&0o777 != mode:
		return Finding{Level: Note, Text: "said to be set by " + how + ", and is not", Try: "nothing: " + kept}, nil
	}
	r.rep.Facts.Modes = how
	return Finding{Level: OK, Text: "by " + how}, nil
}
