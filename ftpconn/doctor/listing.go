package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// Names in the scratch directory; names.go has those that are tried as names.
const (
	plainName, hiddenName, subName = "plain", ".hidden", "sub"
	plainText                      = "hello"
)

// directory enters what is to be mounted.
func (r *run) directory(ctx context.Context) (Finding, error) {
	err := r.d.Enter(ctx)
	base := escape(r.d.Path("/"))
	r.rep.Facts.Directory = base
	if err == nil {
		return Finding{Level: OK, Text: base}, nil
	}
	if wire.FaultOf(err) != nil {
		return Finding{}, err
	}
	f := Finding{Level: Problem, Text: base + " cannot be entered", Sent: plain("CWD " + r.d.Path("/")), Came: plain(cause(err)),
		Try: "is the path in the URL right? /path is below the login directory, //path is absolute"}
	var e *remote.Error
	if errors.As(err, &e) {
		f.Came = plain(fmt.Sprintf("%d %s", e.Code, e.Text))
	}
	switch {
	case remote.Is(err, remote.NotExist):
		f.Text = base + " is not there"
	case remote.Is(err, remote.NotDir):
		f.Text = base + " is not a directory"
	}
	r.halt("the directory cannot be entered")
	return f, nil
}

// data lists the directory, for the first time: are there data connections?
func (r *run) data(ctx context.Context) (Finding, error) {
	f := Finding{Level: OK}
	mark := r.watch.mark()
	entries, err := r.d.List(ctx, "/")
	fault := wire.FaultOf(err)
	if fault != nil && fault.Fault == wire.Surprise {
		return f, err // it is done again in another way
	}
	if err != nil && ctx.Err() == nil && (fault != nil || r.noData(mark)) {
		r.hangUp()
		f = Finding{Level: Problem, Text: "none can be made: " + plain(cause(err)),
			Try: "a firewall may be between; active mode (active) fails too"}
		f.Sent, f.Came = r.watch.failure(mark)
		if f.Came == "" {
			f.Came = "no answer"
		}
		if entries, err = r.actively(ctx); err != nil {
			r.halt("there is no data connection")
			return f, nil
		}
	} else if err != nil {
		if fault == nil { // a refusal, or a listing that is not understood: that is for the next probe
			r.listErr = err
			return r.how(ctx, f)
		}
		return f, err
	}
	r.root = entries
	return r.how(ctx, f)
}

// noData says that what was refused since mark is the data connection.
func (r *run) noData(mark int) bool {
	sent, came := r.watch.failure(mark)
	verb, _, _ := strings.Cut(sent, " ")
	return verb == "EPSV" || verb == "PASV" || verb == "EPRT" || verb == "PORT" || strings.HasPrefix(came, "425")
}

// actively goes on in active mode.
func (r *run) actively(ctx context.Context) ([]remote.Entry, error) {
	if r.cfg.Server.Active {
		return nil, errors.New("it was active mode that failed")
	}
	cfg := r.cfg.Server
	cfg.Active = true
	s := ftpconn.New(cfg)
	d, err := s.Dialogue(ctx)
	var entries []remote.Entry
	if err == nil {
		if entries, err = d.List(ctx, "/"); err != nil {
			d.Close()
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	r.store.Close()
	r.store, r.d, r.cfg.Server = s, d, cfg
	return entries, nil
}

// how says how data connections are made.
func (r *run) how(ctx context.Context, f Finding) (Finding, error) {
	facts := &r.rep.Facts
	facts.Data = r.store.Stats().Passive
	switch {
	case facts.Data != "active":
		f.Text = "passive, by " + facts.Data
	case r.asked.Active:
		f.Text = "active: the server connects to us"
	default:
		r.options = append(r.options, Option{"active", "passive data connections fail, and this saves the mount their trial"})
		f.Level, f.Text, f.Try = Note, "passive ones fail, active ones work", "mount with -o active"
	}
	if facts.Data == "active" || r.d == nil || r.d.Dead() != nil {
		return f, nil
	}
	reply, err := r.d.Cmd(ctx, "PASV")
	if err != nil {
		return f, err
	}
	told := addressIn(reply)
	if told == "" {
		if !reply.OK() && facts.Data == "EPSV" {
			f.Text += " (PASV is refused)"
		}
		return f, nil
	}
	if facts.PASV = told; told != r.d.Peer() && net.ParseIP(r.d.Peer()).To4() != nil {
		f.More = append(f.More, "PASV tells the address "+told+" and not "+r.d.Peer()+"; the mount does not go there")
	}
	return f, nil
}

var address = regexp.MustCompile(`(\d+),(\d+),(\d+),(\d+),\d+,\d+`)

func addressIn(r wire.Reply) string {
	m := address.FindStringSubmatch(r.Text())
	if !r.OK() || m == nil {
		return ""
	}
	return strings.Join(m[1:], ".")
}

// writing makes the scratch directory.
func (r *run) writing(ctx context.Context) (Finding, error) {
	f := Finding{Level: OK, Text: "not written to (read-only)"}
	var err error
	switch {
	case r.halted != "":
		for _, old := range r.rep.Findings {
			if old.ID == "directory" {
				return old, nil
			}
		}
	case r.cfg.ReadOnly:
	case r.scratch != "": // this is the second try, and the first had no answer
		f.Text = "can be written"
		there, err := present(ctx, r.d, r.scratch)
		if err != nil {
			return f, err
		}
		if there {
			r.maybe = false
			break
		}
		r.scratch = ""
		fallthrough
	default:
		if f, err = r.makeScratch(ctx); err != nil {
			return f, err
		}
		r.rep.Facts.Writable = yes(r.scratch != "")
	}
	f.Text = r.rep.Facts.Directory + ", " + f.Text
	for _, e := range r.root {
		if Scratch(e.Name) && "/"+e.Name != r.scratch {
			f.Level = f.Level.atLeast(Note)
			f.More = append(f.More, e.Name+" was left behind by an earlier run: ftpfs doctor --remove "+e.Name)
		}
	}
	return f, nil
}

// listing compares what the mount sees of the scratch directory with what was put there,
// and finds the zone of its times.
func (r *run) listing(ctx context.Context) (Finding, error) {
	if r.listErr != nil {
		f := Finding{Level: Problem, Text: plain(cause(r.listErr)), Try: "-o trace_ftp shows the whole dialogue of a mount"}
		r.halt("the directory cannot be listed")
		if remote.Is(r.listErr, remote.Permission) {
			f.Text, f.Try = "the directory cannot be listed: "+f.Text, "ask who runs the server for the right to list"
		}
		return f, nil
	}
	entries := r.root
	var fresh time.Time
	var wrong []string
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
			return Finding{Level: Problem, Text: plain(cause(err)), Try: "-o trace_ftp shows the whole dialogue of a mount"}, nil
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
		f.More = append(f.More, "there are no times to the second: rsync needs --modify-window=60 or --size-only")
	}
	return nil
}

// form names the kind of a line of LIST.
func form(l string) string {
	switch {
	case regexp.MustCompile(`^[-dlbcpsD][-rwxsStTlL]{3,}`).MatchString(l):
		return "Unix"
	case regexp.MustCompile(`^\d\d-\d\d-\d\d`).MatchString(l):
		return "DOS"
	case strings.HasPrefix(l, "+"):
		return "EPLF"
	}
	return "its own form"
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

// foreign counts names that are not UTF-8.
func foreign(entries []remote.Entry) (n int, first string) {
	for _, e := range entries {
		if !utf8.ValidString(e.Name) {
			if n++; n == 1 {
				first = e.Name
			}
		}
	}
	return n, first
}
