package cache

import (
	"cmp"
	"slices"
	"time"

	"ftpfs/cache/remote"
)

// row is how somebody works through the files, or the directories, of one directory: in one
// of two orders, whichever is seen to be right. Guarded by tree.mu, as orders are.
type row struct {
	dir   *Node
	what  remote.EntryType // File: they are read; Dir: they are listed
	used  time.Time
	first string    // the one asked for while there are no orders
	last  string    // the one asked for last
	ways  [2]*order // byName and byIno; nil as long as nobody came again
}

const (
	byName = iota // as we list them: find, grep -r, rsync, tar
	byIno         // cp -r sorts by the inode number, as on a disk that is where the files lie
)

// mostByIno is in how many names an order by inode number is looked for: all are numbered
// and sorted for it.
const mostByIno = 20_000

// order is the names of a row in one order, and how far somebody came in it.
type order struct {
	names []string
	inos  []uint64 // of names, sorted, in the order by inode number; nil in that by name
	at    int      // the one asked for last; -1: none yet
	next  int      // the next to be fetched
	hits  int      // how often in a row it was the next one
}

// inOrder is the names of r's type in one of the orders.
func (r *row) inOrder(way int) *order {
	o := &order{at: -1, names: make([]string, 0, r.dir.list.ents.len())}
	for name, e := range r.dir.list.ents.each() {
		if e.typ == r.what {
			o.names = append(o.names, name)
		}
	}
	if way == byName {
		slices.Sort(o.names)
		return o
	}
	type numbered struct {
		ino  uint64
		name string
	}
	all := make([]numbered, len(o.names))
	for i, name := range o.names {
		all[i] = numbered{r.dir.tree.inoLocked(r.dir, name), name}
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.ino, b.ino) })
	o.inos = make([]uint64, len(all))
	for i, n := range all {
		o.names[i], o.inos[i] = n.name, n.ino
	}
	return o
}

// place is where name, of r, is in o, or would be.
func (o *order) place(r *row, name string) (int, bool) {
	if o.inos == nil {
		return slices.BinarySearch(o.names, name)
	}
	i, ok := slices.BinarySearch(o.inos, r.dir.tree.inoLocked(r.dir, name))
	return i, ok && o.names[i] == name
}

// startAt has o go on after name, of which nothing is concluded.
func (o *order) startAt(r *row, name string) {
	o.at, _ = o.place(r, name)
	o.next = o.at + 1
}

// asked takes in that name was asked for, and says whether it was the next one.
func (o *order) asked(r *row, name string) bool {
	o.next = max(o.next, o.at+1) // never what was asked for already
	i, ok := o.place(r, name)
	if !ok || i == o.at {
		return o.hits > 0
	}
	if i > o.at && i <= o.at+1+aheadSkips {
		o.hits++
	} else {
		o.hits, o.next = 0, i+1
	}
	o.at, o.next = i, max(o.next, i+1)
	return o.hits > 0
}

// window is how many names ahead of the one asked for last are fetched. That names follow
// each other by number may be chance once.
func (o *order) window() int {
	if o.hits == 0 || o.inos != nil && o.hits == 1 {
		return 0
	}
	return min(2<<min(o.hits, 8), mostAhead)
}

// begun says whether somebody came again.
func (r *row) begun() bool { return r.ways[byName] != nil }

// order that is right, as far as it was seen; nil if there is none.
func (r *row) order() *order {
	best := r.ways[byName]
	if o := r.ways[byIno]; o != nil && o.hits > best.hits {
		best = o
	}
	return best
}

// hits of the right order.
func (r *row) hits() int {
	if o := r.order(); o != nil {
		return o.hits
	}
	return 0
}

// lost is called when nothing more is to be fetched before it is seen to go on.
func (r *row) lost() {
	for _, o := range r.ways {
		if o != nil {
			o.hits = 0
		}
	}
}

// asked takes in that name was asked for after others were.
func (r *row) asked(name string) {
	right := r.ways[byName].asked(r, name)
	switch o := r.ways[byIno]; {
	case o != nil:
		o.asked(r, name)
	case !right && len(r.ways[byName].names) <= mostByIno:
		o = r.inOrder(byIno)
		o.startAt(r, r.last)
		o.asked(r, name)
		r.ways[byIno] = o
	}
	r.last = name
}

// like has r expect the order that was right in other, from the first name on.
func (r *row) like(other *row, hits int) {
	r.ways[byName] = r.inOrder(byName)
	way := byName
	if o := other.ways[byIno]; o != nil && o == other.order() && len(r.ways[byName].names) <= mostByIno {
		r.ways[byIno], way = r.inOrder(byIno), byIno
	}
	r.ways[way].hits = hits
}
