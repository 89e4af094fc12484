package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/wire"
)

// Config of a run.
type Config struct {
	Server   ftpconn.Config // as the mount's; Watch is the run's own
	ReadOnly bool           // change nothing, not even for a moment
	Limit    time.Duration  // of all probes together; default 5 min
	Most     int64          // bytes of the file that throughput is measured with; default 16 MiB
	// Doing is told what is about to be tried; nil: nobody is.
	Doing func(what string)
	// Others tells how many connections mounts of this user have to the server now; nil: it
	// is not known.
	Others func() int
	// Removing ends the removal of the scratch directory, which otherwise goes on after
	// the run's own context has ended, for a while; nil: nothing does.
	Removing context.Context
}

const (
	limit = 5 * time.Minute
	// giveUp is how many probes in a row may lose their connection before the server
	// counts as gone.
	giveUp = 3
)

// run is one examination.
type run struct {
	cfg   Config
	asked ftpconn.Config // as it came
	store *ftpconn.Store
	watch *watch
	rep   *Report

	d       *ftpconn.Dialogue // nil: none at the moment
	broken  int               // probes in a row that lost their connection
	scratch string            // in the mounted directory; "" while there is none
	maybe   bool              // it may be there
	halted  string            // why nothing more can be found out
	closed  string            // why nothing can be written; "" while it can
	root    []remote.Entry    // of the mounted directory
	listErr error             // why it could not be listed
	options []Option

	listSent, listCame string // at listErr; "" where the listing itself was the matter
	uncounted          bool   // how many connections there may be is not known

	mu     sync.Mutex // guards what follows
	memory ftpconn.Memory
}

// probe finds out about one thing. What it returns as error is a dialogue that broke.
type probe struct {
	id     string
	writes bool
	do     func(*run, context.Context) (Finding, error)
}

// probes in the order in which they are made. The count of connections comes last: what
// it opens and closes may be in the way for a while.
var probes = []probe{
	{"directory", false, (*run).directory}, {"data", false, (*run).data}, {"directory", false, (*run).writing},
	{"listing", false, (*run).listing}, {"hidden", true, (*run).hidden}, {"names", true, (*run).names},
	{"times", true, (*run).times}, {"modes", true, (*run).modes}, {"rename", true, (*run).rename}, {"restart", true, (*run).restart},
	{"append", true, (*run).appending}, {"patch", true, (*run).patch}, {"sums", true, (*run).sums}, {"space", false, (*run).space},
	{"rtt", false, (*run).roundTrip}, {"speed", true, (*run).speed},
}

// Run examines a server. It returns when all is found out, when the limit is reached, or
// soon after ctx has ended: when what was made on the server is removed.
func Run(ctx context.Context, cfg Config) *Report {
	if cfg.Limit <= 0 {
		cfg.Limit = limit
	}
	if cfg.Most <= 0 {
		cfg.Most = 16 << 20
	}
	if cfg.Removing == nil {
		cfg.Removing = context.Background()
	}
	if cfg.Server.Timeout <= 0 {
		cfg.Server.Timeout = 30 * time.Second
	}
	r := &run{cfg: cfg, asked: cfg.Server, watch: &watch{secret: secret(cfg.Server.Password)}}
	if u := cfg.Server.User; u == "" || u == "anonymous" || u == "ftp" {
		r.watch.secret = nil // it is none, and a common word
	}
	r.cfg.Server.Watch = r.watch.hear
	r.cfg.Server.Memory, r.cfg.Server.Remember = ftpconn.Memory{}, r.remember
	r.store = ftpconn.New(r.cfg.Server)
	r.rep = &Report{Version: 1, Server: r.addr(), Started: time.Now(), ReadOnly: cfg.ReadOnly,
		Findings: []Finding{}, Options: []Option{}, Left: []string{}}
	limited, cancel := context.WithTimeout(ctx, cfg.Limit)
	defer cancel()
	r.examine(limited)
	r.hangUp()
	r.store.Close() // which has it tell what it learned
	r.end(ctx)
	return r.rep
}

// remember takes what a Store has learned.
func (r *run) remember(m ftpconn.Memory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory = m.Merge(r.memory)
}

func (r *run) others() int {
	if r.cfg.Others == nil {
		return 0
	}
	return r.cfg.Others()
}

func (r *run) addr() string {
	port := r.cfg.Server.Port
	if port == 0 {
		if port = 21; r.cfg.Server.TLS.Security == ftpconn.Implicit {
			port = 990
		}
	}
	return net.JoinHostPort(r.cfg.Server.Host, strconv.Itoa(port))
}

func (r *run) examine(ctx context.Context) {
	if !r.meet(ctx) {
		return
	}
	defer r.remove()
	if r.cfg.ReadOnly {
		r.closed = "read-only"
	}
	for _, p := range probes {
		if ctx.Err() != nil {
			return
		}
		if why := r.skip(p); why != "" {
			r.add(Finding{ID: p.id, Level: Unknown, Text: why})
			continue
		}
		r.try(ctx, p)
	}
	r.encryption(ctx) // once data connections were made
	r.remove()
	if ctx.Err() == nil && r.broken < giveUp && r.halted == "" {
		r.try(ctx, probe{id: "connections", do: (*run).connections})
	}
}

// halt ends what cannot be found out any more, since there can be no mount.
func (r *run) halt(why string) { r.halted = why }

// skip says why a probe is not made; "" if it is.
func (r *run) skip(p probe) string {
	switch {
	case r.broken >= giveUp:
		return "not tried: the server does not answer any more"
	case r.halted != "" && p.id != "directory":
		return "not tried: " + r.halted
	case p.writes && r.closed != "":
		return "not tried: " + r.closed
	}
	return ""
}

// try makes a probe. One that loses its connection is made once more, on another: the
// connection may have been the matter, or a trick of the wire that is now given up.
func (r *run) try(ctx context.Context, p probe) {
	if r.cfg.Doing != nil {
		r.cfg.Doing(titleOf(p.id))
	}
	for tries := 1; ; tries++ {
		mark := r.watch.mark()
		f, err := r.once(ctx, p)
		if err == nil {
			r.broken = 0
			r.add(f)
			return
		}
		if ctx.Err() != nil {
			r.hangUp()
			r.add(Finding{ID: p.id, Level: Unknown, Text: "not finished"})
			return
		}
		fault := wire.FaultOf(err)
		out := r.d == nil // no login
		again := tries < 2 && !(out && r.broken > 0) || fault != nil && fault.Fault == wire.Surprise && tries < 4
		if fault != nil {
			r.hangUp()
		}
		if again {
			continue
		}
		f = Finding{ID: p.id, Level: Problem, Text: "could not be found out: " + plain(cause(err)), Try: "try again; if it stays so, ask who runs the server"}
		if fault != nil || out {
			r.broken++
			f.Text = "the dialogue broke off: " + plain(cause(err))
		}
		f.Sent, f.Came = r.watch.failure(mark)
		if f.Came == "" && f.Sent != "" {
			f.Came = "no answer"
		}
		r.add(f)
		return
	}
}

// once makes a probe within its time.
func (r *run) once(ctx context.Context, p probe) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	if r.d != nil && r.d.GiveWay() {
		r.d = nil
	}
	if r.d == nil {
		if err := r.login(ctx); err != nil {
			return Finding{}, err
		}
	}
	f, err := p.do(r, ctx)
	f.ID = p.id
	if err == nil && r.d != nil && r.d.Dead() != nil {
		r.hangUp()
	}
	return f, err
}

// patience is the time for a probe: each of its steps has the timeout, and few of them
// may take it.
func (r *run) patience() time.Duration { return 2*r.cfg.Server.Timeout + 15*time.Second }

func (r *run) hangUp() {
	if r.d != nil {
		r.d.Close()
		r.d = nil
	}
}

// add puts a finding into the report; the last one about a thing counts.
func (r *run) add(f Finding) {
	f.Title = titleOf(f.ID)
	for i := range r.rep.Findings {
		if r.rep.Findings[i].ID == f.ID {
			r.rep.Findings[i] = f
			return
		}
	}
	r.rep.Findings = append(r.rep.Findings, f)
}

func titleOf(id string) string {
	for _, t := range titles {
		if t.id == id {
			return t.title
		}
	}
	return id
}

// end brings the report into its form. ctx is the caller's.
func (r *run) end(ctx context.Context) {
	rep := r.rep
	why := "not tried"
	switch {
	case ctx.Err() != nil:
		why = "not tried: the run was ended"
	case r.halted != "":
		why = "not tried: " + r.halted
	}
	known := map[string]Finding{}
	for _, f := range rep.Findings {
		known[f.ID] = f
	}
	rep.Findings = rep.Findings[:0]
	for _, t := range titles {
		f, ok := known[t.id]
		if !ok && t.id == "left" {
			continue
		}
		if !ok {
			f = Finding{ID: t.id, Title: t.title, Level: Unknown, Text: why}
		}
		rep.Findings = append(rep.Findings, f)
	}
	rep.Options = append(rep.Options, r.options...)
	switch rep.Verdict = worst(rep.Findings); {
	case r.halted != "":
		rep.Verdict = Impossible
	case ctx.Err() != nil:
		rep.Verdict = Cut
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rep.Memory = r.memory; rep.Memory.Greeting != "" && rep.Verdict != Cut && r.broken == 0 && r.closed == "" && r.halted == "" {
		conns := rep.Facts.Connections
		if r.uncounted {
			conns = 0
		}
		rep.Memory = rep.Memory.Anew(conns, rep.Facts.Capped, time.Now())
	}
	rep.Seconds = time.Since(rep.Started).Seconds()
}

// cause is an error without what was tried, which the finding says.
func cause(err error) string {
	var e *remote.Error
	if errors.As(err, &e) {
		switch {
		case e.Code != 0:
			return fmt.Sprintf("%d %s", e.Code, e.Text)
		case e.Err != nil:
			return e.Err.Error()
		}
		return e.Kind.String()
	}
	return err.Error()
}

// refused makes f tell of a command that was refused.
func (f Finding) refused(cmd string, reply fmt.Stringer, try string) Finding {
	f.Sent, f.Came, f.Try = plain(cmd), plain(reply.String()), try
	return f
}

func yes(b bool) *bool { return &b }
