package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/debt"
)

// How long sync and unmount wait while nothing moves, when --timeout was not given:
// long enough for a server to restart, short enough for a script.
const (
	syncStall    = 60 * time.Second
	unmountStall = 30 * time.Second
)

// syncCommand is ftpfs sync [MOUNTPOINT|FILE].
func syncCommand(a []string, out, errOut io.Writer) int {
	f := flags("sync")
	timeout := f.String("timeout", "", "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	r := control.Request{Op: control.OpSync, Stall: syncStall}
	if err := waitFor(&r, *timeout); err != nil {
		return complain(errOut, daemon.ExitUsage, err)
	}
	list, err := findMounts(f.Args())
	if err != nil {
		return complain(errOut, daemon.ExitUsage, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	worst, asked := 0, 0
	for _, m := range list {
		asked++
		socket, err := socketOf(m.Mount)
		if err == nil && m.within != "/" && missing(m) {
			err = errors.New("no such file")
		}
		if err != nil {
			worst = worse(worst, complain(errOut, daemon.ExitSystem, fmt.Errorf("%s: %w", m.name, err)))
			continue
		}
		r.Path = m.within
		worst = worse(worst, syncOne(ctx, m.name, socket, r, m.Owner(), out, errOut))
	}
	if f.NArg() == 0 {
		for _, d := range sending(ctx) {
			asked++
			r.Path = "/"
			worst = worse(worst, syncOne(ctx, d.URL, d.socket, r, 0, out, errOut))
		}
	}
	if asked == 0 {
		fmt.Fprintln(out, "nothing is mounted")
	}
	return worst
}

// missing says that a file is certainly not in the mount: nothing can be owed under
// a name that was mistyped.
func missing(m found) bool {
	_, err := os.Lstat(m.name)
	return errors.Is(err, os.ErrNotExist)
}

// worse of two exit codes: failures to ask come before what was answered.
func worse(a, b int) int {
	rank := func(c int) int {
		switch c {
		case 0:
			return 0
		case exitOwed:
			return 1
		case exitParked:
			return 2
		}
		return 3
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// waitFor sets how long a request waits. A timeout of 0 does not wait; one that was
// given replaces the patience with a server where nothing moves.
func waitFor(r *control.Request, timeout string) error {
	if timeout == "" {
		return nil
	}
	d, err := time.ParseDuration(timeout)
	if s, serr := strconv.ParseFloat(timeout, 64); serr == nil {
		d, err = time.Duration(s*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("--timeout %q: write seconds, or for example 5m", timeout)
	}
	r.Limit, r.Stall = d, 0
	if d == 0 {
		r.Limit = -1
	}
	return nil
}

func syncOne(ctx context.Context, what, socket string, r control.Request, owner int, out, errOut io.Writer) int {
	p := newProgress(errOut)
	var s control.Settled
	err := control.Call(ctx, socket, r, p.update, &s, owner)
	p.end()
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errOut, "ftpfs: stopped waiting; the upload goes on")
		return exitInterrupted
	case err != nil:
		return complain(errOut, daemon.ExitSystem, fmt.Errorf("%s: %w", what, err))
	}
	return tell(what, s, out, errOut)
}

// tell prints how a waiting ended, as one line, and returns its exit code.
func tell(what string, s control.Settled, out, errOut io.Writer) int {
	switch s.Outcome {
	case control.AllThere:
		moved := ""
		if s.Files > 0 {
			moved = fmt.Sprintf(" (%s, %s)", count(s.Files, "file"), size(s.Bytes))
		}
		fmt.Fprintf(out, "%s: all is on the server%s\n", what, moved)
		return 0
	case control.SomeParked:
		return complain(errOut, exitParked, fmt.Errorf("%s: %s: kept here, not on the server; ftpfs status says why and what to do",
			what, debt.Debt{Parked: s.Parked}.ParkedLine()))
	}
	d := debt.Debt{Files: s.Owed - s.Open, Bytes: s.OwedBytes, Open: s.Open, Parked: s.Parked}
	var notes []string
	switch {
	case !s.Online && s.LastError != "":
		notes = append(notes, "the server is down: "+plain(s.LastError))
	case !s.Online:
		notes = append(notes, "the server is down")
	case s.Refused != "":
		notes = append(notes, "the server refuses the login: "+plain(s.Refused))
	case s.GaveUp != "":
		notes = append(notes, s.GaveUp)
	}
	line := d.Left()
	if s.Unmounted {
		notes = append(notes, "kept in "+plain(s.SpoolDir))
	} else {
		d.Files, d.Open = s.Owed, 0
		line = d.Owed() + "; the upload goes on"
		if s.Parked > 0 {
			line += "; " + d.ParkedLine()
		}
	}
	if len(notes) > 0 {
		line += " (" + strings.Join(notes, "; ") + ")"
	}
	return complain(errOut, exitOwed, errors.New(what+": "+line))
}
