package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// check says what is wrong with the table of s.
func (s *table[T]) check() error {
	used := 0
	for i, k := range s.places {
		if k == 0 {
			continue
		}
		used++
		if int(k) > len(s.all) {
			return fmt.Errorf("place %d is of entry %d, of %d", i, k-1, len(s.all))
		}
		if name := s.all[k-1].key(); s.find(name) != i {
			return fmt.Errorf("%q, at place %d, is looked for at %d", name, i, s.find(name))
		}
	}
	if used != len(s.all) {
		return fmt.Errorf("%d places used, for %d entries", used, len(s.all))
	}
	if len(s.places) > 0 && used > len(s.places)/4*3 {
		return fmt.Errorf("%d of %d places used", used, len(s.places))
	}
	return nil
}

// Random changes, of few names and of many, compared with a map.
func TestEntriesAreAMap(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		names := 1 + rnd.IntN(1<<rnd.IntN(11))
		var got entries
		if seed%2 == 1 {
			got = newEntries(rnd.IntN(names + 1))
		}
		want := map[string]entry{}
		for step := range 4000 {
			name := fmt.Sprintf("name-%d", rnd.IntN(names))
			shrinks := step/1000%2 == 1
			if n := rnd.IntN(4); n == 0 || shrinks && n < 3 {
				got.remove(name)
				delete(want, name)
			} else {
				e := entry{size: int64(step)}
				got.put(name, e)
				want[name] = e
			}
			e, ok := got.get(name)
			if w, there := want[name]; ok != there || e != w {
				t.Fatalf("seed %d, step %d: %q is %+v, %v; want %+v, %v", seed, step, name, e, ok, w, there)
			}
			if step%97 != 0 {
				continue
			}
			if err := got.check(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			seen := 0
			for name, e := range got.each() {
				if seen++; want[name] != e {
					t.Fatalf("seed %d, step %d: %q is %+v, want %+v", seed, step, name, e, want[name])
				}
			}
			if seen != len(want) || got.len() != len(want) {
				t.Fatalf("seed %d, step %d: %d names, and %d by each; want %d", seed, step, got.len(), seen, len(want))
			}
		}
	}
}

// A directory that was large for a while does not keep its room.
func TestEntriesThatAreGoneTakeNoRoom(t *testing.T) {
	s := newEntries(0)
	for i := range 10_000 {
		s.put(fmt.Sprint(i), entry{})
	}
	for i := range 9_990 {
		s.remove(fmt.Sprint(i))
	}
	if err := s.check(); err != nil || s.len() != 10 || cap(s.all) > 100 || len(s.places) > 200 {
		t.Errorf("%d entries with room for %d, and %d places: %v", s.len(), cap(s.all), len(s.places), err)
	}
}

// Whoever goes through live children may remove them, and those that are still to come.
func TestKidsMayGoWhileTheyAreGoneThrough(t *testing.T) {
	dir := &Node{}
	for i := range 100 {
		dir.putKid(&Node{parent: dir, name: fmt.Sprint(i)})
	}
	seen := map[string]bool{}
	for name, k := range dir.eachKid() {
		if k.name != name || seen[name] || dir.kid(name) != k {
			t.Fatalf("%s is %q; seen: %v", name, k.name, seen[name])
		}
		seen[name] = true
		dir.dropKid(name)
		var n int
		_, _ = fmt.Sscan(name, &n)
		dir.dropKid(fmt.Sprint(n ^ 1)) // its neighbour
		dir.putKid(&Node{parent: dir, name: "new" + name})
	}
	if len(seen) != 50 || dir.countKids() != 50 {
		t.Errorf("%d were gone through, and %d are left; want 50 of both", len(seen), dir.countKids())
	}
	for name := range dir.eachKid() {
		dir.dropKid(name)
	}
	if dir.kids != nil {
		t.Errorf("room is kept for no children")
	}
}
