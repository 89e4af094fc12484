package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/term"

	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/memory"
	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/place"
	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/doctor"
	"ftpfs/ftpconn/ticket"
)

// exitLimited says that a server can be mounted, and that there are problems.
const exitLimited = 5

const doctorUsage = "usage: ftpfs doctor [--json] [--read-only] [--remove NAME] [-o OPTIONS] URL"

// doctorCommand is ftpfs doctor [-o …] URL: what can this server do, and how is it
// mounted? Ctrl-C ends it when what it made on the server is removed; a second one at once.
func doctorCommand(a []string, out, errOut io.Writer) int {
	f := flags("doctor")
	o := order{options: option.Defaults(), secrets: secretsInArgs}
	lists := f.StringArrayP("option", "o", nil, "")
	asJSON := f.Bool("json", false, "")
	readOnly := f.BoolP("read-only", "r", false, "")
	remove := f.String("remove", "", "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	for _, l := range *lists {
		if err := o.options.Parse(l); err != nil {
			return complain(errOut, daemon.ExitUsage, err)
		}
	}
	if f.NArg() != 1 {
		return complain(errOut, daemon.ExitUsage, errors.New(doctorUsage))
	}
	o.source = f.Arg(0)
	cfg, code, err := patient(o, errOut)
	if err != nil {
		return complain(errOut, code, err)
	}
	level := slog.LevelError
	if o.options.TraceFTP {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	sc, err := daemon.StoreConfig(cfg, "", log)
	if err != nil {
		return complain(errOut, daemon.ExitUsage, err)
	}
	sc.MountTag = fmt.Sprintf("%08x", rand.Uint32()) // a mount of ours would sweep its own away
	if dir, err := place.WaitingDir(); err == nil {  // else no mount can be asked to give way
		sc.Queue = ticket.Open(dir, place.Host(cfg.Target))
	}
	ctx, removing, stop := signals()
	defer stop()
	if f.Changed("remove") {
		return removeScratch(ctx, cfg, *remove, func() error { return doctor.Remove(ctx, sc, *remove) }, out, errOut)
	}
	doing, said := currently(errOut, *asJSON)
	rep := doctor.Run(ctx, doctor.Config{Server: sc, ReadOnly: *readOnly || o.options.ReadOnly, Doing: doing, Removing: removing,
		Others: func() int { return connected(ctx, cfg.Target) }})
	said()
	if rep.Memory.Greeting != "" {
		if err := place.Private(cfg.Roots.State); err != nil {
			log.Error("what was learned of the server is not kept", "error", err)
		} else {
			known := memory.Open(cfg.Roots.Server(cfg.Target), log)
			known.Keep()
			known.Write(rep.Memory)
		}
	}
	given := *lists
	if o.options.Proxy == "" && cfg.Options.Proxy != "" { // who mounts by fstab does not have it in the environment
		given = append(slices.Clone(given), escaped([]string{"proxy=" + cfg.Options.Proxy})...)
	}
	m := mounting(cfg.Target, given, rep)
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(examined{URL: cfg.Target.String(), Report: rep, Mount: m}); err != nil {
			return complain(errOut, daemon.ExitSystem, err)
		}
	} else {
		showExamined(out, cfg.Target.String(), rep, m)
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case rep.Verdict == doctor.Impossible, rep.Verdict == doctor.Cut:
		return daemon.ExitMount
	case rep.Verdict == doctor.Limited:
		return exitLimited
	}
	return 0
}

// connected is how many connections mounts of this user (of everybody, for root) have to a
// server. Those that do not tell are not counted.
func connected(ctx context.Context, t target.Target) (n int) {
	list, err := findMounts(nil)
	if err != nil {
		return 0
	}
	for _, m := range list {
		if other, err := target.Parse(m.Source); err == nil && place.Host(other) == place.Host(t) {
			n += ask(ctx, m.Mount).Connections.Open
		}
	}
	return n
}

// examined is what --json prints.
type examined struct {
	URL string `json:"url"`
	*doctor.Report
	Mount mountLines `json:"mount"`
}

// patient is a daemon's Config as far as it tells of the server.
func patient(o order, errOut io.Writer) (daemon.Config, int, error) {
	t, files, err := serverOf(o)
	if err != nil {
		return daemon.Config{}, daemon.ExitUsage, err
	}
	through, err := proxyFor(o.options, t)
	if err != nil {
		return daemon.Config{}, daemon.ExitUsage, err
	}
	roots, err := place.FindRoots(o.options.CacheDir)
	if err != nil {
		return daemon.Config{}, daemon.ExitSystem, err
	}
	password, code, err := findLogin(&o, &t, through, errOut)
	if err != nil {
		return daemon.Config{}, code, err
	}
	return daemon.Config{Target: t, Password: password, Certs: files, Options: o.options, Roots: roots, Version: version}, 0, nil
}

// signals returns a context that ends with the first signal, and one that ends with the
// second.
func signals() (first, second context.Context, stop func()) {
	first, cancelFirst := context.WithCancel(context.Background())
	second, cancelSecond := context.WithCancel(context.Background())
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for _, cancel := range []func(){cancelFirst, cancelSecond} {
			select {
			case <-sig:
				cancel()
			case <-done:
				return
			}
		}
	}()
	return first, second, func() {
		signal.Stop(sig)
		close(done)
		cancelFirst()
		cancelSecond()
	}
}

// currently shows on a terminal what is being tried.
func currently(errOut io.Writer, quiet bool) (doing func(string), end func()) {
	f, ok := errOut.(*os.File)
	if !ok || quiet || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	return func(what string) { fmt.Fprint(errOut, "\r\x1b[K"+what+" ...") }, func() { fmt.Fprint(errOut, "\r\x1b[K") }
}

func removeScratch(ctx context.Context, cfg daemon.Config, name string, remove func() error, out, errOut io.Writer) int {
	err := remove()
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case !doctor.Scratch(name):
		return complain(errOut, daemon.ExitUsage, err)
	case err != nil:
		return complain(errOut, daemon.ExitMount, fmt.Errorf("%s on %s: %w", name, cfg.Target.Addr(), err))
	}
	fmt.Fprintf(out, "%s is removed from %s\n", name, cfg.Target)
	return 0
}
