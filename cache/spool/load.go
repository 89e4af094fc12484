package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// leftover is what rec/ and data/ hold of one id at start.
type leftover struct {
	id                        uint64
	json, gone, tmp, haveData bool
}

// Load reads what earlier runs left, records in the order of their sequence
// numbers. It may be called once, and again if it failed; Put, Create and NewID
// may run meanwhile for new ids.
//
// A record counts when it was put during this boot, or is known to have been on
// disk, or claims no content. One that does not count, cannot be read, or claims
// more than its data file holds goes into quarantine with its data; so does the
// older of two for one path, and data of unknown name. Load fails only when ctx
// ends, or when the machine is short of something; what it has not seen stays.
func (s *Spool) Load(ctx context.Context) ([]Record, []Intent, error) {
	intents, err := s.loadIntents(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("spool: load: %w", err)
	}
	left, err := s.leftovers()
	if err != nil {
		return nil, nil, fmt.Errorf("spool: load: %w", err)
	}
	found := make([]*Record, len(left))
	var (
		mu      sync.Mutex // guards next, stuck, failure
		next    int
		stuck   bool
		failure error
		workers sync.WaitGroup
	)
	for range 4 {
		workers.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				if failure == nil {
					failure = ctx.Err()
				}
				end := failure != nil || i >= len(left)
				mu.Unlock()
				if end {
					return
				}
				r, err := s.restore(left[i])
				found[i] = r
				if err != nil {
					mu.Lock()
					if transient(err) {
						failure = err
					}
					stuck = true
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if failure != nil {
		return nil, nil, fmt.Errorf("spool: load: %w", failure)
	}
	recs, err := s.newest(found)

	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range recs {
		s.next = max(s.next, recs[i].Seq) // only if the file synced was lost
	}
	// While something that does not count could not be moved away, the mark
	// must not come to cover it.
	s.loaded = !stuck && err == nil
	if len(s.pending) > 0 {
		s.rouse()
	}
	return recs, intents, nil
}

// newest returns what was found, sorted by sequence number, with only the newest
// of several for one path: of files, and of directories.
func (s *Spool) newest(found []*Record) ([]Record, error) {
	recs := make([]Record, 0, len(found))
	for _, r := range found {
		if r != nil {
			recs = append(recs, *r)
		}
	}
	slices.SortFunc(recs, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
	type name struct {
		path string
		dir  bool
	}
	by := make(map[name]uint64, len(recs)) // to id
	for _, r := range recs {
		by[name{r.Path, r.Dir}] = r.ID
	}
	var failed error
	recs = slices.DeleteFunc(recs, func(r Record) bool {
		id := by[name{r.Path, r.Dir}]
		if id == r.ID {
			return false
		}
		failed = errors.Join(failed, s.putAside(r.ID, r.Path, fmt.Errorf("record %d is newer and has the same path", id)))
		return true
	})
	return recs, failed
}

// leftovers lists what is there of ids from before Open.
func (s *Spool) leftovers() ([]leftover, error) {
	byID := map[uint64]*leftover{}
	get := func(id uint64) *leftover {
		l := byID[id]
		if l == nil {
			l = &leftover{id: id}
			byID[id] = l
		}
		return l
	}
	for _, dir := range []string{"data", "rec"} {
		names, err := s.fs.ReadDir(s.path(dir))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			id, ext, ok := number(name)
			if ok && id > s.old {
				continue
			}
			switch {
			case ok && dir == "data" && ext == "":
				get(id).haveData = true
			case ok && dir == "rec" && ext == ".json":
				get(id).json = true
			case ok && dir == "rec" && ext == ".gone":
				get(id).gone = true
			case ok && dir == "rec" && ext == ".tmp":
				get(id).tmp = true
			default:
				s.log.Warn("left alone a file that is not the spool's", "file", s.path(dir, name))
			}
		}
	}
	all := make([]leftover, 0, len(byID))
	for _, l := range byID {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b leftover) int { return cmp.Compare(a.id, b.id) })
	return all, nil
}
