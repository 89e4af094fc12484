package daemon

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/cmd/internal/place"
)

// CatchStderr has what the runtime says of a panic end up in the log, where that is a
// file. Call it once standard error belongs to nobody else.
func (d *Daemon) CatchStderr() {
	if d.file == nil {
		return
	}
	if err := d.file.CatchStderr(); err != nil {
		d.log.Warn("the stack of a panic will not be in the log", "error", err)
	}
}

// panicked makes what says, when a goroutine hit a bug, what became of the mount and what
// to do. The runtime puts the stack behind it. What it says is known beforehand: the tree
// cannot be asked any more.
func (d *Daemon) panicked() func(v any) {
	spool := d.tree.Status().SpoolDir
	return func(v any) {
		d.log.Error("a bug in ftpfs: the daemon ends. All that was written and closed is kept in the spool, and is sent after the next mount: "+
			"mount again with the same options. Please report this line and the stack that follows",
			"panic", fmt.Sprint(v), "version", d.cfg.Version, "url", d.cfg.Target.String(), "mountpoint", d.cfg.Mountpoint, "spool", spool)
	}
}

// tellOfADeath puts into the log that the last daemon of this spool did not come to its
// end. It could not always say so itself: of a fatal error of the runtime there is a stack
// and nothing else.
func (d *Daemon) tellOfADeath(last place.Note) {
	if last.PID == 0 || unix.Kill(last.PID, 0) == nil { // one that is just ending has let go of the spool
		return
	}
	d.log.Warn("the last daemon of this spool did not come to its end: it was killed, the machine went down, or it hit a bug. "+
		"If there is a stack of it, in its log or where it wrote its errors, please report that. What it owed is sent now",
		"pid", last.PID, "started", last.Started.Format(time.RFC3339))
}
