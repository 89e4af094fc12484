package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/option"
)

// mountHelper is mount.ftpfs, as mount(8) calls it: SOURCE DIR [-sfnv] [-N NAMESPACE]
// [-t TYPE] [-o OPTIONS], where -f is to do all but mount, and -s to bear with
// unknown options. HOME and PATH may be empty.
func mountHelper(a []string, secrets bool, out, errOut io.Writer) int {
	f := flags("mount.ftpfs")
	lists := f.StringArrayP("options", "o", nil, "")
	sloppy := f.BoolP("sloppy", "s", false, "")
	fake := f.BoolP("fake", "f", false, "")
	f.BoolP("no-mtab", "n", false, "") // there has been no mtab to write for years
	verbose := f.BoolP("verbose", "v", false, "")
	namespace := f.StringP("namespace", "N", "", "")
	f.StringP("types", "t", "", "") // what we were called for
	readOnly := f.BoolP("read-only", "r", false, "")
	f.BoolP("rw", "w", false, "")
	showVersion := f.BoolP("version", "V", false, "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	if *showVersion {
		return versionCommand(nil, out, errOut)
	}
	setPath()
	o := order{options: option.Defaults(), secrets: secrets, verbose: *verbose}
	for _, l := range *lists {
		take := o.options.Parse
		if *sloppy {
			take = func(l string) error {
				return o.options.ParseSloppy(l, func(u *option.Unknown) {
					fmt.Fprintln(errOut, "ftpfs: "+u.Error()+" (left out, as mount -s asks)")
				})
			}
		}
		if err := take(l); err != nil {
			return complain(errOut, daemon.ExitUsage, err)
		}
	}
	o.options.ReadOnly = o.options.ReadOnly || *readOnly
	if *namespace != "" {
		return complain(errOut, daemon.ExitUsage, errors.New("mount -N is not supported; use nsenter"))
	}
	if f.NArg() != 2 {
		return complain(errOut, daemon.ExitUsage, errors.New("usage: mount.ftpfs URL DIRECTORY [-sfnv] [-o OPTIONS]"))
	}
	o.source, o.dir = f.Arg(0), f.Arg(1)
	if *fake {
		return 0
	}
	return mount(o, out, errOut)
}

// setPath gives fusermount3 a chance where mount(8) left no PATH.
func setPath() {
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
}

// helperStall is how long umount(8) is kept waiting while nothing moves.
const helperStall = 15 * time.Second

// umountHelper is umount.fuse.ftpfs, as umount(8) calls it: DIR [-flnrv] [-N NAMESPACE]
// [-t TYPE]. It sends what is owed first, and does not fail for what could not be
// sent: that is safe in the spool. umount(8) itself does the unmounting, as it keeps
// books about its mounts.
func umountHelper(a []string, out, errOut io.Writer) int {
	f := flags("umount.fuse.ftpfs")
	force := f.BoolP("force", "f", false, "")
	lazy := f.BoolP("lazy", "l", false, "")
	f.BoolP("no-mtab", "n", false, "")
	f.BoolP("read-only", "r", false, "")
	f.BoolP("verbose", "v", false, "")
	f.StringP("namespace", "N", "", "")
	f.StringP("types", "t", "", "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	if f.NArg() != 1 {
		return complain(errOut, daemon.ExitUsage, errors.New("usage: umount.fuse.ftpfs DIRECTORY [-fln]"))
	}
	setPath()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	at, err := mountAt(f.Arg(0))
	if err != nil {
		return complain(errOut, daemon.ExitMount, err)
	}
	var socket string
	if !*lazy && !*force && !dead(at.Mount) {
		if socket, err = socketOf(at.Mount); err == nil {
			var s control.Settled
			r := control.Request{Op: control.OpSync, Closed: true, Stall: helperStall}
			err = control.Call(ctx, socket, r, func(json.RawMessage) {}, &s, at.Owner())
		}
		if ctx.Err() != nil {
			return complain(errOut, daemon.ExitMount, fmt.Errorf("%s stays mounted: interrupted", at.Point))
		}
		if err != nil && !errors.Is(err, control.ErrGone) {
			fmt.Fprintln(errOut, "ftpfs: waiting for "+at.Point+": "+err.Error())
		}
	}
	args := []string{"-i"}
	if *lazy {
		args = append(args, "-l")
	}
	if *force {
		args = append(args, "-f")
	}
	cmd := exec.CommandContext(ctx, "umount", append(args, "--", at.Point)...)
	cmd.Stdout, cmd.Stderr = out, errOut
	cmd.Dir = "/"
	if err := cmd.Run(); err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			return e.ExitCode()
		}
		return complain(errOut, daemon.ExitSystem, err)
	}
	if socket != "" {
		awaitEnd(ctx, socket, at.Owner())
	}
	if n, line := leftBehind(at.Mount); n != 0 {
		fmt.Fprintln(errOut, "ftpfs: "+line)
	}
	return 0
}

// awaitEnd waits a moment for a daemon to end after its mount is gone, so that a
// shutdown does not cut it off.
func awaitEnd(ctx context.Context, socket string, owner int) {
	ctx, cancel := context.WithTimeout(ctx, helperStall)
	defer cancel()
	for {
		var st control.Status
		if control.Call(ctx, socket, control.Request{Op: control.OpStatus}, nil, &st, owner) != nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
