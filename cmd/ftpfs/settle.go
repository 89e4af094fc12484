package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/daemon"
)

// retryCommand is ftpfs retry [MOUNTPOINT|PATH…]: what is parked there is sent again.
func retryCommand(a []string, out, errOut io.Writer) int {
	return settle(control.OpRetry, a, out, errOut)
}

// discardCommand is ftpfs discard MOUNTPOINT|PATH…: what is parked there is given up.
// It wants to be told what, as it cannot be undone with a command.
func discardCommand(a []string, out, errOut io.Writer) int {
	return settle(control.OpDiscard, a, out, errOut)
}

func settle(op control.Op, a []string, out, errOut io.Writer) int {
	f := flags(string(op))
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	if op == control.OpDiscard && f.NArg() == 0 {
		return complain(errOut, daemon.ExitUsage, errors.New("usage: ftpfs discard MOUNTPOINT|PATH..."))
	}
	list, err := findMounts(f.Args())
	if err != nil {
		return complain(errOut, daemon.ExitUsage, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	worst := 0
	for _, m := range list {
		what := m.name
		var c control.Count
		socket, err := socketOf(m.Mount)
		if err == nil {
			err = control.Call(ctx, socket, control.Request{Op: op, Path: m.within}, nil, &c, m.Owner())
		}
		switch {
		case ctx.Err() != nil:
			return exitInterrupted
		case err != nil:
			worst = complain(errOut, daemon.ExitSystem, fmt.Errorf("%s: %w", what, err))
		case c.Files == 0 && c.Login:
			fmt.Fprintf(out, "%s: the login, which the server had refused, is tried again\n", plain(what))
		case c.Files == 0 && f.NArg() == 0:
			fmt.Fprintf(out, "%s: nothing is parked\n", plain(what))
		case c.Files == 0:
			worst = complain(errOut, daemon.ExitUsage, fmt.Errorf("%s: nothing is parked there", what))
		case op == control.OpRetry:
			fmt.Fprintf(out, "%s: %s will be sent again; ftpfs sync waits for it\n", plain(what), count(c.Files, "file"))
		default:
			fmt.Fprintf(out, "%s: %s discarded; kept in %s\n", plain(what), count(c.Files, "file"), plain(c.Kept))
		}
	}
	return worst
}
