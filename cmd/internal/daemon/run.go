package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/docker/go-units"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/mounts"
	"ftpfs/cmd/internal/place"
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
	for {
		select {
		case s := <-sig:
			d.log.Info("stopping", "signal", s.String())
			go exitOn(sig, d)
			return d.stop()
		case <-d.mount.Done():
			return d.unmounted(sig)
		case e := <-d.end:
			if e == byRequest {
				d.awaitUsers(sig)
			}
			return d.finish(expired())
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

// exitOn ends the process at the second signal. It lives until then.
func exitOn(sig <-chan os.Signal, d *Daemon) {
	s := <-sig
	d.log.Warn("ending at once; what is owed stays in the spool", "signal", s.String())
	if d.file == nil {
		fmt.Fprintln(os.Stderr, "ftpfs: ending at once; what is owed stays in "+d.dirs.State)
	}
	_ = d.mount.UnmountLazy()
	os.Exit(128 + int(s.(syscall.Signal)))
}

// stop ends a mount that is in use: drain for a while, unmount, close.
func (d *Daemon) stop() string {
	extend(stopDrain + 20*time.Second)
	notify("STOPPING=1\nSTATUS=sending what is owed")
	ctx, cancel := context.WithTimeout(context.Background(), stopDrain)
	defer cancel()
	if st := d.tree.Status(); st.Online && st.OwedFiles > 0 {
		_, _ = drain(ctx, d.tree, "/", bounds{stall: stopStall}, d.tellSystemd)
	}
	d.leave()
	// Programs that were busy may have written their last by now.
	if st := d.tree.Status(); !st.Online || st.OwedFiles == 0 {
		cancel()
	}
	return d.finish(ctx)
}

// leave unmounts, at once if it can be, lazily if it is busy.
func (d *Daemon) leave() {
	err := d.mount.Unmount()
	if errors.Is(err, syscall.EBUSY) {
		d.log.Warn("the mount is busy; detaching it", "error", err)
		err = d.mount.UnmountLazy()
	}
	if err != nil {
		d.log.Error("unmount", "error", err)
	}
	t := time.NewTimer(leaveTime)
	defer t.Stop()
	select {
	case <-d.mount.Done():
	case <-t.C: // what holds it loses it with this process
	}
}

// leaveTime is what programs that keep a mount busy get for their last words.
const leaveTime = 3 * time.Second

// awaitUsers waits until nobody holds the detached mount, or for a signal.
func (d *Daemon) awaitUsers(sig <-chan os.Signal) {
	t := time.NewTimer(leaveTime)
	defer t.Stop()
	select {
	case <-d.mount.Done():
	case <-t.C:
	case <-sig:
	}
}

// unmounted goes on sending after somebody else unmounted: nobody waits for this
// process, so that it sends as long as bytes move.
func (d *Daemon) unmounted(sig <-chan os.Signal) string {
	d.setPhase(phaseDraining)
	d.log.Info("unmounted by another program; sending what is owed")
	notify("STATUS=unmounted, sending what is owed")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = drain(ctx, d.tree, "/", bounds{stall: goneStall}, d.tellSystemd)
	}()
	for {
		select {
		case <-done:
			return d.finish(expired())
		case s := <-sig:
			d.log.Info("stopping", "signal", s.String())
			go exitOn(sig, d)
			cancel()
			<-done
			return d.finish(expired())
		case <-d.end:
			cancel()
			<-done
			return d.finish(expired())
		}
	}
}

func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// finish closes everything, in the order in which nothing is lost: the tree, which
// writes its last records and frees the lock, then whoever waits is answered, then
// the server is left.
func (d *Daemon) finish(ctx context.Context) string {
	err := d.tree.Close(ctx)
	if err != nil {
		d.log.Error("closing the spool", "error", err)
	}
	st := d.tree.Status()
	d.writeNote(0)
	if st.OwedFiles == 0 && st.Parked == 0 && st.Quarantined == 0 && d.cfg.Options.CacheDir != "" {
		place.RemoveElsewhere(d.dirs)
	}
	d.mu.Lock()
	d.phase = phaseDraining
	d.final = settledNow(st)
	d.closed = true
	close(d.settled)
	d.mu.Unlock()
	d.ctl.Close(replyTime)
	_ = d.store.Close()
	line := owedLine(d.cfg.Target.String(), st)
	if line != "" {
		d.log.Warn(line)
	}
	d.log.Info("ended")
	notify("STATUS=ended")
	if d.file != nil {
		d.file.Close()
	}
	return line
}

func owedLine(url string, st cache.Status) string {
	switch {
	case st.OwedFiles > 0:
		return fmt.Sprintf("still owed to %s: %s, %s; kept in %s, sent after the next mount",
			url, files(st.OwedFiles), units.BytesSize(float64(st.OwedBytes)), st.SpoolDir)
	case st.Parked > 0:
		return fmt.Sprintf("parked for %s: %s; kept in %s, see ftpfs status after the next mount",
			url, files(st.Parked), st.SpoolDir)
	}
	return ""
}

// tellSystemd keeps the service manager informed and patient while something moves.
func (d *Daemon) tellSystemd(p cache.Progress) {
	notify(fmt.Sprintf("STATUS=sending: %d of %d files, %s of %s", p.FilesDone, p.Files,
		units.BytesSize(float64(p.BytesDone)), units.BytesSize(float64(p.Bytes))))
}

func extend(d time.Duration) {
	notify("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// notify tells systemd; without it, nobody.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

var _ control.Handler = (*Daemon)(nil).handle
