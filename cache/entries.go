package cache

import (
	"hash/maphash"
	"iter"
	"slices"
)

// entries are a directory's entries by name. It does what a map would, in two thirds of the
// memory: a map of a thousand names has room for two thousand, and each place in it is as large
// as an entry. Here they lie side by side, and what has free places is a table of small
// numbers. The zero value is empty. Guarded by tree.mu.
type entries struct {
	all   []named  // in no order
	table []uint32 // 1 + an index of all, from the place of the name's hash on; 0: free. Its length is a power of 2
}

// named is an entry with its name.
type named struct {
	name string
	ent  entry
}

// leastTable is room for a few names.
const leastTable = 8

var entriesSeed = maphash.MakeSeed()

// newEntries has room for n names.
func newEntries(n int) entries {
	s := entries{all: make([]named, 0, n)}
	s.reserve(n)
	return s
}

func (s *entries) len() int { return len(s.all) }

func (s *entries) get(name string) (entry, bool) {
	if i := s.find(name); i >= 0 {
		return s.all[s.table[i]-1].ent, true
	}
	return entry{}, false
}

// each gives all of them. Nothing is put or removed meanwhile.
func (s *entries) each() iter.Seq2[string, entry] {
	return func(yield func(string, entry) bool) {
		for i := range s.all {
			if !yield(s.all[i].name, s.all[i].ent) {
				return
			}
		}
	}
}

func (s *entries) put(name string, e entry) {
	if i := s.find(name); i >= 0 {
		s.all[s.table[i]-1].ent = e
		return
	}
	s.reserve(len(s.all) + 1)
	s.all = append(s.all, named{name, e})
	s.enter(len(s.all) - 1)
}

func (s *entries) remove(name string) {
	i := s.find(name)
	if i < 0 {
		return
	}
	at, last := int(s.table[i]-1), len(s.all)-1
	if at != last {
		s.table[s.find(s.all[last].name)] = uint32(at + 1)
		s.all[at] = s.all[last]
	}
	s.all[last] = named{}
	s.all = s.all[:last]
	// Nobody is to meet a free place before what he looks for: what follows moves up.
	for next := s.after(i); s.table[next] != 0; next = s.after(next) {
		home := s.home(s.all[s.table[next]-1].name)
		if (next-home)&(len(s.table)-1) >= (next-i)&(len(s.table)-1) {
			s.table[i] = s.table[next]
			i = next
		}
	}
	s.table[i] = 0
	if len(s.all) < cap(s.all)/4 && cap(s.all) > leastTable {
		s.all = slices.Clone(s.all)
		s.table = nil
		s.reserve(len(s.all))
	}
}

// find is the place of name in the table; -1 if it is not there.
func (s *entries) find(name string) int {
	if len(s.table) == 0 {
		return -1
	}
	for i := s.home(name); ; i = s.after(i) {
		switch k := s.table[i]; {
		case k == 0:
			return -1
		case s.all[k-1].name == name:
			return i
		}
	}
}

func (s *entries) home(name string) int {
	return int(maphash.String(entriesSeed, name)) & (len(s.table) - 1)
}
func (s *entries) after(i int) int { return (i + 1) & (len(s.table) - 1) }

// enter puts all[k], which is not in the table, into it.
func (s *entries) enter(k int) {
	i := s.home(s.all[k].name)
	for s.table[i] != 0 {
		i = s.after(i)
	}
	s.table[i] = uint32(k + 1)
}

// reserve makes room in the table for n names: a quarter of it at least stays free.
func (s *entries) reserve(n int) {
	size := max(len(s.table), leastTable)
	for size/4*3 < n {
		size *= 2
	}
	if size == len(s.table) {
		return
	}
	s.table = make([]uint32, size)
	for k := range s.all {
		s.enter(k)
	}
}
