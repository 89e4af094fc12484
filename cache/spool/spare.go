package spool

import (
	"errors"
	"io/fs"
)

// Records' files that are not needed any more are kept for new records: see slots.go
// on what an inode costs. What an earlier record left in one is of another id, and
// older, and counts for nothing.

const maxSpare = 1024 // files kept, of a few pages each

// recycle makes a spare of the file of id, which is N.gone, or removes it. It can be
// used once the disk knows that it is one: before, a power cut could bring the
// record back, and must find it whole.
func (s *Spool) recycle(id uint64) error {
	s.mu.Lock()
	st := s.files[id]
	keep := st != nil && st.size == slotUnit && len(s.spare)+len(s.unripe) < maxSpare
	s.mu.Unlock()
	if !keep || s.fs.Rename(s.rec(id, ".gone"), s.spareFile(id)) != nil {
		return s.removeAny(s.rec(id, ".gone"))
	}
	s.mu.Lock()
	s.unripe = append(s.unripe, id)
	s.mu.Unlock()
	return nil
}

// reuse writes b, the first record of id, into a spare file. It returns false when
// there is none, or something failed: then there is nothing of the kind.
func (s *Spool) reuse(id uint64, b []byte, force bool) bool {
	if len(b) != slotUnit {
		return false
	}
	s.mu.Lock()
	n := len(s.spare)
	if n == 0 {
		s.mu.Unlock()
		return false
	}
	path := s.spareFile(s.spare[n-1])
	s.spare = s.spare[:n-1]
	s.mu.Unlock()
	err := s.fs.WriteAt(path, b, 0, force)
	if err == nil {
		err = s.fs.Rename(path, s.rec(id, ".json"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = s.fs.Remove(path) // frees the space
	}
	return err == nil
}
