package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	"ftpfs/cache/ranges"
)

const (
	groupEvery = time.Second // how long a Put may wait for the group sync
	reserve    = 1 << 16     // numbers reserved on disk at once
)

// mark is the files synced and synced.2, of which the newer counts. Records whose
// sequence number is in OnDisk are on disk with their data. It is a set, not one
// number: while Load has not yet settled what an earlier boot left, new records may be
// on disk and older ones not.
//
// The older of the two is overwritten in place, in pages it has: on a disk without a
// free page a mark can be made all the same, or nothing would leave the spool. What
// becomes torn is the mark that does not count yet.
type mark struct {
	N       uint64     `json:"n,omitempty"` // the higher, the newer
	OnDisk  ranges.Set `json:"on_disk"`
	Ceiling uint64     `json:"ceiling"` // no number above this was ever given to a record
}

var markNames = [...]string{"synced", "synced.2"}

// readMark takes over the mark of an earlier run. When it is lost, records of this
// boot and those with a proof of their own still count, and the highest
// sequence number is looked up in the records themselves.
func (s *Spool) readMark(records []string) error {
	found, damaged := false, error(nil)
	for i, name := range markNames {
		b, err := s.fs.ReadFile(s.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.markSize[i] = len(b)
		var m mark
		if err := unseal(b, &m); err != nil || m.Ceiling >= 1<<62 || m.N >= 1<<62 {
			damaged = errors.Join(damaged, fmt.Errorf("%s: %w", name, cmp.Or(err, errors.New("numbers too high"))))
			continue
		}
		if !found || m.N > s.markN {
			found = true
			s.onDisk, s.ceiling, s.markN, s.markAt = m.OnDisk, m.Ceiling, m.N, 1-i
		}
	}
	switch {
	case found && damaged == nil:
		return nil
	case found:
		s.log.Warn("one of two marks was torn, as a power cut leaves it; the other one counts", "err", damaged)
	case damaged != nil:
		s.log.Error("the file synced cannot be believed; reading all records instead", "err", damaged)
	}
	for _, name := range records {
		if b, err := s.fs.ReadFile(s.path("rec", name)); err == nil {
			if r, err := newestIn(b, 0); err == nil && r.Seq < 1<<62 {
				s.next = max(s.next, r.Seq)
			}
		}
	}
	return nil
}

// reserveMarks makes both files of the mark, with a page at least, as far as the disk
// has room. Where it cannot tell that their names are on disk, they are replaced, not
// overwritten.
func (s *Spool) reserveMarks() {
	s.marking.Lock()
	defer s.marking.Unlock()
	m := mark{OnDisk: s.onDisk.Clone(), Ceiling: max(s.ceiling, s.next)}
	for range markNames {
		if s.markSize[s.markAt]%slotUnit == 0 && s.markSize[s.markAt] > 0 {
			break // the other one is older, and was made first
		}
		if err := s.writeMark(m); err != nil {
			break
		}
	}
	if s.fs.SyncDir(s.dir) != nil {
		s.markSize = [len(markNames)]int{}
	}
}

// writeMark makes m durable. The caller holds marking.
func (s *Spool) writeMark(m mark) error {
	m.N = s.markN + 1
	b, err := seal(&m)
	if err != nil {
		return err
	}
	size := max(s.markSize[s.markAt], (len(b)/slotUnit+1)*slotUnit)
	b = append(b, blanks(size-len(b))...)
	path := s.path(markNames[s.markAt])
	err = s.lightened(func() error {
		if s.markSize[s.markAt] == 0 {
			return writeAtomic(s.fs, s.dir, path, b)
		}
		return s.fs.WriteAt(path, b, 0, true)
	})
	if err != nil {
		return err
	}
	s.markN, s.markSize[s.markAt] = m.N, size
	s.markAt = 1 - s.markAt
	return nil
}

// begin gives out the next sequence number and counts it as in flight until end.
// A number is reserved on disk before it is used, so that none comes twice, even
// when the records that bore it are gone.
func (s *Spool) begin() (uint64, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, ErrClosed
	}
	s.next++
	seq := s.next
	s.inflight[seq] = true
	enough := seq <= s.ceiling
	s.mu.Unlock()
	if enough {
		return seq, nil
	}
	if err := s.raise(seq); err != nil {
		s.end(seq)
		return 0, fmt.Errorf("reserve numbers: %w", err)
	}
	return seq, nil
}

func (s *Spool) raise(seq uint64) error {
	s.marking.Lock()
	defer s.marking.Unlock()
	s.mu.Lock()
	m := mark{OnDisk: s.onDisk.Clone(), Ceiling: seq + reserve}
	enough := seq <= s.ceiling
	s.mu.Unlock()
	if enough {
		return nil
	}
	if err := s.writeMark(m); err != nil {
		return err
	}
	s.mu.Lock()
	s.ceiling = m.Ceiling
	s.mu.Unlock()
	return nil
}

func (s *Spool) end(seq uint64) {
	s.mu.Lock()
	delete(s.inflight, seq)
	s.mu.Unlock()
}

// durableLocked says that the data of record seq of id is known to be on disk.
// synced: the record says so itself.
func (s *Spool) durableLocked(id, seq uint64, synced bool) bool {
	return s.doubt[id] == nil && (synced || s.onDisk.Contains(int64(seq), int64(seq)+1))
}

// groupSyncs runs until Close: about a second after something became pending, it
// is put on disk.
func (s *Spool) groupSyncs() {
	for {
		select {
		case <-s.wake:
		case <-s.stop:
			return
		}
		t := time.NewTimer(groupEvery)
		select {
		case <-t.C:
		case <-s.stop:
			t.Stop()
			return
		}
		err := s.groupSync()
		s.mu.Lock()
		first := err != nil && !s.complain
		s.complain = err != nil
		s.mu.Unlock()
		if err != nil {
			s.rouse()
		}
		if first {
			s.log.Error("cannot sync the spool; a power cut now would quarantine recent files", "err", err)
		}
	}
}

func (s *Spool) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// SyncAll does what the group sync does within about a second, now: when it returns nil,
// a power cut loses nothing of what was Put before.
func (s *Spool) SyncAll() error {
	if err := s.groupSync(); err != nil {
		return fmt.Errorf("spool: sync: %w", err)
	}
	return nil
}

// groupSync puts everything pending on disk and then says so in the mark.
func (s *Spool) groupSync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	if len(s.pending) == 0 {
		s.mu.Unlock()
		return nil
	}
	pending := maps.Clone(s.pending)
	ripe := len(s.unripe)
	end := s.next + 1 // numbers below end are not in flight
	for seq := range s.inflight {
		end = min(end, seq)
	}
	s.tried = max(s.tried, end)
	from := s.first
	if s.loaded { // all that is left from before is on disk after this sync
		from = 0
	}
	s.mu.Unlock()

	if err := s.fs.SyncFS(s.lock); err != nil {
		// The error may be another program's file. Ask for each of ours.
		s.log.Warn("syncfs failed; syncing each file", "err", err)
		if err := s.syncEach(pending); err != nil {
			return err
		}
	}
	s.marking.Lock()
	defer s.marking.Unlock()
	s.mu.Lock()
	for id, err := range s.doubt {
		s.mu.Unlock()
		return fmt.Errorf("file %d: %w", id, err)
	}
	m := mark{OnDisk: s.onDisk.Clone(), Ceiling: s.ceiling}
	s.mu.Unlock()
	m.OnDisk.Add(int64(from), int64(end))
	if err := s.writeMark(m); err != nil {
		return err
	}
	s.ballast()
	s.mu.Lock()
	s.onDisk = m.OnDisk
	s.spare = append(s.spare, s.unripe[:ripe]...)
	s.unripe = append([]uint64(nil), s.unripe[ripe:]...)
	for id, seq := range pending {
		if s.pending[id] == seq && seq < end {
			delete(s.pending, id)
		}
	}
	more := len(s.pending) > 0
	s.mu.Unlock()
	if more {
		s.rouse()
	}
	return nil
}

// syncEach is the group sync one file at a time. It returns an error when records
// could not be synced; a file whose data could not be synced goes into doubt,
// because the kernel reports a failed write only once and then takes the pages
// for clean.
func (s *Spool) syncEach(pending map[uint64]uint64) error {
	sync := func(path string) error {
		f, err := s.fs.OpenFile(path, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) { // dropped meanwhile, or a directory's record
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return s.fs.SyncData(f)
	}
	for id := range pending {
		if err := sync(s.data(id)); err != nil {
			s.distrust(id, err)
		}
		if err := sync(s.rec(id, ".json")); err != nil {
			return err
		}
	}
	for _, d := range []string{"data", "rec", "quarantine"} {
		if err := s.fs.SyncDir(s.path(d)); err != nil {
			return err
		}
	}
	return nil
}

// distrust records that id's data may not be what the page cache says. Until it is
// dropped nothing of it counts as synced.
func (s *Spool) distrust(id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doubt[id] == nil {
		s.doubt[id] = err
		s.log.Error("the disk failed to store a file; it is safe only once it is on the server", "file", id, "err", err)
	}
}
