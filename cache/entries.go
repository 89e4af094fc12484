package cache

import (
	"hash/maphash"
	"iter"
	"slices"
)

// entries are a directory's entries by name. Guarded by tree.mu.
type entries struct{ table[named] }

// named is an entry with its name.
type named struct {
	name string
	ent  entry
}

func (n named) key() string { return n.name }

// newEntries has room for n names.
func newEntries(n int) entries {
	s := entries{table[named]{all: make([]named, 0, n)}}
	s.reserve(n)
	return s
}

func (s *entries) get(name string) (entry, bool) {
	if i := s.find(name); i >= 0 {
		return s.all[s.places[i]-1].ent, true
	}
	return entry{}, false
}

func (s *entries) put(name string, e entry) { s.set(named{name, e}) }

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

// kids are the live nodes of a directory by name. Guarded by tree.mu.
type kids struct{ table[*Node] }

func (n *Node) key() string { return n.name }

// kid is the live node of a name in n, nil if there is none.
func (n *Node) kid(name string) *Node {
	if n.kids != nil {
		if i := n.kids.find(name); i >= 0 {
			return n.kids.all[n.kids.places[i]-1]
		}
	}
	return nil
}

// eachKid gives n's live children. Those that are gone before their turn are left out, those that come are
// not in it.
func (n *Node) eachKid() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		if n.kids == nil {
			return
		}
		for _, k := range slices.Clone(n.kids.all) {
			if name := k.name; n.kid(name) == k && !yield(name, k) {
				return
			}
		}
	}
}

func (n *Node) countKids() int {
	if n.kids == nil {
		return 0
	}
	return n.kids.len()
}

func (n *Node) putKid(k *Node) {
	if n.kids == nil {
		n.kids = new(kids)
	}
	n.kids.set(k)
}

// dropKid takes a name out of n's live children. Who was walked over keeps no room for what it had.
func (n *Node) dropKid(name string) {
	if n.kids == nil {
		return
	}
	if n.kids.remove(name); n.kids.len() == 0 {
		n.kids = nil
	}
}

// table does what a map by name would, in two thirds of the memory: a map of a thousand names has
// room for two thousand, and each place in it is as large as what it maps to. Here that lies
// side by side, and what has free places is a list of small numbers. The zero value is empty.
type table[T keyed] struct {
	all    []T      // in no order
	places []uint32 // 1 + an index of all, from the place of the name's hash on; 0: free. Its length is a power of 2
}

// keyed is what knows its name, which does not change as long as it is in a table.
type keyed interface{ key() string }

// leastTable is room for a few names.
const leastTable = 8

var tableSeed = maphash.MakeSeed()

func (s *table[T]) len() int { return len(s.all) }

// set enters x, in the place of what has its name.
func (s *table[T]) set(x T) {
	if i := s.find(x.key()); i >= 0 {
		s.all[s.places[i]-1] = x
		return
	}
	s.reserve(len(s.all) + 1)
	s.all = append(s.all, x)
	s.enter(len(s.all) - 1)
}

func (s *table[T]) remove(name string) {
	i := s.find(name)
	if i < 0 {
		return
	}
	at, last := int(s.places[i]-1), len(s.all)-1
	if at != last {
		s.places[s.find(s.all[last].key())] = uint32(at + 1)
		s.all[at] = s.all[last]
	}
	clear(s.all[last:])
	s.all = s.all[:last]
	// Nobody is to meet a free place before what he looks for: what follows moves up.
	for next := s.after(i); s.places[next] != 0; next = s.after(next) {
		home := s.home(s.all[s.places[next]-1].key())
		if (next-home)&(len(s.places)-1) >= (next-i)&(len(s.places)-1) {
			s.places[i] = s.places[next]
			i = next
		}
	}
	s.places[i] = 0
	if len(s.all) < cap(s.all)/4 && cap(s.all) > leastTable {
		s.all = slices.Clone(s.all)
		s.places = nil
		s.reserve(len(s.all))
	}
}

// find is the place of name; -1 if it is not there.
func (s *table[T]) find(name string) int {
	if len(s.places) == 0 {
		return -1
	}
	for i := s.home(name); ; i = s.after(i) {
		switch k := s.places[i]; {
		case k == 0:
			return -1
		case s.all[k-1].key() == name:
			return i
		}
	}
}

func (s *table[T]) home(name string) int {
	return int(maphash.String(tableSeed, name)) & (len(s.places) - 1)
}
func (s *table[T]) after(i int) int { return (i + 1) & (len(s.places) - 1) }

// enter gives all[k] a place.
func (s *table[T]) enter(k int) {
	i := s.home(s.all[k].key())
	for s.places[i] != 0 {
		i = s.after(i)
	}
	s.places[i] = uint32(k + 1)
}

// reserve makes room for n names: a quarter of it at least stays free.
func (s *table[T]) reserve(n int) {
	size := max(len(s.places), leastTable)
	for size/4*3 < n {
		size *= 2
	}
	if size == len(s.places) {
		return
	}
	s.places = make([]uint32, size)
	for k := range s.all {
		s.enter(k)
	}
}
