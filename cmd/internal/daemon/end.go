package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/debt"
	"ftpfs/cmd/internal/place"
)

// How long the end may take.
const (
	// stopDrain bounds the waiting for uploads when the daemon is told to stop:
	// well within the 90 s that systemd waits before it kills.
	stopDrain = 30 * time.Second
	// stopStall ends it earlier when nothing moves.
	stopStall = 10 * time.Second
	// goneStall ends the draining after somebody else unmounted: nobody waits,
	// so it goes on as long as bytes move.
	goneStall = 60 * time.Second
	// leaveTime is what programs that keep a mount busy get for their last words.
	leaveTime = 3 * time.Second
	// lookTime is what listings may take by which times that the server cannot keep
	// outlive the mount.
	lookTime = 5 * time.Second
	// replyTime is how long the last requests may take once all is closed.
	replyTime = 2 * time.Second
	// stopTime is more than all of a stop takes.
	stopTime = stopDrain + leaveTime + lookTime + replyTime + 15*time.Second
)

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

// stop ends a mount that is in use: send what is closed for a while, unmount, close.
// It takes stopTime at most. What programs still have open for writing is not sent:
// it may be half a file.
func (d *Daemon) stop() string {
	notifyStopping("sending what is owed")
	ctx, cancel := context.WithTimeout(context.Background(), stopDrain)
	defer cancel()
	stalled := d.send(ctx, bounds{stall: stopStall})
	d.leave()
	if !stalled {
		// Programs that were busy may have written and closed their last by now.
		d.send(ctx, bounds{stall: stopStall})
	}
	return d.finish()
}

// send waits until what is owed and closed is on the server, within bounds, and says
// whether it gave up because nothing moved. Where nothing can move now it does not
// wait at all.
func (d *Daemon) send(ctx context.Context, b bounds) (stalled bool) {
	st := d.tree.Status()
	if !st.Online || st.OwedFiles == st.Open || d.refused() != "" {
		return false
	}
	s, _ := drainClosed(ctx, d.tree, b, d.tellSystemd)
	return s.GaveUp == errStall.Error()
}

// refused is why the server does not let us in; "" when it does.
func (d *Daemon) refused() string { return d.store.Stats().Refused }

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
	d.awaitUsers(context.Background().Done()) // what still holds it loses it with this process
}

// awaitUsers waits a while until nobody holds the detached mount, or until stop.
func (d *Daemon) awaitUsers(stop <-chan struct{}) {
	t := time.NewTimer(leaveTime)
	defer t.Stop()
	select {
	case <-d.mount.Done():
	case <-t.C:
	case <-stop:
	}
}

// unmounted goes on sending after somebody else unmounted: nobody waits for this
// process, so that it sends as long as bytes move. A signal, as at the shutdown of the
// system, leaves it the time that any stop has; a second one none.
func (d *Daemon) unmounted(sig <-chan os.Signal) string {
	d.setPhase(phaseDraining)
	d.writeNote(os.Getpid())
	d.log.Info("unmounted by another program; sending what is owed")
	notify("STATUS=unmounted, sending what is owed")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// A server that is down may come back: unlike a stop, this waits for it.
		if st := d.tree.Status(); st.OwedFiles > st.Open && d.refused() == "" {
			_, _ = drainClosed(ctx, d.tree, bounds{stall: goneStall}, d.tellSystemd)
		}
	}()
	select {
	case <-sent:
	case s := <-sig:
		d.log.Info("stopping", "signal", s.String())
		go exitOn(sig, d)
		notifyStopping("sending what is owed")
		cancel()
		<-sent
		d.send(context.Background(), bounds{limit: stopDrain, stall: stopStall})
	case <-d.end:
		cancel()
		<-sent
	}
	return d.finish()
}

func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// finish closes everything, in the order in which nothing is lost: the tree, which
// writes its last records and frees the lock, then whoever waits is answered, then
// the server is left. It returns what is left, in words.
func (d *Daemon) finish() string {
	refused := d.refused()
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	d.tree.LookNow(ctx)
	cancel()
	err := d.tree.Close(expired())
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
	d.final.Refused = refused
	d.closed = true
	close(d.settled)
	d.mu.Unlock()
	d.ctl.Close(replyTime)
	if d.told != nil {
		d.told.Close()
	}
	_ = d.store.Close()
	line := leftLine(d.cfg.Target.String(), st)
	if line != "" {
		d.log.Warn(line)
		notify("STOPPING=1\nSTATUS=" + line)
	} else {
		notify("STOPPING=1\nSTATUS=all is on the server")
	}
	d.log.Info("ended")
	if d.file != nil {
		d.file.Close()
	}
	return line
}

// leftLine says what an ended mount leaves, and where; "" is nothing.
func leftLine(url string, st cache.Status) string {
	left := debt.Of(st, true).Left()
	if left == "" {
		return ""
	}
	return fmt.Sprintf("%s: %s (kept in %s)", url, left, st.SpoolDir)
}
