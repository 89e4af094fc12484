package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// reading is one record file as found.
type reading struct {
	rec Record
	proof
	err error // why it does not count; nil: it does
}

func (s *Spool) read(id uint64, ext string) (reading, error) {
	b, err := s.fs.ReadFile(s.rec(id, ext))
	if transient(err) {
		return reading{}, err
	}
	var got reading
	if err == nil {
		got.rec, got.proof, err = decodeRecord(b, id)
	}
	switch {
	case err != nil:
		got.err = fmt.Errorf("the record cannot be read: %w", err)
	case !s.counts(&got):
		got.err = errors.New("not known to have been on disk when the machine stopped")
	}
	return got, nil
}

// counts says whether the record may be believed, data included.
func (s *Spool) counts(got *reading) bool {
	return s.sameBoot(got) || s.durable(got) || got.rec.bare()
}

func (s *Spool) sameBoot(got *reading) bool { return s.boot != "" && got.Boot == s.boot }

func (s *Spool) durable(got *reading) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durableLocked(got.rec.ID, state{seq: got.rec.Seq, synced: got.Synced})
}

// restore settles what is left of one id. It returns nil when nothing is owed or
// nothing can be believed. An error means that something is where it should not be
// any more; it was logged.
func (s *Spool) restore(l leftover) (*Record, error) {
	defer s.lockID(l.id)()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if l.tmp { // its Put never returned
		if err := s.removeAny(s.rec(l.id, ".tmp")); err != nil {
			s.log.Warn("cannot remove a leftover", "err", err)
		}
	}
	switch {
	case l.gone && l.json: // a Drop failed, and the file was put again
		if err := s.removeAny(s.rec(l.id, ".gone")); err != nil {
			s.log.Warn("cannot remove a leftover", "err", err)
		}
	case l.gone: // a Drop was interrupted
		err := errors.Join(s.removeAny(s.rec(l.id, ".safe")), s.sweep(l.id))
		if err != nil {
			s.log.Error("cannot finish dropping a file", "file", l.id, "err", err)
		}
		return nil, err
	case !l.json && !l.safe && l.haveData:
		return nil, s.orphan(l.id)
	case !l.json && !l.safe:
		return nil, nil
	}
	r, st, durable, err := s.choose(l)
	if r == nil || err != nil {
		return nil, err
	}
	if !r.Dir {
		ok, err := s.checkData(r)
		if !ok || err != nil {
			return nil, err
		}
	}
	r.Interrupted = r.Interrupted || r.Open
	r.Open = false
	s.mu.Lock()
	s.files[r.ID] = st
	if !durable {
		s.pending[r.ID] = r.Seq
	}
	s.mu.Unlock()
	return r, nil
}

// choose picks the record to believe: N.json, or N.safe when that does not count.
// It returns nil when neither does, and has quarantined them then.
func (s *Spool) choose(l leftover) (*Record, state, bool, error) {
	var cur, old reading
	cur.err = errors.New("missing")
	old.err = cur.err
	var err error
	if l.json {
		if cur, err = s.read(l.id, ".json"); err != nil {
			return nil, state{}, false, err
		}
	}
	if cur.err == nil {
		return &cur.rec, state{cur.rec.Seq, cur.Synced, l.safe}, s.durable(&cur), nil
	}
	if l.safe {
		if old, err = s.read(l.id, ".safe"); err != nil {
			return nil, state{}, false, err
		}
	}
	if old.err != nil {
		return nil, state{}, false, s.putAside(l.id, cmp.Or(cur.rec.Path, old.rec.Path), cur.err)
	}
	// What was written after the old record may be in the data file, unless the
	// daemon merely died between the two renames of a Put.
	if l.json || !s.sameBoot(&old) {
		old.rec.Interrupted = true
	}
	if err := s.restoreSafe(l, &old, cur); err != nil {
		s.log.Error("cannot restore the older record of a file; it stays in the spool and is not sent", "file", old.rec.Path, "err", err)
		return nil, state{}, false, err
	}
	return &old.rec, state{old.rec.Seq, old.Synced, false}, s.durable(&old), nil
}

// restoreSafe makes old, which was read from N.safe, the record of its file, and
// quarantines the one in its place. That it is interrupted must outlast this run
// of the daemon, so that it is written anew, with the proof it had.
func (s *Spool) restoreSafe(l leftover, old *reading, cur reading) error {
	rec, safe, tmp := s.rec(l.id, ".json"), s.rec(l.id, ".safe"), s.rec(l.id, ".tmp")
	b, err := encodeRecord(&old.rec, old.rec.Seq, old.proof)
	if err != nil {
		return err
	}
	if err := s.fs.WriteFile(tmp, b, true); err != nil {
		return err
	}
	if l.json {
		why := fmt.Errorf("%w; an older record of the file took its place", cur.err)
		if err := s.quarantine(strconv.FormatUint(l.id, 10), cur.rec.Path, why, []part{{rec, ".json"}}); err != nil {
			return err
		}
	}
	if err := s.fs.Rename(tmp, rec); err != nil {
		return err
	}
	return s.removeAny(safe)
}

// checkData says whether the data file holds as much as r claims, and quarantines
// both if not. Content of which nothing is dirty is the server's: it is only
// forgotten.
func (s *Spool) checkData(r *Record) (bool, error) {
	size, err := s.fs.Size(s.data(r.ID))
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		if !transient(err) {
			err = s.putAside(r.ID, r.Path, fmt.Errorf("its data cannot be read: %w", err))
		}
		return false, err
	}
	if !missing && size >= r.Have.End() {
		return true, nil
	}
	if !r.bare() && (r.Base == nil || !r.Dirty.Empty()) {
		why := fmt.Errorf("the data file has %d bytes, the record claims %d", size, r.Have.End())
		if missing {
			why = errors.New("the data file is missing")
		}
		return false, s.putAside(r.ID, r.Path, why)
	}
	r.Have.Truncate(0)
	f, err := s.fs.OpenFile(s.data(r.ID), os.O_RDWR|os.O_CREATE)
	if err != nil {
		s.log.Error("cannot make a data file; the record stays in the spool and is not sent", "file", r.Path, "err", err)
		return false, err
	}
	return true, f.Close()
}

// orphan settles data without a record. A Drop does not leave any, so that this
// was written by someone who was told it is safe only if the record was lost
// since: keep it, unless it is empty.
func (s *Spool) orphan(id uint64) error {
	if size, err := s.fs.Size(s.data(id)); err == nil && size == 0 {
		return s.removeAny(s.data(id))
	}
	return s.putAside(id, "", errors.New("data without a record"))
}

// putAside quarantines all there is of id.
func (s *Spool) putAside(id uint64, mountPath string, why error) error {
	s.forget(id)
	return s.quarantine(strconv.FormatUint(id, 10), mountPath, why, []part{
		{s.data(id), ".data"}, {s.rec(id, ".safe"), ".older.json"}, {s.rec(id, ".json"), ".json"}})
}
