package cache

import (
	"slices"
	"time"

	"ftpfs/cache/remote"
)

// Programs that work through a tree, such as find, cp -r, grep -r and rsync, take the names
// of a directory one after the other, and each costs round trips. Who is seen to do so gets
// what comes next ahead of the asking: the listings of the next directories, or the next
// files, if they are small (cache/fetchahead.go). It is done with what is idle, as far as
// Caps().Ahead allows, and yields to whatever is asked for (remote.Ahead). What came so is
// as old as it is: it is answered no longer than anything else.
const (
	mostAhead  = 32              // names ahead of the one asked for last
	bytesAhead = 8 << 20         // and of files this much
	aheadSkips = 3               // names that may be left out and count as the next all the same
	aheadIdle  = 3 * time.Second // who has not asked for so long has gone
	mostRows   = 16              // watched at once
)

// ahead watches who works through what. Guarded by tree.mu.
type ahead struct {
	tree    *Tree
	rows    []*row // the one used last is last
	running int    // transfers and listings under way
	last    *Node  // the directory listed last
	lastAt  time.Time
}

// rowLocked is the row of dir, made if there is none.
func (a *ahead) rowLocked(dir *Node, what remote.EntryType) *row {
	i := slices.IndexFunc(a.rows, func(r *row) bool { return r.dir == dir && r.what == what })
	r := &row{dir: dir, what: what}
	if i >= 0 {
		if old := a.rows[i]; time.Since(old.used) < aheadIdle {
			r = old
		}
		a.rows = slices.Delete(a.rows, i, i+1)
	} else if len(a.rows) >= mostRows {
		a.rows = slices.Delete(a.rows, 0, 1)
	}
	r.used = time.Now()
	a.rows = append(a.rows, r)
	return r
}

// seesLocked says whether there is anything to see: a tree that may not fetch ahead, or whose
// directory is not listed, is not watched.
func (a *ahead) seesLocked(dir *Node) bool {
	return dir != nil && dir.list != nil && !dir.removed && a.tree.fresh(dir.list.fetched) > 0
}

// askedLocked takes in that name in dir was read, or listed.
func (a *ahead) askedLocked(dir *Node, name string, what remote.EntryType) *row {
	if !a.seesLocked(dir) {
		return nil
	}
	r := a.rowLocked(dir, what)
	switch {
	case a.tree.cfg.eager:
		r.ways[byName] = r.inOrder(byName)
		r.ways[byName].startAt(r, name)
		r.ways[byName].hits = 2
	case r.begun():
		r.asked(name)
	case r.first == "" || r.first == name: // the names are sorted for who comes again
		r.first = name
		return r
	default:
		r.ways[byName], r.last = r.inOrder(byName), r.first
		r.ways[byName].startAt(r, r.first)
		r.asked(name)
	}
	a.pumpLocked()
	return r
}

// expectLocked has the names of dir fetched from the first on: somebody who went through
// the names of another as in like goes on here.
func (a *ahead) expectLocked(dir *Node, what remote.EntryType, like *row, hits int) {
	if !a.seesLocked(dir) {
		return
	}
	if r := a.rowLocked(dir, what); !r.begun() {
		r.like(like, hits)
	}
}

// listedLocked takes in that dir is listed for somebody: when it is asked for, and again when it is there, which
// changes nothing but that its own names are known.
func (a *ahead) listedLocked(dir *Node) {
	parent := dir.parent
	down := a.last == parent && parent != nil && time.Since(a.lastAt) < aheadIdle
	a.last, a.lastAt = dir, time.Now()
	r := a.askedLocked(parent, dir.name, remote.Dir)
	if r == nil {
		return
	}
	if down && !r.begun() { // from a directory into the first one of it: who looks around does that, too
		r.ways[byName], r.last = r.inOrder(byName), dir.name
		r.ways[byName].startAt(r, dir.name)
		r.ways[byName].hits = 1
	}
	if r.hits() >= 2 {
		a.expectLocked(dir, remote.Dir, r, 1)
		if files := a.readLikeLocked(parent, dir); files != nil {
			a.expectLocked(dir, remote.File, files, 2)
		}
	}
	a.pumpLocked()
}

// readLikeLocked is the row of another directory in parent, of which the files are being read
// one after the other.
func (a *ahead) readLikeLocked(parent, dir *Node) *row {
	i := slices.IndexFunc(a.rows, func(r *row) bool {
		return r.what == remote.File && r.dir != dir && r.dir.parent == parent && r.hits() >= 2 && time.Since(r.used) < aheadIdle
	})
	if i < 0 {
		return nil
	}
	return a.rows[i]
}

// pumpLocked starts as much as may run. It asks the Store how much that is only if there is
// something to start: most opens are of nobody who works through a tree.
func (a *ahead) pumpLocked() {
	limit := -1
	for i := len(a.rows) - 1; i >= 0; i-- {
		r := a.rows[i]
		o := r.order()
		for a.moreLocked(r, o) {
			if limit < 0 {
				limit = a.tree.store.Caps().Ahead
			}
			if a.running >= limit {
				return
			}
			name := o.names[o.next]
			o.next++
			if r.what == remote.Dir {
				a.listLocked(r, name)
			} else {
				a.fetchLocked(r, name)
			}
		}
	}
}

// moreLocked says whether the next name of r in the order o is to be fetched now.
func (a *ahead) moreLocked(r *row, o *order) bool {
	if o == nil || o.hits == 0 || o.next >= len(o.names) || o.next > o.at+o.window() || !a.seesLocked(r.dir) || time.Since(r.used) > aheadIdle {
		return false
	}
	if r.what == remote.Dir {
		return true
	}
	total := int64(0)
	for _, name := range o.names[o.at+1 : o.next] {
		if e, _ := r.dir.list.ents.get(name); e.size > 0 && e.size <= wholeBelow {
			total += e.size
		}
	}
	return total < bytesAhead
}
