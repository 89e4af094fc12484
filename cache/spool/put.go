package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Put records r and sets r.Seq. When it returns nil, a killed daemon loses nothing
// of r; a power cut may bring back the record before it, for about a second. When
// it fails, the record before it stands.
//
// A record known to be on disk is never given up for one that is not:
//
//   - if only attributes changed (path, attempts, time …), the new record is
//     synced and inherits the proof;
//   - if the content changed, the old record stays as N.safe until the new one is
//     on disk: after a power cut Load falls back on it, marked Interrupted;
//   - if held bytes are given up, which the caller is about to cut off, the old
//     record must not come back, and Put is durable.
func (s *Spool) Put(r *Record) error {
	if err := s.put(r, false); err != nil {
		return fmt.Errorf("spool: put %q: %w", r.Path, err)
	}
	return nil
}

// Sync is Put, and when it returns nil a power cut loses nothing of r, nor of the
// bytes in r.Have, which are in f. f is nil for a directory. After f failed to
// sync once, Sync of the id fails for good: the kernel would say yes the next
// time, whatever became of the data.
func (s *Spool) Sync(r *Record, f *os.File) error {
	if err := s.sync(r, f); err != nil {
		return fmt.Errorf("spool: sync %q: %w", r.Path, err)
	}
	return nil
}

func (s *Spool) sync(r *Record, f *os.File) error {
	s.mu.Lock()
	err := s.doubt[r.ID]
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if f != nil {
		if err := s.fs.SyncData(f); err != nil {
			s.distrust(r.ID, err)
			return err
		}
		if err := s.fs.SyncDir(s.path("data")); err != nil {
			return err
		}
	}
	return s.put(r, true)
}

// put writes r, durably if the caller has synced its data.
func (s *Spool) put(r *Record, durably bool) error {
	if err := r.valid(); err != nil {
		return err
	}
	defer s.lockID(r.ID)()
	seq, err := s.begin()
	if err != nil {
		return err
	}
	defer s.end(seq)

	s.mu.Lock()
	st, had := s.files[r.ID]
	durable := had && s.durableLocked(r.ID, st)
	doubtful := s.doubt[r.ID] != nil
	s.mu.Unlock()
	synced := durably && !doubtful

	var keep, shrinks bool // the old record as N.safe; and the old record must not come back
	if durable || st.safe {
		old, err := s.lastDurable(r.ID, durable)
		switch {
		case err != nil: // it cannot come back either
			durable = false
		case !r.Have.Includes(old.Have):
			shrinks = true
		case durable && r.sameContent(&old):
			synced = true
		default:
			keep = durable && !synced
		}
	}

	b, err := encodeRecord(r, seq, proof{s.boot, synced})
	if err != nil {
		return err
	}
	rec, safe, tmp := s.rec(r.ID, ".json"), s.rec(r.ID, ".safe"), s.rec(r.ID, ".tmp")
	if err := s.fs.WriteFile(tmp, b, synced || shrinks); err != nil {
		_ = s.fs.Remove(tmp) // frees the space; Load removes it too
		return err
	}
	if keep {
		if err := s.fs.Rename(rec, safe); err != nil {
			_ = s.fs.Remove(tmp)
			return err
		}
	}
	if err := s.fs.Rename(tmp, rec); err != nil {
		if keep {
			err = errors.Join(err, s.fs.Rename(safe, rec))
		}
		_ = s.fs.Remove(tmp)
		return err
	}
	r.Seq = seq
	if shrinks && st.safe {
		if err = s.fs.Remove(safe); err == nil || errors.Is(err, fs.ErrNotExist) {
			st.safe, err = false, nil
		}
	}
	s.mu.Lock()
	s.files[r.ID] = state{seq, synced, st.safe || keep}
	if synced {
		delete(s.pending, r.ID)
	} else {
		s.pending[r.ID] = seq
	}
	s.mu.Unlock()
	if !synced {
		s.rouse()
	}
	if err == nil && (durably || shrinks) {
		err = s.fs.SyncDir(s.path("rec"))
	}
	return err
}

// lastDurable reads the record that a power cut would bring back: N.json if it is
// the durable one, else N.safe.
func (s *Spool) lastDurable(id uint64, current bool) (Record, error) {
	ext := ".safe"
	if current {
		ext = ".json"
	}
	b, err := s.fs.ReadFile(s.rec(id, ext))
	if err != nil {
		return Record{}, err
	}
	r, _, err := decodeRecord(b, id)
	return r, err
}
