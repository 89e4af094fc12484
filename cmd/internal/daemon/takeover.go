package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"ftpfs/cache"
	"ftpfs/cache/spool"
	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/debt"
	"ftpfs/cmd/internal/place"
)

// openTree opens the spool, which one daemon holds at a time, wherever in the
// machine's mount namespaces it runs. A holder whose mount is gone and which only sends
// what is left is asked to stop: we go on with it. One that is just beginning or
// ending is waited for, a moment. Any other is named in the error.
func (d *Daemon) openTree(ctx context.Context) (*cache.Tree, error) {
	o := d.cfg.Options
	cacheSize, spoolSize := sizes(o.CacheSize, o.SpoolSize, d.dirs)
	cc := cache.Config{
		CacheDir: d.dirs.Cache, StateDir: d.dirs.State, Identity: place.Identity(d.cfg.Target),
		DirCacheTime: o.DirCacheTime, CacheSize: cacheSize, SpoolSize: spoolSize, Quota: o.Quota,
		MaxDirtyAge: o.MaxDirtyAge, SyncClose: o.SyncClose, FsyncServer: o.FsyncServer, ReadOnly: o.ReadOnly,
		Timeout: o.Timeout, Log: d.log,
	}
	if o.MaxDirtyAge == 0 {
		cc.MaxDirtyAge = -1 // which is never, to the cache
	}
	for end := time.Now().Add(lockTime); ; {
		if err := d.samePage(); err != nil {
			return nil, err
		}
		tree, err := cache.New(cc, d.store)
		var locked *spool.LockedError
		switch {
		case err == nil:
			return tree, nil
		case !errors.As(err, &locked):
			return nil, failf(ExitSystem, "%v", err)
		}
		note := place.ReadNote(d.dirs.State)
		switch err := release(ctx, note); {
		case err == nil:
			d.log.Info("taking over from a daemon that was still sending", "pid", note.PID)
		case !errors.Is(err, errNobody):
			return nil, failf(ExitMount, "%s %v", d.cfg.Target, err)
		case time.Now().After(end):
			return nil, failf(ExitMount, "%s %s", d.cfg.Target, heldBy(locked, note))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, failf(ExitInterrupted, "interrupted while waiting for the spool of %s", d.cfg.Target)
		}
	}
}

// samePage refuses to send what an earlier mount still owes under names that the server
// would take for others: those are in the code page which that mount was given.
func (d *Daemon) samePage() error {
	note := place.ReadNote(d.dirs.State)
	if note.Spool == "" || note.Codepage == d.cfg.Options.Codepage {
		return nil
	}
	owed, err := spool.Paths(note.Spool)
	if err != nil {
		return nil // it is opened next, which says why it cannot be
	}
	n := 0
	for _, p := range owed {
		if strings.ContainsFunc(p, func(r rune) bool { return r >= utf8.RuneSelf }) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	was := "without codepage"
	if note.Codepage != "" {
		was = "with codepage=" + note.Codepage
	}
	return failf(ExitMount, "%s is owed %s from a mount %s; mount it so once more, and send them with ftpfs sync, before the names are read in another way", d.cfg.Target, debt.Files(n), was)
}

const (
	// lockTime is how long a holder that nobody can ask may take to begin or to end.
	lockTime = 3 * time.Second
	// releaseTime bounds the waiting for another daemon to let go.
	releaseTime = 15 * time.Second
)

// errNobody says that no daemon answers for a spool that is locked.
var errNobody = errors.New("nobody answers")

// release asks the daemon in the note to end, if its mount is gone already. It returns
// nil once that one has closed its spool. An error other than errNobody goes on from
// the URL: "is already mounted at …".
func release(ctx context.Context, note place.Note) error {
	if note.Control == "" || note.PID == 0 {
		return errNobody
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	var st control.Status
	if err := control.Call(ctx, note.Control, control.Request{Op: control.OpStatus}, nil, &st); err != nil {
		return errNobody
	}
	if st.State == phaseMounted {
		return fmt.Errorf("is already mounted (at %s, process %d)", st.Mountpoint, st.PID)
	}
	err := control.Call(ctx, note.Control, control.Request{Op: control.OpRelease}, nil, nil)
	var refused *control.Answer
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("is still served by process %d: %w; close them, or end it", st.PID, err)
	case ctx.Err() != nil:
		return fmt.Errorf("is still served by process %d, unmounted from %s, which does not let go of the spool", st.PID, st.Mountpoint)
	}
	return errNobody // it ended meanwhile
}

// heldBy says who holds a spool, from what it left behind.
func heldBy(locked *spool.LockedError, note place.Note) string {
	switch {
	case note.PID != 0 && note.Unmounted:
		return fmt.Sprintf("is unmounted from %s, and process %d still sends what is owed; end it, or wait", note.Mountpoint, note.PID)
	case note.PID != 0:
		return fmt.Sprintf("is already mounted (at %s, process %d)", note.Mountpoint, note.PID)
	case locked.Holder != "":
		return fmt.Sprintf("is already mounted (%s)", locked.Holder)
	}
	return "is already mounted (by a process that has not said yet which it is)"
}
