package fs

import (
	"bytes"
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// recheck is how often an interrupted caller is looked at again. The kernel sends
// one FUSE_INTERRUPT for a request, whatever signals come later.
const recheck = 100 * time.Millisecond

// call is the context of one request. It ends only when the thread that waits for
// the answer has a signal pending that a person or the system means to stop it
// with; a FUSE_INTERRUPT alone proves no more than that some signal came, and a
// timer's must not fail an open. Nothing is watched until someone asks for Done,
// so that a request answered from memory costs nothing.
type call struct {
	tid    uint32          // immutable: the thread, 0 when it is in no namespace of ours
	cancel <-chan struct{} // immutable: closed at FUSE_INTERRUPT
	fatal  func(tid uint32) bool

	mu       sync.Mutex
	done     chan struct{} // made by the first Done; closed when the caller gives up, and by end
	finished chan struct{} // closed by end
	exited   chan struct{} // closed when the watcher is gone
	err      error
}

// ended is the Done of calls that are over.
var ended = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// begin makes the context of a request from go-fuse's. The caller must end it.
func begin(ctx context.Context) *call {
	c := &call{fatal: fatalPending}
	if fc, ok := ctx.(*fuse.Context); ok {
		c.tid, c.cancel = fc.Pid, fc.Cancel
	}
	return c
}

// end stops the watching, and returns when it has stopped. The context has ended
// then, for whoever kept it.
func (c *call) end() {
	c.mu.Lock()
	finished, exited := c.finished, c.exited
	if finished == nil {
		c.done, c.err = ended, context.Canceled
	}
	c.mu.Unlock()
	if finished == nil {
		return
	}
	close(finished)
	<-exited
	c.stop()
}

// stop ends the context, if it has not ended yet.
func (c *call) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = context.Canceled
		close(c.done)
	}
}

func (c *call) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *call) Value(any) any               { return nil }

func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done is closed when the caller gave up, or the call is over.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done, c.finished, c.exited = make(chan struct{}), make(chan struct{}), make(chan struct{})
		go c.watch()
	}
	return c.done
}

func (c *call) watch() {
	defer close(c.exited)
	select {
	case <-c.finished:
		return
	case <-c.cancel:
	}
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for !c.fatal(c.tid) {
		select {
		case <-c.finished:
			return
		case <-tick.C:
		}
	}
	c.stop()
}

// stoppers are the signals that end a wait: a person's or the system's wish that
// the program stop, handled or not.
var stoppers = mask(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGKILL)

func mask(sigs ...syscall.Signal) uint64 {
	var m uint64
	for _, s := range sigs {
		m |= 1 << (s - 1)
	}
	return m
}

// fatalPending says whether a thread is to stop. A thread that is gone is; one
// that cannot be seen (another pid namespace, /proc hidden) is not: then the
// deadlines end the wait.
func fatalPending(tid uint32) bool {
	if tid == 0 {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(tid), 10) + "/status")
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		// With hidepid a thread of another user looks gone as well.
		return errors.Is(unix.Kill(int(tid), 0), syscall.ESRCH)
	}
	return err == nil && fatalStatus(status)
}

// fatalStatus reads /proc/TID/status: whether the thread is dead, or has a stopper
// pending, for itself or its process, that it neither blocks nor ignores. The
// default action of a signal shows as a pending KILL.
func fatalStatus(status []byte) bool {
	var own, shared, blocked, ignored uint64
	for line := range bytes.Lines(status) {
		key, val, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		val = bytes.TrimSpace(val)
		switch string(key) {
		case "State":
			if len(val) > 0 && (val[0] == 'Z' || val[0] == 'X') {
				return true
			}
		case "SigPnd":
			own = signals(val)
		case "ShdPnd":
			shared = signals(val)
		case "SigBlk":
			blocked = signals(val)
		case "SigIgn":
			ignored = signals(val)
		}
	}
	deaf := (blocked | ignored) &^ mask(unix.SIGKILL)
	return (own|shared)&^deaf&stoppers != 0
}

func signals(hex []byte) uint64 {
	m, err := strconv.ParseUint(string(hex), 16, 64)
	if err != nil {
		return 0
	}
	return m
}
