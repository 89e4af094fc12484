package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Drop forgets id: it is on the server, or nobody wants it any more. A crash at
// any point leaves either the record and its data, or a note to Load to finish.
// After a power cut a dropped record may be back, whole, with its data.
func (s *Spool) Drop(id uint64) error {
	defer s.lockID(id)()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.unrecord(id); err != nil {
		return fmt.Errorf("spool: drop: %w", err)
	}
	if err := s.sweep(id); err != nil {
		return fmt.Errorf("spool: drop: %w", err)
	}
	return nil
}

// Detach forgets id, whose content is on the server, and moves its data file to
// path (into the cache). The error wraps EXDEV when path is on another file
// system; the record and the data stand as before then: copy, and Drop.
func (s *Spool) Detach(id uint64, path string) error {
	defer s.lockID(id)()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.unrecord(id); err != nil {
		return fmt.Errorf("spool: detach: %w", err)
	}
	if err := s.fs.Rename(s.data(id), path); err != nil {
		return fmt.Errorf("spool: detach: %w", errors.Join(err, s.rerecord(id)))
	}
	if err := s.sweep(id); err != nil {
		return fmt.Errorf("spool: detach: %w", err)
	}
	return nil
}

// unrecord turns the record of id into N.gone, which tells Load that the data file
// is owed to nobody. Without a record there is nothing to do.
func (s *Spool) unrecord(id uint64) error {
	s.mu.Lock()
	had := s.files[id] != nil
	s.mu.Unlock()
	if !had {
		return nil
	}
	err := s.fs.Rename(s.rec(id, ".json"), s.rec(id, ".gone"))
	if errors.Is(err, fs.ErrNotExist) { // an earlier Drop came so far
		return nil
	}
	return err
}

// rerecord takes unrecord back.
func (s *Spool) rerecord(id uint64) error {
	err := s.fs.Rename(s.rec(id, ".gone"), s.rec(id, ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep removes what unrecord left, the data first.
func (s *Spool) sweep(id uint64) error {
	if err := s.removeAny(s.data(id)); err != nil {
		return err
	}
	if err := s.recycle(id); err != nil {
		return err
	}
	s.forget(id)
	return nil
}

func (s *Spool) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, id)
	delete(s.pending, id)
	delete(s.doubt, id)
}

// removeAny is Remove that does not mind when nothing is there.
func (s *Spool) removeAny(path string) error {
	if err := s.fs.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Discard takes id out of the queue at a person's wish and keeps it in discarded/,
// under a name made of the time and the file's own, its record beside it (with
// .json). It returns the path of what was kept: the data, or the record of a
// directory.
func (s *Spool) Discard(id uint64) (kept string, err error) {
	defer s.lockID(id)()
	if err := s.usable(); err != nil {
		return "", err
	}
	kept, err = s.discard(id)
	if err != nil {
		return "", fmt.Errorf("spool: discard: %w", err)
	}
	return kept, nil
}

func (s *Spool) discard(id uint64) (string, error) {
	b, err := s.fs.ReadFile(s.rec(id, ".json"))
	if err != nil {
		return "", err
	}
	r, err := newestIn(b, id)
	if err != nil {
		return "", err
	}
	name := s.path("discarded", discardName(r.Path, id, time.Now()))
	// Data first: a crash in between leaves a record that Load quarantines for
	// want of its data, and the data here.
	kept := name
	err = s.fs.Rename(s.data(id), name)
	if errors.Is(err, fs.ErrNotExist) {
		kept, err = name+".json", nil
	}
	if err != nil {
		return "", err
	}
	if err := s.fs.Rename(s.rec(id, ".json"), name+".json"); err != nil {
		if kept == name {
			err = errors.Join(err, s.fs.Rename(name, s.data(id)))
		}
		return "", err
	}
	s.forget(id)
	for _, d := range []string{"discarded", "data", "rec"} {
		if err := s.fs.SyncDir(s.path(d)); err != nil {
			s.log.Warn("cannot sync a directory after discarding", "kept", kept, "err", err)
		}
	}
	return kept, nil
}

// keepBase leaves room in a name of 255 bytes for the time, the id and .json.
const keepBase = 200

// discardName is readable, unique through the id, and no longer than a name may be.
func discardName(mountPath string, id uint64, now time.Time) string {
	base := path.Base(mountPath)
	if base == "/" {
		base = "root"
	}
	base = strings.ReplaceAll(base, "\x00", "_")
	if len(base) > keepBase {
		base = base[len(base)-keepBase:] // the end tells more: extensions
	}
	return fmt.Sprintf("%s-%d-%s", now.Format("20060102-150405"), id, base)
}
