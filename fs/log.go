package fs

import (
	"bytes"
	"log"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// quiet is how long an errno is silent after it was logged: a dead server fails
// thousands of calls for one reason.
const quiet = 10 * time.Second

// journal logs errors that are about to be reduced to an errno.
type journal struct {
	log *slog.Logger // immutable

	mu   sync.Mutex
	last map[syscall.Errno]time.Time
	held map[syscall.Errno]int // lines not written since last
}

func newJournal(l *slog.Logger) *journal {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return &journal{log: l, last: map[syscall.Errno]time.Time{}, held: map[syscall.Errno]int{}}
}

// swallowed writes a warning for a failure whose errno hides the reason, at most
// one in ten seconds for each errno, and a debug line for every other.
func (j *journal) swallowed(op string, no syscall.Errno, err error) {
	switch no {
	case syscall.ENOENT, syscall.EEXIST, syscall.ENOTEMPTY, syscall.EISDIR, syscall.ENOTDIR, syscall.EINTR:
		return // these say it all
	}
	j.mu.Lock()
	now := time.Now()
	if last, ok := j.last[no]; ok && now.Sub(last) < quiet {
		j.held[no]++
		j.mu.Unlock()
		j.log.Debug("failed", "op", op, "errno", no.Error(), "error", err)
		return
	}
	held := j.held[no]
	j.last[no], j.held[no] = now, 0
	j.mu.Unlock()
	if held > 0 {
		j.log.Warn("failed", "op", op, "errno", no.Error(), "error", err, "alike_before", held)
		return
	}
	j.log.Warn("failed", "op", op, "errno", no.Error(), "error", err)
}

// logger is what go-fuse writes to: its complaints as warnings, its trace of every
// request at debug level.
func (j *journal) logger() *log.Logger { return log.New(lines{j.log}, "", 0) }

type lines struct{ log *slog.Logger }

func (l lines) Write(p []byte) (int, error) {
	text := string(bytes.TrimRight(p, "\n"))
	switch {
	case bytes.HasPrefix(p, []byte("rx ")), bytes.HasPrefix(p, []byte("tx ")),
		// The kernel asks once for what a file system may lack, and remembers.
		bytes.HasPrefix(p, []byte("Unimplemented opcode")):
		l.log.Debug(text)
	default:
		l.log.Warn(text)
	}
	return len(p), nil
}
