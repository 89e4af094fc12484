package cache

import (
	"slices"
	"strings"
)

// Programs that know the names already, such as rsync to a mount and git status, never list a
// directory: they ask for its names one by one, and go through all directories so, again and
// again. What is known has grown old until they come back. So where most names of a directory
// were asked for, the first question lists it again, and the directories beside it, of which
// the same is true, and in it, are listed ahead.
const (
	walkedLeast = 16   // questions
	walkedMost  = 1000 // entries: of more a listing takes too long for who wants only one this time
	besideMost  = 2000 // live nodes in a directory that is searched for walked ones
)

// walked says that most of the names were asked for one by one.
func (l *listing) walked() bool {
	n := l.ents.len()
	return n <= walkedMost && l.asked >= walkedLeast && int(l.asked) >= n/4
}

// walkedLocked says that dir was walked, and what is known of it has grown old.
func (t *Tree) walkedLocked(dir *Node) bool {
	return dir.list != nil && dir.list.walked() && t.fresh(dir.list.fetched) <= 0
}

// againLocked is called when somebody comes back to dir, which is walked: what was walked in it comes
// next, and then what is beside it.
func (a *ahead) againLocked(dir *Node) {
	limit := a.tree.store.Caps().Ahead
	if a.running >= limit {
		return
	}
	next := a.walkedInLocked(dir)
	if dir.parent != nil {
		beside := a.walkedInLocked(dir.parent)
		i, _ := slices.BinarySearchFunc(beside, dir.name, func(n *Node, name string) int { return strings.Compare(n.name, name) })
		next = slices.Concat(next, beside[i:], beside[:i])
	}
	for _, n := range next[:min(len(next), mostAhead)] {
		if a.running >= limit {
			return
		}
		if n != dir {
			a.beginLocked(nil, n)
		}
	}
}

// walkedInLocked are the directories in dir that are to be listed again, by name.
func (a *ahead) walkedInLocked(dir *Node) (walked []*Node) {
	if dir.kids == nil || len(dir.kids.all) > besideMost {
		return nil
	}
	for _, k := range dir.eachKid() {
		if k.fetch == nil && a.tree.walkedLocked(k) {
			walked = append(walked, k)
		}
	}
	slices.SortFunc(walked, func(x, y *Node) int { return strings.Compare(x.name, y.name) })
	return walked
}
