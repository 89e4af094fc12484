package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"golang.org/x/term"

	"ftpfs/cmd/internal/background"
	"ftpfs/cmd/internal/certs"
	"ftpfs/cmd/internal/credentials"
	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/mounts"
	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/place"
	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/proxy"
)

// order is a mount as the command line asked for it.
type order struct {
	source, dir string
	options     option.Options
	foreground  bool
	secrets     bool // a password stood in the arguments
	verbose     bool
}

// mountCommand is ftpfs [-f] [-o …] URL MOUNTPOINT.
func mountCommand(a []string, secrets bool, out, errOut io.Writer) int {
	f := flags("ftpfs")
	o := order{options: option.Defaults(), secrets: secrets}
	lists := f.StringArrayP("option", "o", nil, "")
	f.BoolVarP(&o.foreground, "foreground", "f", false, "")
	debug := f.BoolP("debug", "d", false, "")
	readOnly := f.BoolP("read-only", "r", false, "")
	showVersion := f.BoolP("version", "V", false, "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	if *showVersion {
		return versionCommand(nil, out, errOut)
	}
	for _, l := range *lists {
		if err := o.options.Parse(l); err != nil {
			return complain(errOut, daemon.ExitUsage, err)
		}
	}
	if *debug {
		o.options.LogLevel = slog.LevelDebug
		o.foreground = true
	}
	o.options.ReadOnly = o.options.ReadOnly || *readOnly
	if f.NArg() != 2 {
		return complain(errOut, daemon.ExitUsage,
			fmt.Errorf("a URL and a mount point are needed, %s given; see ftpfs --help", given(f.NArg())))
	}
	o.source, o.dir = f.Arg(0), f.Arg(1)
	return mount(o, out, errOut)
}

func given(n int) string {
	if n == 1 {
		return "one argument was"
	}
	return fmt.Sprintf("%d arguments were", n)
}

// mount does what o asks.
func mount(o order, out, errOut io.Writer) int {
	cfg, code, err := prepare(o, errOut)
	if err != nil {
		return complain(errOut, code, err)
	}
	if o.foreground {
		return serve(cfg, errOut)
	}
	r, err := background.Start([]string{cfg.Target.String(), cfg.Mountpoint}, cfg)
	if err != nil {
		return complain(errOut, daemon.ExitSystem, err)
	}
	if r.Code != 0 {
		return complain(errOut, r.Code, errors.New(r.Text))
	}
	if r.Text != "" {
		fmt.Fprintln(errOut, "ftpfs: "+r.Text)
	}
	if f, ok := out.(*os.File); o.verbose || ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(out, "%s is mounted at %s\n", cfg.Target, cfg.Mountpoint)
	}
	return 0
}

// prepare turns an order into what a daemon needs. Nothing has been changed when it
// fails, save that a dead ftpfs mount at the mount point is gone.
func prepare(o order, errOut io.Writer) (daemon.Config, int, error) {
	t, files, err := serverOf(o)
	if err != nil {
		return daemon.Config{}, daemon.ExitUsage, err
	}
	through, err := proxyFor(o.options, t)
	if err != nil {
		return daemon.Config{}, daemon.ExitUsage, err
	}
	point, err := mounts.Prepare(o.dir, o.options.NonEmpty, dead)
	if err != nil {
		return daemon.Config{}, daemon.ExitMount, err
	}
	roots, err := place.FindRoots(o.options.CacheDir)
	if err != nil {
		return daemon.Config{}, daemon.ExitSystem, err
	}
	if err := outside(point, roots); err != nil {
		return daemon.Config{}, daemon.ExitUsage, err
	}
	password, code, err := findLogin(&o, &t, through, errOut)
	if err != nil {
		return daemon.Config{}, code, err
	}
	cfg := daemon.Config{Target: t, Password: password, Certs: files, Mountpoint: point, Options: o.options, Roots: roots, Version: version}
	return cfg, 0, nil
}

// serverOf settles which server an order is about, and how it is protected.
func serverOf(o order) (target.Target, certs.Files, error) {
	t, err := target.Parse(o.source)
	if err != nil {
		return t, certs.Files{}, err
	}
	if p := o.options.Port; p != 0 {
		if t.PortGiven() && t.Port != p {
			return t, certs.Files{}, fmt.Errorf("port=%d and the URL's port %d differ", p, t.Port)
		}
		t.Port = p
	}
	if u := o.options.User; u != "" {
		if t.User != "" && t.User != u {
			return t, certs.Files{}, fmt.Errorf("user=%s and the URL's user %s differ", u, t.User)
		}
		t.User = u
	}
	files, err := security(&t, o.options)
	return t, files, err
}

// findLogin finds user and password, of the server and of the proxy, which is nil where
// there is none. The user and the proxy's URL go where they are looked for; the code is
// for the error.
func findLogin(o *order, t *target.Target, through *proxy.Proxy, errOut io.Writer) (password string, code int, err error) {
	if o.secrets {
		fmt.Fprintln(errOut, "ftpfs: warning: a password on the command line or in fstab can be read by others; use credentials=FILE")
	}
	login, err := credentials.Find(request(*o, *t))
	var cut *credentials.Interrupted
	if errors.As(err, &cut) {
		return "", exitInterrupted, err
	}
	if err != nil {
		return "", daemon.ExitUsage, err
	}
	t.User = login.User
	if o.options.Proxy = ""; through != nil {
		if err := logInTo(through, login.ProxyUser, login.ProxyPassword); err != nil {
			return "", daemon.ExitUsage, err
		}
		o.options.Proxy = through.URL()
	}
	return login.Password, 0, nil
}

// security settles what the URL and the options say of TLS. An option about encryption
// that would be without effect is an error: who gave it expects to be protected.
func security(t *target.Target, o option.Options) (certs.Files, error) {
	if err := t.Ask(o.TLS); err != nil {
		return certs.Files{}, err
	}
	if o.Port != 0 { // Ask may have chosen another
		t.Port = o.Port
	}
	if t.TLS == target.Unsaid || t.TLS == target.Off {
		for name, given := range map[string]bool{"cacert": o.CACert != "", "pin_sha256": len(o.Pins) > 0, "cert": o.Cert != "",
			"key": o.Key != "", "clear_data": o.ClearData, "no_verify_peer": o.NoVerifyPeer, "no_verify_hostname": o.NoVerifyName} {
			if given {
				return certs.Files{}, fmt.Errorf("%s needs TLS: write ftpes:// or ftps://, or tls=", name)
			}
		}
	}
	if o.NoVerifyPeer && o.CACert != "" {
		return certs.Files{}, errors.New("no_verify_peer believes every certificate, cacert=FILE only some; give one of them")
	}
	return certs.Read(o.CACert, o.Cert, o.Key)
}

// outside refuses a spool or cache below the mount point: the daemon would look for its
// own files in its own mount, and wait for itself.
func outside(point string, roots place.Roots) error {
	all, err := mounts.All()
	if err != nil {
		return err
	}
	for _, dir := range []string{roots.State, roots.Cache} {
		real, err := mounts.Resolve(dir, all)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if real == point || strings.HasPrefix(real, point+"/") {
			return fmt.Errorf("%s lies below the mount point %s, which would hide it; choose another place with cache_dir=DIR", dir, point)
		}
	}
	return nil
}

func request(o order, t target.Target) credentials.Request {
	r := credentials.Request{
		Host: t.Host, User: t.User, File: o.options.Credentials,
		Environment: passwordFromEnv,
		Systemd:     os.Getenv("CREDENTIALS_DIRECTORY"),
		Prompt:      credentials.Terminal(),
	}
	r.Home, _ = place.Home() // without one there is no ~/.netrc
	if p, has := t.Password(); has {
		r.Password = &p
	}
	if o.options.HasPassword {
		r.Password = &o.options.Password
	}
	return r
}

// serve mounts in the foreground.
func serve(cfg daemon.Config, errOut io.Writer) int {
	syscall.Umask(0o077)
	cfg.Log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: cfg.Options.LogLevel}))
	line, err := daemon.Serve(cfg, func(d *daemon.Daemon) {
		_ = os.Chdir("/") // a working directory keeps other file systems busy
		if d.Note() != "" {
			fmt.Fprintln(errOut, "ftpfs: "+d.Note())
		}
	})
	if err != nil {
		return complain(errOut, exitCode(err), err)
	}
	if line != "" {
		fmt.Fprintln(errOut, "ftpfs: "+line)
	}
	return 0
}

func exitCode(err error) int {
	var e *daemon.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return daemon.ExitSystem
}

// child is this program when it was started to be the daemon.
type child struct {
	bg  *background.Daemon
	cfg daemon.Config
}

// runDaemon mounts in the background.
func runDaemon(c child, code int) int {
	if code != 0 {
		return code
	}
	syscall.Umask(0o077)
	_, err := daemon.Serve(c.cfg, func(d *daemon.Daemon) {
		c.bg.Ready(d.Note(), d.CatchStderr)
	})
	if err != nil {
		code = exitCode(err)
		c.bg.Fail(code, err.Error())
	}
	return code
}
