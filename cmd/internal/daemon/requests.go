package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
)

// handle answers one request of the ftpfs command.
func (d *Daemon) handle(ctx context.Context, r control.Request, progress func(any)) (any, error) {
	switch r.Op {
	case control.OpStatus:
		return d.status(), nil
	case control.OpSync:
		s, err := drain(ctx, d.tree, r.Path, bounds{r.Limit, r.Stall}, func(p cache.Progress) { progress(p) })
		if err != nil {
			return nil, err
		}
		return s, nil
	case control.OpUnmount:
		return d.unmount(ctx, r, progress)
	case control.OpRelease:
		return d.release(ctx)
	case control.OpRetry:
		again := d.store.LoginAgain()
		n, err := d.tree.Retry(r.Path)
		return control.Count{Files: n, Login: again}, err
	case control.OpDiscard:
		n, kept, err := d.tree.Discard(r.Path)
		if n > 0 {
			d.log.Info("discarded", "path", r.Path, "files", n, "kept", kept)
		}
		return control.Count{Files: n, Kept: kept}, err
	}
	return nil, fmt.Errorf("this daemon (version %s) does not know the request %q", d.cfg.Version, r.Op)
}

func (d *Daemon) status() control.Status {
	d.mu.Lock()
	phase := d.phase
	d.mu.Unlock()
	s := control.Status{
		URL: d.cfg.Target.String(), Mountpoint: d.cfg.Mountpoint, State: phase, PID: os.Getpid(),
		Version: d.cfg.Version, Since: d.since, Cache: d.tree.Status(),
	}
	if d.file != nil {
		s.Log = filepath.Join(d.dirs.State, LogName)
	}
	s.Connections = d.store.Stats()
	return s
}

// unmount drains, unmounts, and answers when the spool is closed, so that whoever
// waits may mount again. Until the unmount itself a client that goes away leaves
// everything as it was.
func (d *Daemon) unmount(ctx context.Context, r control.Request, progress func(any)) (any, error) {
	if _, err := drain(ctx, d.tree, "/", bounds{r.Limit, r.Stall}, func(p cache.Progress) { progress(p) }); err != nil {
		return nil, err
	}
	err := d.mount.Unmount()
	if errors.Is(err, syscall.EBUSY) && r.Lazy {
		err = d.mount.UnmountLazy()
	}
	if err != nil {
		return nil, err
	}
	d.endBy(byRequest)
	select {
	case <-d.settled:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.final
	s.Unmounted, s.PID = true, os.Getpid()
	return s, nil
}

// release ends a daemon whose mount is gone.
func (d *Daemon) release(ctx context.Context) (any, error) {
	d.mu.Lock()
	phase := d.phase
	d.mu.Unlock()
	if phase == phaseMounted {
		return nil, errors.New("the mount is in use")
	}
	d.endBy(byRelease)
	select {
	case <-d.settled:
		return struct{}{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *Daemon) endBy(e ending) {
	select {
	case d.end <- e:
	default: // it is ending already
	}
}

func (d *Daemon) setPhase(p string) {
	d.mu.Lock()
	d.phase = p
	d.mu.Unlock()
}

// replyTime is how long the last requests may take once all is closed.
const replyTime = 2 * time.Second
