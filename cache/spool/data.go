package spool

import (
	"fmt"
	"os"
)

// Create makes the empty data file of id, which must not have one, open for
// reading and writing. A file without a record is content without a name: put
// a record (Open) before anything of worth is written to it.
func (s *Spool) Create(id uint64) (*os.File, error) {
	return s.open(id, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// OpenData opens the data file of id for reading and writing.
func (s *Spool) OpenData(id uint64) (*os.File, error) { return s.open(id, os.O_RDWR) }

func (s *Spool) open(id uint64, flag int) (*os.File, error) {
	defer s.lockID(id)()
	if err := s.usable(); err != nil {
		return nil, err
	}
	f, err := s.fs.OpenFile(s.data(id), flag)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return f, nil
}

// Adopt makes the file at path, which is whole clean content, the data file of id.
// The error wraps EXDEV when path is on another file system: copy it then. With
// a record of empty ranges put before, a crash in between leaves nothing to
// settle.
func (s *Spool) Adopt(id uint64, path string) error {
	defer s.lockID(id)()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.fs.Rename(path, s.data(id)); err != nil {
		return fmt.Errorf("spool: adopt: %w", err)
	}
	return nil
}

// usable returns ErrClosed after Close. The caller holds a stripe, so that Close
// waits for it.
func (s *Spool) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}
