package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ftpfs/cmd/internal/mounts"
)

// Serve mounts and stays until the mount has ended: by a signal, by ftpfs unmount,
// or because somebody unmounted it. ready is called once the mount is usable. It
// returns one line about what is still owed, "" when nothing is; or the *Error that
// kept it from mounting. A second signal ends the process at once; the spool keeps
// everything.
func Serve(cfg Config, ready func(*Daemon)) (string, error) {
	sig := make(chan os.Signal, 4)
	signal.Notify(sig, syscall.SIGTERM, syscall.SIGINT)
	if cfg.Log != nil { // a terminal that is closed ends what runs on it
		signal.Notify(sig, syscall.SIGHUP)
	} else {
		signal.Ignore(syscall.SIGHUP)
	}
	defer signal.Stop(sig)
	signal.Ignore(syscall.SIGPIPE)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-sig:
			cancel()
		case <-started:
		}
	}()
	d, err := Start(ctx, cfg)
	close(started)
	<-watched
	if err != nil {
		return "", err
	}
	if ctx.Err() != nil { // too late to keep it from mounting
		d.stop()
		return "", failf(ExitInterrupted, "interrupted while mounting %s", cfg.Target)
	}
	ready(d)
	return d.run(sig), nil
}

// run decides about the end.
func (d *Daemon) run(sig <-chan os.Signal) string {
	notify("READY=1\nSTATUS=mounted " + d.cfg.Target.String() + " at " + d.cfg.Mountpoint)
	watching, stopWatching := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	if d.id != 0 {
		go func() { gone <- mounts.Gone(watching, d.id); close(gone) }()
	} else {
		close(gone)
	}
	defer func() {
		stopWatching()
		for range gone {
		}
	}()
	vanished, late := gone, (<-chan time.Time)(nil)
	if d.id == 0 {
		vanished = nil
	}
	done := d.mount.Done()
	for {
		select {
		case s := <-sig:
			d.log.Info("stopping", "signal", s.String())
			go exitOn(sig, d)
			return d.stop()
		case <-done:
			if !d.asked() {
				return d.unmounted(sig)
			}
			done = nil // our own doing; the request goes on to d.end
		case <-d.end:
			return d.finish()
		case err := <-vanished:
			vanished = nil
			if err == nil {
				d.setPhase(phaseDetached)
				late = time.After(time.Second)
			}
		case <-late:
			// Detached with users left, or kept by another mount namespace.
			d.log.Info("no longer in the mount table; serving until the last user lets go")
			notify("STATUS=unmounted, still in use")
		}
	}
}
