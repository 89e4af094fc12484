package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// reading is one slot of a record's file as found.
type reading struct {
	rec Record
	proof
	at  int
	err error // why it cannot be read; nil: it can
}

// readRecords reads a record's file: the records of id in it, the newest first, and
// what cannot be read. newer says that the latter may be of a later Put that was
// broken off, and which may have been for other content.
func readRecords(b []byte, id uint64) (recs, torn []reading, newer bool, size int) {
	slots, size := splitSlots(b)
	for i, sl := range slots {
		if sl == nil {
			continue
		}
		got := reading{at: i}
		got.rec, got.proof, got.err = decodeRecord(sl, id)
		switch {
		case got.err == nil:
			recs = append(recs, got)
		case got.foreign(id): // from before the file was a spare
		default:
			torn = append(torn, got)
		}
	}
	slices.SortFunc(recs, func(a, b reading) int { return cmp.Compare(b.rec.Seq, a.rec.Seq) })
	for _, t := range torn {
		sl := slots[t.at]
		h, _, ok := parseHead(sl)
		switch {
		case !ok && blank(sl[:min(len(sl), sector)]): // as good as never written
		case len(recs) == 0, !ok, h.seq > recs[0].rec.Seq && !h.same:
			newer = true
		}
	}
	return recs, torn, newer, size
}

// foreign says that got is whole, and of another file than id.
func (got *reading) foreign(id uint64) bool {
	return got.err != nil && got.rec.ID != 0 && got.rec.ID != id
}

// newestIn returns the record that stands in a record's file.
func newestIn(b []byte, id uint64) (Record, error) {
	recs, torn, _, _ := readRecords(b, id)
	switch {
	case len(recs) > 0:
		return recs[0].rec, nil
	case len(torn) > 0:
		return torn[0].rec, torn[0].err
	}
	return Record{}, fmt.Errorf("%d bytes, no record of file %d", len(b), id)
}

func (s *Spool) sameBoot(got *reading) bool { return s.boot != "" && got.Boot == s.boot }

func (s *Spool) durable(got *reading) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durableLocked(got.rec.ID, got.rec.Seq, got.Synced)
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
		err := s.sweep(l.id)
		if err != nil {
			s.log.Error("cannot finish dropping a file", "file", l.id, "err", err)
		}
		return nil, err
	case !l.json && l.haveData:
		return nil, s.orphan(l.id)
	case !l.json:
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

// choose picks the record to believe: the newest, if it was put during this boot, or
// is known to have been on disk with its data, or claims no content; else an older
// one that was on disk. Without one it has quarantined all there is, and returns nil.
func (s *Spool) choose(l leftover) (*Record, *state, bool, error) {
	b, err := s.fs.ReadFile(s.rec(l.id, ".json"))
	if transient(err) {
		return nil, nil, false, err
	}
	if err != nil {
		return nil, nil, false, s.putAside(l.id, "", fmt.Errorf("the record cannot be read: %w", err))
	}
	recs, torn, newer, size := readRecords(b, l.id)
	if len(recs) == 0 {
		return nil, nil, false, s.unreadable(l, b)
	}
	chosen := &recs[0]
	var why error // chosen is to be taken for interrupted
	switch {
	case s.sameBoot(chosen): // what came after it was never acknowledged
	case s.durable(chosen) && newer && chosen.rec.idle():
		return nil, nil, false, s.putAside(l.id, chosen.rec.Path, errors.New("a later record cannot be read, and before it nothing had been written"))
	case s.durable(chosen) && newer:
		why = errors.New("a later record cannot be read")
	case s.durable(chosen), chosen.rec.bare() && !newer:
	default:
		why = errors.New("not known to have been on disk when the machine stopped")
		chosen = nil
		for i := range recs {
			if s.durable(&recs[i]) && !recs[i].rec.idle() {
				chosen = &recs[i]
				break
			}
		}
		if chosen == nil {
			return nil, nil, false, s.putAside(l.id, recs[0].rec.Path, why)
		}
	}
	st := &state{size: size, at: chosen.at}
	if why != nil {
		// What was written after it may be in the data file.
		chosen.rec.Interrupted = true
		if st, err = s.restoreOlder(chosen, b, why); err != nil {
			s.log.Error("cannot restore the older record of a file; it stays in the spool and is not sent", "file", chosen.rec.Path, "err", err)
			return nil, nil, false, err
		}
	} else {
		for i := range recs {
			st.slots[recs[i].at] = recs[i].slot()
		}
		s.clear(l.id, size, torn)
	}
	// After a power cut the data file may hold more than the record knows of.
	chosen.rec.Resume = chosen.rec.Resume && s.sameBoot(chosen)
	return &chosen.rec, st, s.durable(chosen), nil
}

func (got *reading) slot() slot {
	return slot{seq: got.rec.Seq, synced: got.Synced, claim: got.rec.claim()}
}

// unreadable settles a file without a record. If it is shorter than a slot, its first
// Put never returned; if nothing in it was ever of id, a power cut lost that: then
// there is only the data file to settle.
func (s *Spool) unreadable(l leftover, b []byte) error {
	_, torn, _, _ := readRecords(b, l.id)
	_, err := newestIn(b, l.id)
	size := slotUnit
	if h, _, ok := parseHead(b); ok {
		size = h.slot
	}
	if n, serr := s.fs.Size(s.data(l.id)); (len(b) < size || len(torn) == 0) && (errors.Is(serr, fs.ErrNotExist) || serr == nil && n == 0) {
		return errors.Join(s.removeAny(s.rec(l.id, ".json")), s.removeAny(s.data(l.id)))
	}
	return s.putAside(l.id, "", fmt.Errorf("the record cannot be read: %w", err))
}

// clear blanks what is left of Puts that were broken off, so that no later start
// wonders about it.
func (s *Spool) clear(id uint64, size int, torn []reading) {
	for _, t := range torn {
		if err := s.fs.WriteAt(s.rec(id, ".json"), blanks(size), int64(t.at*size), false); err != nil {
			s.log.Warn("cannot clear what is left of a record", "file", id, "err", err)
		}
	}
}

// restoreOlder makes old the only record of its file, whose content is b, and
// quarantines a copy of that. That it is interrupted must outlast this run of the
// daemon, so that it is written anew, with the proof it had.
func (s *Spool) restoreOlder(old *reading, b []byte, why error) (*state, error) {
	id := old.rec.ID
	tmp := s.rec(id, ".tmp")
	again, err := encodeRecord(&old.rec, old.rec.Seq, old.proof, 0)
	if err != nil {
		return nil, err
	}
	if err := s.fs.WriteFile(tmp, again, true); err != nil {
		return nil, err
	}
	why = fmt.Errorf("%w; an older record of the file took its place", why)
	if err := s.quarantine(strconv.FormatUint(id, 10), old.rec.Path, why, []part{{ext: ".json", b: b}}); err != nil {
		return nil, err
	}
	if err := s.fs.Rename(tmp, s.rec(id, ".json")); err != nil {
		return nil, err
	}
	st := &state{size: len(again)}
	st.slots[0] = old.slot()
	return st, nil
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
		{path: s.data(id), ext: ".data"}, {path: s.rec(id, ".json"), ext: ".json"}})
}
