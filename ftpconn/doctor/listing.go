package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/codepage"
	"ftpfs/ftpconn/wire"
)

// Names in the scratch directory; names.go has those that are tried as names.
const (
	plainName, hiddenName, subName = "plain", ".hidden", "sub"
	plainText                      = "hello"
)

// listing compares what the mount sees of the scratch directory with what was put there,
// and finds the zone of its times.
func (r *run) listing(ctx context.Context) (Finding, error) {
	if r.listErr != nil {
		f := Finding{Level: Problem, Text: plain(cause(r.listErr)), Try: "-o trace_ftp shows the whole dialogue of a mount",
			Sent: r.listSent, Came: r.listCame}
		r.halt("the directory cannot be listed")
		if remote.Is(r.listErr, remote.Permission) {
			f.Text, f.Try = "the directory cannot be listed: "+f.Text, "ask who runs the server for the right to list"
		}
		return f, nil
	}
	entries := r.root
	var fresh time.Time
	var wrong []string
	mark := r.watch.mark()
	if r.closed == "" {
		if f, err := r.put(ctx, plainName, plainText); f != nil || err != nil {
			return r.notPut(f), err
		}
		fresh = time.Now()
		if err := do(ctx, r.d, "MKD "+r.d.Path(r.in(subName))); err != nil && r.d.Dead() != nil {
			return Finding{}, err
		}
		var err error
		if entries, err = r.d.List(ctx, r.scratch); err != nil {
			if wire.FaultOf(err) != nil {
				return Finding{}, err
			}
			r.closed = "listings fail"
			f := Finding{Level: Problem, Text: plain(cause(err)), Try: "-o trace_ftp shows the whole dialogue of a mount"}
			f.Sent, f.Came = r.watch.failure(mark)
			return f, nil
		}
		wrong = misseen(entries)
	}
	st := r.store.Stats()
	facts := &r.rep.Facts
	facts.Listing, facts.Zone = st.Listing, st.Zone
	f := Finding{Level: OK, Text: st.Listing}
	if len(wrong) > 0 {
		f.Level = Problem
		f.More = append(f.More, wrong...)
		f.Try = "-o trace_ftp shows the whole dialogue of a mount; such a listing is worth a report"
	}
	sample, err := r.sample(ctx)
	if err != nil {
		return f, err
	}
	if st.Listing == "MLSD" {
		facts.Zone = "UTC"
		f.Text += ", times to the second in UTC"
	} else if err := r.zone(&f, entries, sample, fresh); err != nil {
		return f, err
	}
	r.foreign(&f)
	if fresh.IsZero() {
		return f, nil
	}
	if err := r.clock(ctx, &f, fresh); err != nil {
		return f, err
	}
	if strings.EqualFold(facts.Software, "pure-ftpd") {
		f.More = append(f.More, "directories of more than 10,000 names are an error, unless the server was started with a higher -L")
	}
	return f, nil
}

// notPut ends what needs files, as none can be written.
func (r *run) notPut(f *Finding) Finding {
	if f == nil {
		return Finding{}
	}
	r.closed = "files cannot be written"
	return Finding{Level: Unknown, Text: "not tried: " + r.closed}.join(r, *f)
}

// join moves a finding about writing to the directory's line.
func (f Finding) join(r *run, about Finding) Finding {
	about.ID, about.Level = "directory", Problem
	about.Text = r.rep.Facts.Directory + ": " + about.Text
	r.add(about)
	return f
}

// misseen says what a listing of the scratch directory has wrong.
func misseen(entries []remote.Entry) (wrong []string) {
	file, dir := false, false
	for _, e := range entries {
		switch e.Name {
		case plainName:
			file = true
			if e.Type != remote.File {
				wrong = append(wrong, "a file is not shown as one")
			} else if e.Size >= 0 && e.Size != int64(len(plainText)) {
				wrong = append(wrong, fmt.Sprintf("a file of %d bytes is shown with %d", len(plainText), e.Size))
			}
		case subName:
			if dir = true; e.Type != remote.Dir {
				wrong = append(wrong, "a directory is not shown as one")
			}
		}
	}
	if !file {
		wrong = append(wrong, "a file that was just written is not shown")
	}
	if !dir {
		wrong = append(wrong, "a directory that was just made is not shown")
	}
	return wrong
}

// sample is a line of LIST as it came, "" where there is none.
func (r *run) sample(ctx context.Context) (string, error) {
	verb := r.store.Stats().Listing
	if verb == "" || verb == "MLSD" {
		return "", nil
	}
	dir := r.scratch
	if dir == "" {
		dir = "/"
	}
	lines, err := r.d.Lines(ctx, dir, verb)
	if wire.FaultOf(err) != nil {
		return "", err
	}
	for _, l := range lines {
		if r.scratch == "" && !strings.HasPrefix(l, "total") || strings.Contains(l, plainName) {
			return l, nil
		}
	}
	return "", nil
}

// hidden looks whether listings show names that begin with a dot.
func (r *run) hidden(ctx context.Context) (Finding, error) {
	if f, err := r.put(ctx, hiddenName, "x"); f != nil || err != nil {
		if f != nil {
			f.Text = "names that begin with a dot cannot be written"
		}
		return deref(f), err
	}
	there, err := present(ctx, r.d, r.in(hiddenName))
	if err != nil {
		return Finding{}, err
	}
	r.rep.Facts.Hidden = &there
	if there {
		return Finding{Level: OK, Text: "shown"}, nil
	}
	return Finding{Level: Note, Text: "names that begin with a dot are not shown in listings",
		More: []string{"the mount does not see them: a directory with such names cannot be removed, and temporary files of a killed mount stay"},
		Try:  "have the server show them (Pure-FTPd: -D)"}, nil
}

func deref(f *Finding) Finding {
	if f == nil {
		return Finding{}
	}
	return *f
}

// foreign tells of names that are not UTF-8, as the mount does in its log.
func (r *run) foreign(f *Finding) {
	var names []string
	for _, e := range r.root {
		if !utf8.ValidString(e.Name) {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	try := "codepage=NAME shows them as text"
	guess := codepage.Guess(names)
	if page, err := codepage.Find(guess); err == nil && guess != "" {
		try += fmt.Sprintf(": perhaps codepage=%s, in which it reads %s", guess, quoted(page.Decode(names[0])))
	}
	f.Level, f.Try = f.Level.atLeast(Note), cmp.Or(f.Try, try)
	f.More = append(f.More, fmt.Sprintf("names that are not UTF-8: %d in the directory, such as %s", len(names), quoted(names[0])))
}
