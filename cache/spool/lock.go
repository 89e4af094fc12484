package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// LockedError says that another process has the spool open.
type LockedError struct {
	Dir    string
	Holder string // what the holder wrote: its pid, and what it gave to SetHolder; may be ""
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return "spool " + e.Dir + " is in use by another process"
	}
	return "spool " + e.Dir + " is in use by " + e.Holder
}

// flock takes the lock without waiting. It lasts until the file is closed, also by
// the end of the process; the file itself stays, as removing it would let two
// processes lock two files of one name.
func flock(fsys FS, dir string) (*os.File, error) {
	f, err := fsys.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	switch err := syncing("flock", f, func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) }); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		holder := make([]byte, 4096)
		n, _ := f.ReadAt(holder, 0) // a holder that cannot be read is an unnamed one
		f.Close()
		return nil, &LockedError{dir, strings.TrimSpace(string(holder[:n]))}
	case err != nil:
		f.Close()
		return nil, lockError(dir, err)
	}
	writeHolder(f, "")
	return f, nil
}

// lockError says what to do where there are no locks, as on NFS without a lock daemon:
// without one, two daemons could publish from one spool.
func lockError(dir string, err error) error {
	for _, none := range []error{syscall.ENOLCK, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, none) {
			return fmt.Errorf("spool: the file system of %s has no locks (%w); choose a place on a local disk", dir, err)
		}
	}
	return fmt.Errorf("spool: lock: %w", err)
}

// SetHolder adds text, such as the mountpoint, to what others are told about the
// holder of the lock.
func (s *Spool) SetHolder(text string) { writeHolder(s.lock, text) }

// writeHolder does not fail: the text is a courtesy, and the disk may be full.
func writeHolder(f *os.File, text string) {
	line := fmt.Sprintf("process %d", os.Getpid())
	if text != "" {
		line += " (" + text + ")"
	}
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(line+"\n"), 0)
	}
}
