package spool

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Put records r and sets r.Seq. When it returns nil, a killed daemon loses nothing
// of r; a power cut may bring back the record before it, for about a second. When
// it fails, the record before it stands.
//
// A record known to be on disk is never given up for one that is not (slots.go):
//
//   - if only attributes changed (path, attempts, time …), the new record inherits
//     the proof that its content is on disk;
//   - if the content changed, a power cut that loses the new record brings back
//     the old one, marked Interrupted;
//   - if held bytes are given up, which the caller is about to cut off, or overwritten
//     (Open) in a file that a record on disk says is closed, the old record must not
//     come back, and Put is durable.
func (s *Spool) Put(r *Record) error {
	put := func() error { return s.put(r, false) }
	err := error(nil)
	if r.Open {
		err = put()
	} else {
		err = s.lightened(s.compact(put))
	}
	if err != nil {
		return fmt.Errorf("spool: put %q: %w", r.Path, err)
	}
	return nil
}

// Note is Put of what would be good to know and is not needed, as that an attempt
// failed: room kept for what must be recorded is not spent on it.
func (s *Spool) Note(r *Record) error {
	if err := s.put(r, false); err != nil {
		return fmt.Errorf("spool: note %q: %w", r.Path, err)
	}
	return nil
}

// compact does put, and when the disk is full, once more after a group sync: that
// needs no room, and then all slots of a record's file but one can be used again.
func (s *Spool) compact(put func() error) func() error {
	return func() error {
		err := put()
		if errors.Is(err, syscall.ENOSPC) && s.groupSync() == nil {
			err = put()
		}
		return err
	}
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

	c := r.claim()
	s.mu.Lock()
	st := s.files[r.ID]
	if st == nil {
		st = &state{}
	}
	p := s.planLocked(r.ID, st, &c)
	s.mu.Unlock()
	p.synced = p.synced || durably && !p.doubtful
	force := durably || p.shrinks

	b, err := encodeRecord(r, seq, proof{s.boot, p.synced, p.same}, st.size)
	if err != nil {
		return err
	}
	next := slot{seq: seq, synced: p.synced, claim: c}
	if st.size > 0 && len(b) > st.size {
		st, err = s.grow(r.ID, st, &p, b, next)
	} else {
		err = s.write(r.ID, st, &p, b, next, force || p.reopens)
	}
	if err != nil {
		return err
	}
	r.Seq = seq
	s.mu.Lock()
	s.files[r.ID] = st
	s.pending[r.ID] = seq
	reopens := p.reopens || r.Open && s.closedMayReturnLocked(st) // or a group sync began meanwhile
	s.mu.Unlock()
	if !force {
		s.rouse()
		if reopens {
			return s.bar(r.ID, st, b, p.reopens)
		}
		return nil
	}
	if err = s.fs.SyncDir(s.path("rec")); err == nil {
		st.standing().placed = true
		err = s.forbidOlder(r.ID, st, &p)
	}
	s.mu.Lock()
	if err == nil && p.synced && s.pending[r.ID] == seq {
		delete(s.pending, r.ID)
	}
	more := len(s.pending) > 0
	s.mu.Unlock()
	if more {
		s.rouse()
	}
	return err
}

// bar has the standing record, which is b and says that the file is open, on disk, and
// so keeps those that say it is closed from being believed. synced: b is, but perhaps
// not its name.
func (s *Spool) bar(id uint64, st *state, b []byte, synced bool) error {
	if !synced {
		if err := s.fs.WriteAt(s.rec(id, ".json"), b[:st.size], int64(st.at*st.size), true); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir(s.path("rec")); err != nil {
		return err
	}
	for i := range st.slots {
		if i != st.at {
			st.slots[i].barred = true
		}
	}
	return nil
}

// write puts b into its slot. What is left of a failed attempt must not be taken for
// a record; of the file's first one nothing is.
func (s *Spool) write(id uint64, st *state, p *plan, b []byte, next slot, force bool) error {
	rec := s.rec(id, ".json")
	if st.size == 0 && s.reuse(id, b, force) {
		st.size, st.slots[0] = len(b), next
		return nil
	}
	if err := s.fs.WriteAt(rec, b, int64(p.at*len(b)), force); err != nil {
		st.slots[p.at] = slot{}
		if st.size == 0 {
			_ = s.fs.Remove(rec) // frees the space; Load knows it for what it is
		} else {
			_ = s.fs.WriteAt(rec, blanks(st.size), int64(p.at*st.size), false)
		}
		return err
	}
	st.size, st.at = len(b), p.at
	st.slots[p.at] = next
	return nil
}

// grow replaces the file by one with larger slots: b, and what must be kept of the
// others. It returns what is then known of the file.
func (s *Spool) grow(id uint64, st *state, p *plan, b []byte, next slot) (*state, error) {
	to := &state{size: len(b)}
	to.slots[0] = next
	if !p.shrinks {
		old, err := s.fs.ReadFile(s.rec(id, ".json"))
		if err != nil {
			return nil, err
		}
		slots, _ := splitSlots(old)
		n := 1
		for i := range slots {
			if !p.keep[i] || i == st.at && !s.mayReturn(&st.slots[i]) {
				continue
			}
			r, pr, err := decodeRecord(slots[i], id)
			if err != nil {
				continue // it cannot come back either
			}
			again, err := encodeRecord(&r, r.Seq, pr, to.size)
			if err != nil {
				return nil, err
			}
			b = append(b, again...)
			to.slots[n] = st.slots[i]
			n++
		}
	}
	tmp := s.rec(id, ".tmp")
	err := s.fs.WriteFile(tmp, b, true)
	if err == nil {
		err = s.fs.Rename(tmp, s.rec(id, ".json"))
	}
	if err != nil {
		_ = s.fs.Remove(tmp) // frees the space; Load removes it too
		return nil, err
	}
	return to, nil
}

// mayReturn says whether a power cut may bring a record back that is not the last.
func (s *Spool) mayReturn(sl *slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.placedLocked(sl) || sl.synced || sl.seq < s.tried
}

// forbidOlder blanks the other slots, if one of them claims what is about to be cut
// off. The standing record is on disk.
func (s *Spool) forbidOlder(id uint64, st *state, p *plan) error {
	if !p.shrinks {
		return nil
	}
	last := -1
	for i := range st.slots {
		if i != st.at && st.slots[i].seq != 0 {
			last = i
		}
	}
	for i := range st.slots {
		if i == st.at || st.slots[i].seq == 0 {
			continue
		}
		if err := s.fs.WriteAt(s.rec(id, ".json"), blanks(st.size), int64(i*st.size), i == last); err != nil {
			return fmt.Errorf("forbid an older record: %w", err)
		}
	}
	for i := range st.slots {
		if i != st.at {
			st.slots[i] = slot{}
		}
	}
	return nil
}
