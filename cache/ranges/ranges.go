// Package ranges keeps sets of byte positions as sorted half-open ranges: which
// bytes of a file are held, which are dirty. It knows nothing of files or disks.
//
// A Set does no locking: its owner's mutex guards it. Methods that do not change
// the set have value receivers and may run side by side.
package ranges

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// Range is the positions from Off up to, not including, End.
type Range struct {
	Off, End int64
}

// Len is the number of positions in r.
func (r Range) Len() int64 { return r.End - r.Off }

// Set is a set of positions from 0 up. The zero Set is empty and ready for use.
// A copy made by assignment shares storage with its origin and must not be used
// after either changes: use Clone.
//
// Looking up costs O(log n) in the number of ranges; adding at or behind the end
// costs O(1).
type Set struct {
	r []Range // sorted, disjoint, not adjacent, none empty, none below 0
}

// Of returns the set holding the given ranges, which may overlap and be in any order.
func Of(rs ...Range) Set {
	var s Set
	for _, r := range rs {
		s.Add(r.Off, r.End)
	}
	return s
}

// Add puts [off, end) into the set. An empty or reversed range adds nothing; what
// lies below 0 is cut off.
func (s *Set) Add(off, end int64) {
	off = max(off, 0)
	if off >= end {
		return
	}
	n := len(s.r)
	if n == 0 || off > s.r[n-1].End {
		s.r = append(s.r, Range{off, end})
		return
	}
	if last := &s.r[n-1]; off >= last.Off {
		last.End = max(last.End, end)
		return
	}
	// Ranges i up to j touch or overlap [off, end).
	i := sort.Search(n, func(k int) bool { return s.r[k].End >= off })
	j := i + sort.Search(n-i, func(k int) bool { return s.r[i+k].Off > end })
	if i == j {
		s.r = slices.Insert(s.r, i, Range{off, end})
		return
	}
	s.r[i] = Range{min(off, s.r[i].Off), max(end, s.r[j-1].End)}
	s.r = slices.Delete(s.r, i+1, j)
}

// Remove takes [off, end) out of the set.
func (s *Set) Remove(off, end int64) {
	off = max(off, 0)
	if off >= end {
		return
	}
	// Ranges i up to j have positions in common with [off, end).
	i := s.after(off)
	j := i + sort.Search(len(s.r)-i, func(k int) bool { return s.r[i+k].Off >= end })
	if i == j {
		return
	}
	var rest [2]Range
	n := 0
	if first := s.r[i]; first.Off < off {
		rest[n] = Range{first.Off, off}
		n++
	}
	if last := s.r[j-1]; last.End > end {
		rest[n] = Range{end, last.End}
		n++
	}
	s.r = slices.Replace(s.r, i, j, rest[:n]...)
}

// Truncate takes everything at and behind size out of the set.
func (s *Set) Truncate(size int64) { s.Remove(size, math.MaxInt64) }

// after returns the index of the first range that ends behind off: the one
// holding off, or the next.
func (s Set) after(off int64) int {
	n := len(s.r)
	if n > 0 && off >= s.r[n-1].Off { // reading and writing front to back
		if off >= s.r[n-1].End {
			return n
		}
		return n - 1
	}
	return sort.Search(n, func(k int) bool { return s.r[k].End > off })
}

// Contains says whether every position of [off, end) is in the set. It is true of
// an empty range.
func (s Set) Contains(off, end int64) bool {
	if off >= end {
		return true
	}
	i := s.after(off)
	return i < len(s.r) && s.r[i].Off <= off && s.r[i].End >= end
}

// Overlaps says whether any position of [off, end) is in the set.
func (s Set) Overlaps(off, end int64) bool {
	if off >= end {
		return false
	}
	i := s.after(off)
	return i < len(s.r) && s.r[i].Off < end
}

// Includes says whether every position of t is in s.
func (s Set) Includes(t Set) bool {
	for _, r := range t.r {
		if !s.Contains(r.Off, r.End) {
			return false
		}
	}
	return true
}

// Covered returns how many positions from off on are in the set without a gap.
func (s Set) Covered(off int64) int64 {
	if i := s.after(off); i < len(s.r) && s.r[i].Off <= off {
		return s.r[i].End - off
	}
	return 0
}

// NextMissing returns the first stretch of [off, limit) that is not in the set;
// false when there is none. The stretch ends where the set goes on, or at limit.
func (s Set) NextMissing(off, limit int64) (Range, bool) {
	off = max(off, 0)
	i := s.after(off)
	if i < len(s.r) && s.r[i].Off <= off {
		off = s.r[i].End
		i++
	}
	if off >= limit {
		return Range{}, false
	}
	if i < len(s.r) {
		limit = min(limit, s.r[i].Off)
	}
	return Range{off, limit}, true
}

// Missing returns the stretches of [off, end) that are not in the set, in order.
func (s Set) Missing(off, end int64) []Range {
	var out []Range
	for {
		r, ok := s.NextMissing(off, end)
		if !ok {
			return out
		}
		out = append(out, r)
		off = r.End
	}
}

// Len is the number of positions in the set.
func (s Set) Len() int64 {
	var n int64
	for _, r := range s.r {
		n += r.Len()
	}
	return n
}

// End is the position behind the last one in the set; 0 for an empty set.
func (s Set) End() int64 {
	if len(s.r) == 0 {
		return 0
	}
	return s.r[len(s.r)-1].End
}

// Ranges returns the set as ranges in order, as few as possible. The slice is the
// caller's.
func (s Set) Ranges() []Range { return slices.Clone(s.r) }

// Clone returns an independent copy.
func (s Set) Clone() Set { return Set{slices.Clone(s.r)} }

// Equal says whether both sets hold the same positions.
func (s Set) Equal(t Set) bool { return slices.Equal(s.r, t.r) }

// Empty says whether nothing is in the set.
func (s Set) Empty() bool { return len(s.r) == 0 }

func (s Set) String() string { return fmt.Sprint(s.r) }

// check returns an error when the ranges are not sorted, disjoint, apart from
// each other, and within 0 and the largest position.
func (s Set) check() error {
	prev := int64(-1)
	for i, r := range s.r {
		if r.Off <= prev || r.Off < 0 || r.End <= r.Off {
			return fmt.Errorf("range %d, [%d, %d), does not follow %d", i, r.Off, r.End, prev)
		}
		prev = r.End
	}
	return nil
}
