package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ftpfs/cache"
	"ftpfs/cache/spool"
	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/debt"
	"ftpfs/cmd/internal/logfile"
	"ftpfs/cmd/internal/memory"
	"ftpfs/cmd/internal/metrics"
	"ftpfs/cmd/internal/mounts"
	"ftpfs/cmd/internal/place"
	"ftpfs/cmd/internal/target"
	"ftpfs/fs"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/codepage"
	"ftpfs/ftpconn/proxy"
	"ftpfs/ftpconn/ticket"
	"ftpfs/lastwords"
)

// Daemon is one mounted server.
type Daemon struct {
	cfg   Config          // immutable
	dirs  place.Dirs      // immutable
	log   *slog.Logger    // immutable
	file  *logfile.File   // immutable; nil when logging elsewhere
	store *ftpconn.Store  // immutable
	known *memory.File    // immutable; of the server
	tree  Tree            // immutable
	mount *fs.Server      // immutable
	id    int             // immutable: of the mount in mountinfo; 0 when it was not found
	ctl   *control.Server // immutable
	told  *metrics.Server // immutable; nil: to nobody
	since time.Time       // immutable
	note  string          // immutable: what was odd about the start; "" is nothing

	end chan struct{} // asks run to end; capacity 1

	mu      sync.Mutex // guards what follows
	phase   string     // as control.Status shows it
	closed  bool       // the tree is closed, final says how
	final   control.Settled
	settled chan struct{} // closed with closed

	unmounting bool // by ftpfs unmount
}

// Phases.
const (
	phaseMounted  = "mounted"
	phaseDetached = "detached" // no longer in the mount table, still in use
	phaseDraining = "draining" // unmounted, uploads going on
)

// Start mounts. When it returns nil error the mount is usable; Run must follow. The
// error is an *Error, one line. ctx bounds the waiting for the server.
func Start(ctx context.Context, cfg Config) (_ *Daemon, err error) {
	raiseLimits()
	d := &Daemon{cfg: cfg, since: time.Now(), phase: phaseMounted, end: make(chan struct{}, 1), settled: make(chan struct{})}
	var undo []func()
	defer func() {
		if err == nil {
			return
		}
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}()

	d.dirs = cfg.Roots.Of(place.Key(cfg.Target))
	if d.log = cfg.Log; d.log == nil {
		d.file = logfile.New(filepath.Join(d.dirs.State, LogName), logLimit)
		undo = append(undo, func() { d.file.Close() })
		d.log = slog.New(slog.NewTextHandler(d.file, &slog.HandlerOptions{Level: cfg.Options.LogLevel}))
	}
	d.log.Info("starting", "url", cfg.Target.String(), "mountpoint", cfg.Mountpoint, "version", cfg.Version, "pid", os.Getpid())
	d.known = memory.Open(cfg.Roots.Server(cfg.Target), d.log)
	sc, err := StoreConfig(cfg, d.dirs.State, d.log)
	if err != nil {
		return nil, failf(ExitUsage, "%v", err)
	}
	sc.Memory, sc.Remember = d.known.Read(), d.known.Write
	if dir, err := place.WaitingDir(); err != nil {
		d.log.Info("connections are not shared with other mounts of this server", "error", err)
	} else {
		sc.Queue = ticket.Open(dir, place.Host(cfg.Target))
	}
	d.store = ftpconn.New(sc)
	undo = append(undo, func() { d.store.Close() })

	// A first mount looks at the server before it leaves anything on this disk; later
	// ones open the spool first, which may be in use, or owe something.
	_, serr := os.Stat(d.dirs.State)
	first := errors.Is(serr, os.ErrNotExist)
	if first {
		if err := d.connect(ctx, 0); err != nil {
			if e := (*Error)(nil); cfg.Options.TraceFTP && d.file != nil && errors.As(err, &e) {
				e.Err = fmt.Errorf("%w; of a first mount that fails no log is kept: -f shows the trace", e.Err)
			}
			return nil, err
		}
	}
	if _, err = cfg.Roots.Make(cfg.Target); err != nil {
		return nil, failf(ExitSystem, "no place for what is owed to the server: %v", err)
	}
	d.known.Keep()
	tree, err := d.openTree(ctx)
	if err != nil {
		return nil, err
	}
	d.tree = tree
	lastwords.Set(d.panicked())
	undo = append(undo, func() { lastwords.Set(nil) })
	d.tellOfADeath(place.ReadNote(d.dirs.State))
	undo = append(undo, func() { tree.Close(expired()) })
	if !first {
		owed, _ := spool.Count(tree.Status().SpoolDir) // a spool that cannot be read is not a reason to mount
		if err := d.connect(ctx, owed); err != nil {
			return nil, err
		}
	}
	if err := d.listen(); err != nil {
		return nil, err
	}
	undo = append(undo, func() { d.ctl.Close(0) })
	if at := cfg.Options.Metrics; at != "" {
		if d.told, err = metrics.Listen(at, d.status, d.log); err != nil {
			return nil, failf(ExitSystem, "%v", err)
		}
		undo = append(undo, d.told.Close)
	}
	if all, err := mounts.All(); err == nil { // somebody may have been faster
		if m, ok := mounts.At(all, cfg.Mountpoint); ok && m.Ours() {
			return nil, failf(ExitMount, "%s is already mounted (%s)", cfg.Mountpoint, m.Source)
		}
	}
	d.mount, err = fs.Mount(d.mountConfig(), tree, cfg.Mountpoint)
	if err != nil {
		return nil, failf(ExitMount, "%v", err)
	}
	if all, err := mounts.All(); err == nil {
		if m, ok := mounts.At(all, cfg.Mountpoint); ok && m.Ours() {
			d.id = m.ID
		}
	}
	d.writeNote(os.Getpid())
	d.ctl.Serve(d.handle)
	d.log.Info("mounted", "mountpoint", cfg.Mountpoint)
	return d, nil
}

// StoreConfig is how a mount with cfg, and its state in that directory, talks to its server.
func StoreConfig(cfg Config, state string, log *slog.Logger) (ftpconn.Config, error) {
	o, t := cfg.Options, cfg.Target
	if o.TraceFTP { // the dialogue is at level debug, which need not be asked for too
		log = slog.New(everything{log.Handler()})
	}
	var zone *time.Location
	if o.Zone != nil {
		zone = time.FixedZone("", *o.Zone)
	}
	var page *codepage.Page
	if o.Codepage != "" {
		var err error
		if page, err = codepage.Find(o.Codepage); err != nil {
			return ftpconn.Config{}, err
		}
	}
	security, err := protection(cfg)
	if err != nil {
		return ftpconn.Config{}, err
	}
	var through *proxy.Proxy
	if o.Proxy != "" {
		through, err = proxy.Parse(o.Proxy, proxy.HTTP)
	}
	safe := t
	safe.TLS = target.Explicit
	return ftpconn.Config{
		TLS: security, SafeURL: safe.String(), Proxy: through,
		Host: t.Host, Port: t.Port, User: t.User, Password: cfg.Password, Dir: t.Dir,
		Active: o.Active, Passive: o.Passive, Announce: o.ActiveAddress, Ports: ftpconn.Ports(o.ActivePorts), MaxConns: o.MaxConns, Timeout: o.Timeout, Rates: ftpconn.Rates{Up: o.BwUp, Down: o.BwDown},
		Log: log, Trace: o.TraceFTP, Zone: zone, Codepage: page, MountTag: cache.MountTag(state, place.Identity(t)),
	}, err
}

// protection is what the target, the options and the files say of TLS.
func protection(cfg Config) (t ftpconn.TLS, err error) {
	o := cfg.Options
	t = ftpconn.TLS{Pins: o.Pins, NoVerify: o.NoVerifyPeer, NoVerifyName: o.NoVerifyName, ClearData: o.ClearData}
	switch cfg.Target.TLS {
	case target.Try:
		t.Security = ftpconn.Try
	case target.Explicit:
		t.Security = ftpconn.Explicit
	case target.Implicit:
		t.Security = ftpconn.Implicit
	}
	if o.NoTLS13 {
		t.Max = tls.VersionTLS12
	}
	if t.Roots, err = cfg.Certs.Roots(); err == nil {
		t.Certificate, err = cfg.Certs.Own()
	}
	return t, err
}

// everything is a handler that leaves no level out, whatever the log_level.
type everything struct{ slog.Handler }

func (e everything) Enabled(context.Context, slog.Level) bool { return true }

func (e everything) WithAttrs(a []slog.Attr) slog.Handler { return everything{e.Handler.WithAttrs(a)} }
func (e everything) WithGroup(n string) slog.Handler      { return everything{e.Handler.WithGroup(n)} }

// connect logs in. A server that is down stops the mount, unless nofail was given
// or something is owed to it: then the mount must come up, so that what is owed is
// seen and sent.
func (d *Daemon) connect(ctx context.Context, owed int) error {
	err := d.store.Connect(ctx)
	switch {
	case err == nil:
		if d.cfg.Log == nil { // else the log, which says it too, is in front of the same person
			d.note = d.store.InClear()
		}
		return nil
	case ctx.Err() != nil:
		return failf(ExitInterrupted, "interrupted while connecting to %s", d.cfg.Target.Addr())
	case !absent(err):
		return failf(ExitMount, "%s", explain(d.cfg.Target, err))
	}
	why := explain(d.cfg.Target, err)
	switch {
	case d.cfg.Options.NoFail:
		d.note = why + "; mounted all the same (nofail), it will be tried again"
	case owed > 0:
		d.note = fmt.Sprintf("%s; mounted all the same, with %s still owed to it", why, debt.Files(owed))
	default:
		return failf(ExitMount, "%s", why)
	}
	d.log.Warn("the server is not there", "error", err)
	return nil
}

func (d *Daemon) listen() error {
	dir, err := place.RuntimeDir()
	if err != nil {
		return failf(ExitSystem, "no place for the control socket: %v", err)
	}
	path := place.SocketPath(dir, d.cfg.Mountpoint, os.Getpid())
	d.ctl, err = control.Listen(path, place.SocketPattern(dir, d.cfg.Mountpoint), d.log)
	if err != nil {
		return failf(ExitSystem, "%v", err)
	}
	return nil
}

func (d *Daemon) mountConfig() fs.Config {
	o := d.cfg.Options
	c := fs.Config{
		FsName: d.cfg.Target.String(), Subtype: "ftpfs", AllowOther: o.AllowOther, ReadOnly: o.ReadOnly,
		UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Umask: o.Umask, Flags: o.Flags,
		Control: d.ctl.Path(), Log: d.log,
	}
	if o.FsName != "" {
		c.FsName = o.FsName
	}
	if o.UID != nil {
		c.UID = *o.UID
	}
	if o.GID != nil {
		c.GID = *o.GID
	}
	return c
}

// writeNote leaves word in the state directory; pid 0 says that nobody uses it.
func (d *Daemon) writeNote(pid int) {
	d.mu.Lock()
	unmounted := d.phase != phaseMounted
	d.mu.Unlock()
	n := place.Note{URL: d.cfg.Target.String(), PID: pid, Mountpoint: d.cfg.Mountpoint, Unmounted: unmounted,
		Spool: d.tree.Status().SpoolDir, CacheDir: d.cfg.Options.CacheDir, Started: d.since, Codepage: d.cfg.Options.Codepage}
	if pid != 0 {
		n.Control = d.ctl.Path()
	}
	if err := place.WriteNote(d.dirs.State, n); err != nil {
		d.log.Warn("no note in the state directory", "error", err)
	}
	if n.CacheDir == "" {
		return
	}
	// ftpfs status looks where everybody's state is; leave word there too.
	if err := place.WriteElsewhere(d.dirs, n); err != nil {
		d.log.Debug("no note in the usual state directory", "error", err)
	}
}

// Note is one line about a start that was not quite normal; "" is none.
func (d *Daemon) Note() string { return d.note }
