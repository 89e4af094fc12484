package cache

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// twins says that two names differ by case only.
func twins(a, b string) bool {
	return a != b && strings.EqualFold(a, b) && utf8.ValidString(a) && utf8.ValidString(b)
}

// twinLocked is a name in dir, of something else than mover, that differs from name by case
// only; "" if none is known. It is asked for each name that is made on a server that does not
// tell cases apart, and so must not look at all the names of the directory.
func (t *Tree) twinLocked(dir *Node, name string, mover *Node) string {
	l := dir.list
	if l == nil { // a directory of ours without a listing; the next lookup gets it one
		for other, k := range dir.eachKid() {
			if k != mover && twins(other, name) {
				return other
			}
		}
		return ""
	}
	if l.folds == nil || l.folds.names > 2*(l.ents.len()+dir.countKids())+leastFolds {
		l.folds = newFolds(l, dir, &t.foldSteps)
	}
	fresh := t.fresh(l.fetched) > 0
	for _, other := range l.folds.like(name) {
		k := dir.kid(other)
		_, listed := l.ents.get(other)
		if twins(other, name) && (k != nil && k != mover || k == nil && listed && fresh) {
			return other
		}
	}
	return ""
}

// folds are the names of a directory, live or listed, by what they have in common with their
// twins. It belongs to a listing, goes with it, and is made when it is first asked for: most
// servers tell cases apart. Names that are gone stay in it, and are passed over, until there
// are more of them than of others. Guarded by tree.mu.
type folds struct {
	by    map[string][]string // names by folded name
	names int
	steps *int // the tree's; see foldSteps
}

// leastFolds is a size that need not be made smaller.
const leastFolds = 64

func newFolds(l *listing, dir *Node, steps *int) *folds {
	f := &folds{by: make(map[string][]string, l.ents.len()), steps: steps}
	for name := range l.ents.each() {
		f.add(name)
	}
	for name := range dir.eachKid() {
		f.add(name)
	}
	return f
}

// add takes in a name, if anybody has asked for twins; f may be nil.
func (f *folds) add(name string) {
	if f == nil || !utf8.ValidString(name) {
		return
	}
	*f.steps++
	key := fold(name)
	if same := f.by[key]; !slices.Contains(same, name) {
		f.by[key] = append(same, name)
		f.names++
	}
}

// like are the names that may be twins of name, and itself.
func (f *folds) like(name string) []string {
	same := f.by[fold(name)]
	*f.steps += 1 + len(same)
	return same
}

// fold is the same for two names if strings.EqualFold is true of them.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				r -= 'a' - 'A'
			}
			return r // the least of its like, also where they are more, as of K and the sign for Kelvin
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}
