package cache

import (
	"slices"
	"strings"

	"ftpfs/cache/remote"
)

// Programs that know the names already, such as rsync to a mount and git status, never list a
// directory: they ask for its names one by one, and go through all directories so, again and
// again. What is known has grown old until they come back. So where most names of a directory
// were asked for, the first question lists it again, and the directories beside it, of which
// the same is true, are listed ahead.
const (
	walkedLeast = 16   // questions
	walkedMost  = 1000 // entries: of more a listing takes too long for who wants only one this time
)

// walked says that most of the names were asked for one by one.
func (l *listing) walked() bool {
	n := l.ents.len()
	return n <= walkedMost && l.asked >= walkedLeast && int(l.asked) >= n/4
}

// walkedLocked says that n's names will all be asked for again.
func (n *Node) walkedLocked() bool { return n.list != nil && n.list.walked() }

// againLocked is called when somebody comes back to dir, which is walked.
func (a *ahead) againLocked(dir *Node) {
	if dir.parent == nil {
		return
	}
	var beside []*Node
	for _, k := range dir.parent.eachKid() {
		if k != dir && k.typ == remote.Dir && k.walkedLocked() && k.fetch == nil && a.tree.fresh(k.list.fetched) <= 0 {
			beside = append(beside, k)
		}
	}
	if len(beside) == 0 {
		return
	}
	// In the order in which they come, from dir on.
	slices.SortFunc(beside, func(x, y *Node) int {
		if later := x.name > dir.name; later != (y.name > dir.name) {
			if later {
				return -1
			}
			return 1
		}
		return strings.Compare(x.name, y.name)
	})
	limit := a.tree.store.Caps().Ahead
	for _, k := range beside[:min(len(beside), mostAhead)] {
		if a.running >= limit {
			return
		}
		a.beginLocked(nil, k)
	}
}
