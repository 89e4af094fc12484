package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/mounts"
)

// report is what ftpfs status --json prints.
type report struct {
	Mounts    []mountReport `json:"mounts"`
	Unmounted []spoolReport `json:"unmounted"` // spools that owe something while nothing is mounted
}

type mountReport struct {
	control.Status
	Error string `json:"error,omitempty"` // why the daemon could not be asked; then only url and mountpoint are good, and of a dead one what its spool owes

	socket string
}

type spoolReport struct {
	URL        string `json:"url"`
	Mountpoint string `json:"mountpoint"` // the last one
	SpoolDir   string `json:"spool_dir"`
	CacheDir   string `json:"cache_dir,omitempty"` // the option it was mounted with
	Owed       int    `json:"owed_files"`          // all but parked
	OwedBytes  int64  `json:"owed_bytes"`
	Parked     int    `json:"parked_files"`
}

// statusTime bounds the waiting for one daemon.
const statusTime = 5 * time.Second

func statusCommand(a []string, out, errOut io.Writer) int {
	f := flags("status")
	asJSON := f.Bool("json", false, "")
	if done, code := parse(f, a, usage, out, errOut); done {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	list, err := findMounts(f.Args())
	if err != nil {
		return complain(errOut, daemon.ExitUsage, err)
	}
	r := report{Mounts: []mountReport{}, Unmounted: []spoolReport{}}
	for _, m := range list {
		r.Mounts = append(r.Mounts, ask(ctx, m.Mount))
	}
	if f.NArg() == 0 {
		r.Mounts = append(r.Mounts, sending(ctx)...)
		r.Unmounted = append(r.Unmounted, unmounted(r.Mounts)...)
	}
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return complain(errOut, daemon.ExitSystem, err)
		}
		return 0
	}
	show(out, r, time.Now())
	return 0
}

func ask(ctx context.Context, m mounts.Mount) mountReport {
	r := mountReport{Status: control.Status{URL: m.Source, Mountpoint: m.Point}}
	socket, err := socketOf(m)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, statusTime)
		defer cancel()
		var st control.Status
		if err = control.Call(ctx, socket, control.Request{Op: control.OpStatus}, nil, &st, m.Owner()); err == nil {
			r.Status = st
			return r
		}
	}
	switch {
	case errors.Is(err, control.ErrGone) && dead(m):
		err = errDead
		r.fromSpool(lastSpool(m))
	case errors.Is(err, errDead):
		r.fromSpool(lastSpool(m))
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("it has not answered for %v", statusTime)
	}
	r.Error = err.Error()
	return r
}

// fromSpool tells of a mount without a daemon what its spool owes.
func (r *mountReport) fromSpool(s spoolLeft) {
	c := &r.Cache
	c.SpoolDir, c.OwedFiles, c.OwedBytes, c.Parked = s.note.Spool, s.owed-s.parked, s.bytes, s.parked
	r.Since = s.note.Started
	if c.SpoolDir == "" {
		return
	}
	if log := filepath.Join(filepath.Dir(c.SpoolDir), daemon.LogName); exists(log) { // of a daemon in the foreground there is none
		r.Log = log
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// unmounted lists the spools that owe something and are not among the mounts.
func unmounted(mounted []mountReport) []spoolReport {
	in := map[string]bool{}
	for _, m := range mounted {
		if m.Cache.SpoolDir != "" {
			in[m.Cache.SpoolDir] = true
		}
	}
	var list []spoolReport
	for _, s := range spools() {
		if s.owed == 0 || in[s.note.Spool] {
			continue
		}
		list = append(list, spoolReport{URL: s.note.URL, Mountpoint: s.note.Mountpoint, SpoolDir: s.note.Spool,
			CacheDir: s.note.CacheDir, Owed: s.owed - s.parked, OwedBytes: s.bytes, Parked: s.parked})
	}
	return list
}
