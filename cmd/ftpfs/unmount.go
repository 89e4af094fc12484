package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/mounts"
)

// unmountCommand is ftpfs unmount MOUNTPOINT: send what is owed, then unmount. Ctrl-C
// while sending stops the waiting and keeps the mount. What could not be sent in time
// stays in the spool; a mount that is in use stays mounted.
func unmountCommand(a []string, out, errOut io.Writer) int {
	f := flags("unmount")
	timeout := f.String("timeout", "", "")
	lazy := f.BoolP("lazy", "l", false, "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	r := control.Request{Op: control.OpUnmount, Stall: unmountStall, Lazy: *lazy}
	if err := waitFor(&r, *timeout); err != nil {
		return complain(errOut, daemon.ExitUsage, err)
	}
	if f.NArg() != 1 {
		return complain(errOut, daemon.ExitUsage, errors.New("usage: ftpfs unmount [--timeout TIME] [--lazy] MOUNTPOINT"))
	}
	// From here on Ctrl-C is told as what it is, also while the daemon is looked for.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	at, err := mountAt(f.Arg(0))
	if err != nil {
		return complain(errOut, daemon.ExitMount, err)
	}
	if dead(at.Mount) {
		return unmountDead(at.Mount, out, errOut)
	}
	socket, err := socketOf(at.Mount)
	var s control.Settled
	if err == nil {
		p := newProgress(errOut)
		err = control.Call(ctx, socket, r, p.update, &s, at.Owner())
		p.end()
	}
	var answer *control.Answer
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(errOut, "ftpfs: stopped waiting; %s stays mounted\n", plain(at.Point))
		return exitInterrupted
	case err == nil:
		control.AwaitEnd(s.PID, endTime)
		return tell(at.Point, s, out, errOut)
	case errors.As(err, &answer):
		return complain(errOut, daemon.ExitMount, err)
	case errors.Is(err, control.ErrGone) && dead(at.Mount):
		return unmountDead(at.Mount, out, errOut)
	}
	return complain(errOut, daemon.ExitSystem, fmt.Errorf("%s: %w; umount(8) would unmount it", at.Point, err))
}

// endTime is how long a daemon that has closed everything may take to end.
const endTime = 5 * time.Second

// unmountDead removes a mount whose daemon is gone.
func unmountDead(m mounts.Mount, out, errOut io.Writer) int {
	if err := mounts.Detach(m.Point); err != nil {
		return complain(errOut, daemon.ExitMount, fmt.Errorf("removing the dead mount at %s: %w", m.Point, err))
	}
	if code, line := leftBehind(m); code != 0 {
		return complain(errOut, code, fmt.Errorf("%s: the daemon was dead, the mount is removed; %s", m.Point, line))
	}
	fmt.Fprintf(out, "%s: the daemon was dead; the mount is removed, nothing is owed\n", plain(m.Point))
	return 0
}
