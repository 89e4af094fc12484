package cache

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"ftpfs/cache/remote"
)

// listing is one directory's complete content as the server told it at time
// fetched, with our own changes since. Guarded by tree.mu.
type listing struct {
	ents    entries
	fetched time.Time
	asked   int32  // how often a name was asked for while it was fresh, also one that is not there; up to walkedMost
	folds   *folds // of the names in ents and of live nodes; nil until it is asked for
}

// put enters a name, or what is known of it now.
func (l *listing) put(name string, e entry) {
	l.ents.put(name, e)
	l.folds.add(name)
}

// amongLocked is how many names n's directory is known to have; 0 if that is not known.
func (n *Node) amongLocked() int {
	if l := n.parent.list; l != nil {
		return l.ents.len()
	}
	return 0
}

// unlistedLocked says that no listing of late shows the name of n, which was born here, to
// be free on the server, or to be a plain file's.
func (t *Tree) unlistedLocked(n *Node) bool {
	l := n.parent.list
	if l == nil || t.fresh(l.fetched) <= 0 {
		return true
	}
	e, there := l.ents.get(n.name)
	return there && e.typ != remote.File
}

// listings is the LRU of all known listings, weighted by their entries. The node
// holds its listing, so that it moves with the directory. Guarded by tree.mu.
type listings struct {
	order   *lru.LRU[*Node, int] // weight at the last count
	entries int
	max     int
	dropped func(*Node) // the node's listing was evicted
}

// weight of a listing: an empty directory costs something too.
func (l *listing) weight() int { return l.ents.len() + 4 }

func newListings(max int, dropped func(*Node)) *listings {
	order, err := lru.NewLRU[*Node, int](1<<31-1, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &listings{order: order, max: max, dropped: dropped}
}

// touchLocked counts n's listing as just used, and at its present weight, and
// evicts the longest unused ones while there are too many entries.
func (ls *listings) touchLocked(n *Node) {
	old, _ := ls.order.Get(n)
	w := n.list.weight()
	if w != old {
		ls.order.Add(n, w)
		ls.entries += w - old
	}
	for ls.entries > ls.max && ls.order.Len() > 1 {
		victim, w, _ := ls.order.RemoveOldest()
		ls.entries -= w
		victim.list = nil
		ls.dropped(victim)
	}
}

// dropLocked forgets n's listing.
func (ls *listings) dropLocked(n *Node) {
	if w, ok := ls.order.Peek(n); ok {
		ls.order.Remove(n)
		ls.entries -= w
	}
	n.list = nil
}
