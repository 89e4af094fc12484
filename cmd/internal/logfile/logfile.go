// Package logfile is where a daemon in the background logs: one file in the
// mount's state directory, bounded in size, its predecessor kept beside it.
package logfile

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// File is a log file that begins anew when it has grown to its limit. Writes are
// whole lines; a disk that is full loses lines, never blocks or fails the writer.
type File struct {
	path  string // immutable
	limit int64  // bytes

	mu     sync.Mutex
	f      *os.File // nil when it is not open
	size   int64
	stderr bool   // standard error follows f
	early  []byte // what came before there was a directory for it
}

// earlyLimit is how much of that is kept: a login, and what became of it.
const earlyLimit = 64 << 10

var _ io.WriteCloser = (*File)(nil)

// New returns a log at path, mode 0600, which may grow to limit bytes; what was
// before is then at path + ".1". It is opened when there is something to write, and the
// directory is there: lines that come earlier wait for that.
func New(path string, limit int64) *File { return &File{path: path, limit: limit} }

func (l *File) openLocked() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	n, _ := f.Write(l.early)
	l.f, l.size, l.early = f, fi.Size()+int64(n), nil
	if l.stderr {
		_ = unix.Dup2(int(f.Fd()), unix.Stderr)
	}
	return nil
}

// CatchStderr has what this process writes to standard error end up in the log, from now
// on and also after it began anew: above all what the runtime says of a panic, which would
// be in a file that is gone by then. That does not count for the limit.
func (l *File) CatchStderr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stderr = true
	if l.f == nil {
		return l.openLocked()
	}
	return unix.Dup2(int(l.f.Fd()), unix.Stderr)
}

// Write appends p. It always succeeds: there is nobody to tell.
func (l *File) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		if err := l.openLocked(); err != nil {
			if errors.Is(err, os.ErrNotExist) && len(l.early)+len(p) <= earlyLimit {
				l.early = append(l.early, p...)
			}
			return len(p), nil
		}
	}
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		l.f.Close()
		l.f = nil
		_ = os.Rename(l.path, l.path+".1")
		if l.openLocked() != nil {
			return len(p), nil
		}
	}
	n, _ := l.f.Write(p)
	l.size += int64(n)
	return len(p), nil
}

// Close the file; later writes open it again.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
