package cache

import (
	"fmt"
	"hash"

	"ftpfs/cache/remote"
)

// Where the server computes checksums, one is computed of what is sent while it is sent,
// and compared before the rename. What arrived corrupted is sent again, from its beginning
// and under another name.

// mostCorrupt is how often in a row a file may arrive corrupted before it is parked: then
// it will do so again.
const mostCorrupt = 3

// sentSum is the checksum of what was sent under a temporary name, up to now.
type sentSum struct {
	temp      string
	at        int64 // bytes
	algorithm string
	h         hash.Hash
}

// add takes in what is sent next; a nil sum none of it.
func (s *sentSum) add(p []byte) {
	if s != nil {
		s.h.Write(p)
		s.at += int64(len(p))
	}
}

// sumFrom is what an upload that goes on at start computes on; nil where nobody will
// compare it, or what was sent before is not in it. content.mu is held.
func (s *shipment) sumFrom(start int64) *sentSum {
	if old := s.c.sum; start > 0 {
		if old == nil || old.at != start || old.temp != s.temp {
			return nil
		}
		return old
	}
	kind := remote.Checksum{Algorithm: s.tree.store.Caps().Sum}
	h := kind.Hash()
	if h == nil {
		return nil
	}
	return &sentSum{temp: s.temp, algorithm: kind.Algorithm, h: h}
}

// sumLocked is the checksum of all that was sent; nil if it is not known.
func (s *shipment) sumLocked() *remote.Checksum {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if sum := s.c.sum; sum != nil && sum.temp == s.temp && sum.at == s.size && s.size > 0 {
		return &remote.Checksum{Algorithm: sum.algorithm, Sum: sum.h.Sum(nil)}
	}
	return nil
}

func (f *File) corruptError(err error) error {
	return fmt.Errorf("%d uploads in a row did not arrive as they were sent, by the server's own checksum: something changes bytes on the way, or its disk does: %w", mostCorrupt, err)
}
