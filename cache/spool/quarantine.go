package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
	"time"
)

// part is a file to be moved into quarantine, and its extension there; or, without
// a path, what is to be written there.
type part struct {
	path, ext string
	b         []byte
}

// quarantine moves files out of the queue, beside a note that says why. What was
// the file's name in the mount is given if known. Files that are not there are
// passed over. Nothing is ever deleted: when a move fails, the rest stays where it
// is, and the error is logged as well as returned.
func (s *Spool) quarantine(stem, mountPath string, why error, parts []part) error {
	s.mu.Lock()
	name := stem
	for n := 2; s.stems[name]; n++ {
		name = stem + "-" + strconv.Itoa(n)
	}
	s.stems[name] = true
	s.mu.Unlock()

	if mountPath == "" {
		mountPath = "(unknown)"
	}
	note := fmt.Sprintf("when: %s\nfile: %q\nwhy: %v\n", time.Now().Format(time.RFC3339), mountPath, why)
	if err := s.fs.WriteFile(s.path("quarantine", name+".txt"), []byte(note), false); err != nil {
		s.log.Warn("cannot write a note into quarantine", "err", err) // the log line below says the same
	}
	for _, p := range parts {
		to := s.path("quarantine", name+p.ext)
		var err error
		if p.path == "" {
			err = s.fs.WriteFile(to, p.b, false)
		} else {
			err = s.fs.Rename(p.path, to)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("cannot quarantine a file; it stays in the spool and is not sent", "file", mountPath, "why", why, "err", err)
			return err
		}
	}
	s.log.Error("quarantined a file", "file", mountPath, "why", why, "kept", s.path("quarantine", name))
	return nil
}

// transient says that an error in reading tells nothing about the file read: the
// process or the machine is short of something.
func transient(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM, syscall.EINTR, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
