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
	"ftpfs/cache/remote"
	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/debt"
)

// handle answers one request of the ftpfs command.
func (d *Daemon) handle(ctx context.Context, r control.Request, progress func(any)) (any, error) {
	switch r.Op {
	case control.OpStatus:
		return d.status(), nil
	case control.OpSync:
		b, report := bounds{r.Limit, r.Stall}, func(p cache.Progress) { progress(p) }
		var s control.Settled
		var err error
		if r.Closed {
			s, err = drainClosed(ctx, d.tree, b, report)
		} else {
			s, err = drain(ctx, d.tree, r.Path, b, report)
		}
		if err != nil {
			return nil, err
		}
		s.Refused = d.refused()
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

// busyTime is how long an unmount waits for who holds the mount in passing: a process that
// is being started has what its parent has open, for a moment.
const busyTime = time.Second

// unmount drains, unmounts, and answers when the spool is closed, so that whoever
// waits may mount again. Until the unmount itself a client that goes away leaves
// everything as it was.
func (d *Daemon) unmount(ctx context.Context, r control.Request, progress func(any)) (any, error) {
	b, report := bounds{r.Limit, r.Stall}, func(p cache.Progress) { progress(p) }
	s, err := drainClosed(ctx, d.tree, b, report)
	if err != nil && (ctx.Err() != nil || remote.KindOf(err) != remote.Canceled) {
		return nil, err
	}
	if err == nil { // else somebody else has ended the mount meanwhile
		d.setAsked(true)
		err = d.mount.Unmount()
		for until := time.Now().Add(busyTime); errors.Is(err, syscall.EBUSY) && !r.Lazy && ctx.Err() == nil && time.Now().Before(until); {
			time.Sleep(busyTime / 20)
			err = d.mount.Unmount()
		}
		if errors.Is(err, syscall.EBUSY) && r.Lazy {
			err = d.mount.UnmountLazy()
		}
		if err != nil {
			d.setAsked(false)
			return nil, err
		}
		// The kernel tells of the last close after close(2) has returned: only now is
		// everything closed that was, and detached users have had their last words.
		d.awaitUsers(ctx.Done())
		if s.GaveUp == "" {
			_, _ = drainClosed(ctx, d.tree, b, report)
		}
		d.endNow()
	}
	select {
	case <-d.settled:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s = d.final
	s.Unmounted, s.PID = true, os.Getpid()
	return s, nil
}

// setAsked notes whether the unmount that is about to happen is our own.
func (d *Daemon) setAsked(yes bool) {
	d.mu.Lock()
	d.unmounting = yes
	d.mu.Unlock()
}

func (d *Daemon) asked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unmounting
}

// release ends a daemon whose mount is gone, if nobody writes through it any more.
func (d *Daemon) release(ctx context.Context) (any, error) {
	d.mu.Lock()
	phase := d.phase
	d.mu.Unlock()
	open := d.tree.Status().Open
	switch {
	case phase == phaseMounted:
		return nil, errors.New("the mount is in use")
	case phase == phaseDetached && open > 0: // to cut them off would leave half files
		return nil, fmt.Errorf("it was unmounted lazily, and programs still have %s open for writing", debt.Files(open))
	}
	d.endNow()
	select {
	case <-d.settled:
		return struct{}{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *Daemon) endNow() {
	select {
	case d.end <- struct{}{}:
	default: // it is ending already
	}
}

func (d *Daemon) setPhase(p string) {
	d.mu.Lock()
	d.phase = p
	d.mu.Unlock()
}
