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

// row is how somebody works through the files, or the directories, of one directory.
type row struct {
	dir   *Node
	what  remote.EntryType // File: they are read; Dir: they are listed
	used  time.Time
	first string   // the one asked for while names is nil
	names []string // of that type, sorted
	at    int      // the one asked for last; -1: none yet
	next  int      // the next to be fetched
	hits  int      // how often in a row it was the next one
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

// listNames has the names of r's type in r.names.
func (r *row) listNames() {
	r.names = make([]string, 0, len(r.dir.list.ents))
	for name, e := range r.dir.list.ents {
		if e.typ == r.what {
			r.names = append(r.names, name)
		}
	}
	slices.Sort(r.names)
}

// askedLocked takes in that name in dir was read, or listed.
func (a *ahead) askedLocked(dir *Node, name string, what remote.EntryType) *row {
	if !a.seesLocked(dir) {
		return nil
	}
	r := a.rowLocked(dir, what)
	eager := a.tree.cfg.eager
	if r.names == nil || eager {
		if !eager && (r.first == "" || r.first == name) { // the names are sorted for who comes again
			r.first = name
			return r
		}
		r.listNames()
		r.at, _ = slices.BinarySearch(r.names, r.first)
	}
	r.next = max(r.next, r.at+1) // never what was asked for already
	i, ok := slices.BinarySearch(r.names, name)
	switch {
	case eager:
		r.hits, r.next = 2, i+1
	case !ok || i == r.at:
		return r
	case i > r.at && i <= r.at+1+aheadSkips:
		r.hits++
	default:
		r.hits, r.next = 0, i+1
	}
	r.at, r.next = i, max(r.next, i+1)
	a.pumpLocked()
	return r
}

// expectLocked has the names of dir fetched from the first on: somebody who went through
// the names of another like it goes on here.
func (a *ahead) expectLocked(dir *Node, what remote.EntryType, hits int) {
	if !a.seesLocked(dir) {
		return
	}
	if r := a.rowLocked(dir, what); r.names == nil {
		r.listNames()
		r.at, r.next, r.hits = -1, 0, hits
	}
}

// listedLocked takes in that dir was listed for somebody.
func (a *ahead) listedLocked(dir *Node) {
	parent := dir.parent
	down := a.last == parent && parent != nil && time.Since(a.lastAt) < aheadIdle
	a.last, a.lastAt = dir, time.Now()
	r := a.askedLocked(parent, dir.name, remote.Dir)
	if r == nil {
		return
	}
	if down && r.names == nil { // from a directory into the first one of it: who looks around does that, too
		r.listNames()
		r.at, _ = slices.BinarySearch(r.names, dir.name)
		r.next, r.hits = r.at+1, 1
	}
	if r.hits >= 2 {
		a.expectLocked(dir, remote.Dir, 1)
		if a.readsLikeLocked(parent, dir) {
			a.expectLocked(dir, remote.File, 2)
		}
	}
	a.pumpLocked()
}

// readsLikeLocked says that the files of another directory in parent are being read one after
// the other.
func (a *ahead) readsLikeLocked(parent, dir *Node) bool {
	return slices.ContainsFunc(a.rows, func(r *row) bool {
		return r.what == remote.File && r.dir != dir && r.dir.parent == parent && r.hits >= 2 && time.Since(r.used) < aheadIdle
	})
}

// window is how many names ahead of the one asked for last are fetched.
func (r *row) window() int {
	if r.hits == 0 {
		return 0
	}
	return min(2<<min(r.hits, 8), mostAhead)
}

// pumpLocked starts as much as may run. It asks the Store how much that is only if there is
// something to start: most opens are of nobody who works through a tree.
func (a *ahead) pumpLocked() {
	limit := -1
	for i := len(a.rows) - 1; i >= 0; i-- {
		r := a.rows[i]
		for a.moreLocked(r) {
			if limit < 0 {
				limit = a.tree.store.Caps().Ahead
			}
			if a.running >= limit {
				return
			}
			name := r.names[r.next]
			r.next++
			if r.what == remote.Dir {
				a.listLocked(r, name)
			} else {
				a.fetchLocked(r, name)
			}
		}
	}
}

// moreLocked says whether r's next name is to be fetched now.
func (a *ahead) moreLocked(r *row) bool {
	if r.hits == 0 || r.next >= len(r.names) || r.next > r.at+r.window() || !a.seesLocked(r.dir) || time.Since(r.used) > aheadIdle {
		return false
	}
	if r.what == remote.Dir {
		return true
	}
	total := int64(0)
	for _, name := range r.names[r.at+1 : r.next] {
		if e := r.dir.list.ents[name]; e.size > 0 && e.size <= wholeBelow {
			total += e.size
		}
	}
	return total < bytesAhead
}
