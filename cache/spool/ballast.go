package spool

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
)

// The files in ballast/ are room kept for the records of what is owed already:
// sending a file takes a new record, and a disk without a free page must not keep it
// from being sent, as that is what makes room. They are given up one by one, so that
// nobody else takes what is freed. Records of files that a program has open do
// without: there the program is told.
const (
	ballastFiles = 64
	ballastSize  = slotUnit
)

// ballast makes what is missing of it, as far as the disk has room.
func (s *Spool) ballast() {
	// Not zeros, for which some file systems take no room.
	page := bytes.Repeat([]byte("ballast\n"), ballastSize/8)
	s.ballasting.Lock()
	defer s.ballasting.Unlock()
	for s.weights < ballastFiles {
		path := s.weight(s.weights)
		if n, err := s.fs.Size(path); err != nil || n != ballastSize {
			if err := s.fs.WriteFile(path, page, false); err != nil {
				_ = s.fs.Remove(path) // a part of it would be of no use
				return
			}
		}
		s.weights++
	}
}

func (s *Spool) weight(n int) string { return s.path("ballast", fmt.Sprint(n)) }

// lightened does something, and as long as the disk is full, again with less ballast.
// The group sync takes it on again.
func (s *Spool) lightened(do func() error) error {
	for {
		err := do()
		if !errors.Is(err, syscall.ENOSPC) || !s.drop() {
			return err
		}
	}
}

// drop gives up one piece; false if there is none.
func (s *Spool) drop() bool {
	s.ballasting.Lock()
	defer s.ballasting.Unlock()
	if s.weights == 0 {
		return false
	}
	s.weights--
	return s.fs.Remove(s.weight(s.weights)) == nil
}
