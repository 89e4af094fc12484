// Package overlay keeps times and modes that were set here and that the server cannot
// keep, each with the version of the server's file that it lies over, beside the spool and
// so over restarts. It owns one file, a log of what was set and dropped, and the bound of
// how much that is. Whether what the server has now is still that version, and what is
// shown then, its user decides.
//
// What Save has returned for survives a daemon that is killed. A power cut may lose what
// was saved last: then the server's time shows, and nothing worse. A line that was torn is
// left out.
//
// A Table has no lock of its own. Its user's guards all but the function that Save
// returns, which is called without it, by one goroutine at a time.
package overlay

import (
	"maps"
	"slices"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// Attr is what was set for one name.
type Attr struct {
	Dir  bool
	Over remote.Version // what the server has; MGrain 0 where its time is not known yet

	HasMTime bool
	MTime    int64 // Unix seconds

	HasMode bool
	Mode    uint16 // permission bits
	Under   int32  // the mode that the server tells, -1 if that is not known
}

// Table is all of it, by directory and name. Paths are mount paths.
type Table struct {
	path string // immutable: of the file
	max  int    // immutable: names

	dirs map[string]*dir
	n    int    // names
	used uint64 // counts changes
	log  journal
}

type dir struct {
	names map[string]packed
	used  uint64 // when a name was last set
}

// packed is an Attr in the space of half of one.
type packed struct {
	unique      string
	size        int64
	over, shown int64 // Unix seconds
	grain       time.Duration
	under       int32
	mode        uint16
	dir         bool
	hasMTime    bool
	hasMode     bool
}

func pack(a Attr) packed {
	p := packed{unique: a.Over.Unique, size: a.Over.Size, grain: a.Over.MGrain, shown: a.MTime, under: a.Under,
		mode: a.Mode, dir: a.Dir, hasMTime: a.HasMTime, hasMode: a.HasMode}
	if p.grain > 0 {
		p.over = a.Over.MTime.Unix()
	}
	return p
}

func (p packed) attr() Attr {
	a := Attr{Dir: p.dir, Over: remote.Version{Size: p.size, MGrain: p.grain, Unique: p.unique},
		HasMTime: p.hasMTime, MTime: p.shown, HasMode: p.hasMode, Mode: p.mode, Under: p.under}
	if p.grain > 0 {
		a.Over.MTime = time.Unix(p.over, 0)
	}
	return a
}

// New returns an empty table that is kept at path and holds at most max names.
func New(path string, max int) *Table {
	return &Table{path: path, max: max, dirs: map[string]*dir{}}
}

// Len is how many names have something.
func (t *Table) Len() int { return t.n }

// Get returns what was set for name in directory in.
func (t *Table) Get(in, name string) (Attr, bool) {
	d := t.dirs[in]
	if d == nil {
		return Attr{}, false
	}
	p, ok := d.names[name]
	return p.attr(), ok
}

// Names are those in directory in that have something.
func (t *Table) Names(in string) []string {
	d := t.dirs[in]
	if d == nil {
		return nil
	}
	return slices.Collect(maps.Keys(d.names))
}

// Set replaces what was set for name in directory in. An Attr with neither time nor mode
// drops it.
func (t *Table) Set(in, name string, a Attr) {
	if !a.HasMTime && !a.HasMode {
		t.Drop(in, name)
		return
	}
	if t.set(in, name, a) {
		t.log.add(setLine(join(in, name), a))
	}
}

func (t *Table) set(in, name string, a Attr) (changed bool) {
	d := t.dirs[in]
	if d == nil {
		d = &dir{names: map[string]packed{}}
		t.dirs[strings.Clone(in)] = d
	}
	t.used++
	d.used = t.used
	p := pack(a)
	was, there := d.names[name]
	if there && was == p {
		return false
	}
	if !there {
		t.n++
		name = strings.Clone(name)
	}
	p.unique = strings.Clone(p.unique)
	d.names[name] = p
	if t.n > t.max {
		t.shrink(in)
	}
	return true
}

// shrink forgets the directories in which nothing was set for longest, a tenth of all
// names, and never in.
func (t *Table) shrink(in string) {
	paths := slices.SortedFunc(maps.Keys(t.dirs), func(a, b string) int { return int(int64(t.dirs[a].used) - int64(t.dirs[b].used)) })
	for _, p := range paths {
		if t.n <= t.max-t.max/10 {
			return
		}
		if p != in {
			t.forget(p)
			t.log.add(forgetLine(p))
		}
	}
	for name := range t.dirs[in].names { // one directory of more than all
		if t.n <= t.max {
			return
		}
		delete(t.dirs[in].names, name)
		t.n--
		t.log.add(dropLine(join(in, name)))
	}
}

// Drop forgets name in directory in.
func (t *Table) Drop(in, name string) {
	if t.drop(in, name) {
		t.log.add(dropLine(join(in, name)))
	}
}

func (t *Table) drop(in, name string) bool {
	d := t.dirs[in]
	if d == nil {
		return false
	}
	if _, ok := d.names[name]; !ok {
		return false
	}
	delete(d.names, name)
	t.n--
	if len(d.names) == 0 {
		delete(t.dirs, in)
	}
	return true
}

// Cut forgets name in directory in, and all that is below it.
func (t *Table) Cut(in, name string) {
	if t.n > 0 && t.cut(in, name) {
		t.log.add(cutLine(join(in, name)))
	}
}

func (t *Table) cut(in, name string) (any bool) {
	any = t.drop(in, name)
	for _, q := range t.below(join(in, name)) {
		t.forget(q)
		any = true
	}
	return any
}

// forget drops the names in directory in, and not what is below them.
func (t *Table) forget(in string) {
	if d := t.dirs[in]; d != nil {
		t.n -= len(d.names)
		delete(t.dirs, in)
	}
}

// below are the directories at or below p in which something is set.
func (t *Table) below(p string) (all []string) {
	for q := range t.dirs {
		if q == p || strings.HasPrefix(q, p) && q[len(p)] == '/' {
			all = append(all, q)
		}
	}
	return all
}

// Move takes what is set for a name, and below it, to another name, where it replaces
// what was there.
func (t *Table) Move(from, name, to, newName string) {
	if t.n == 0 {
		return
	}
	t.move(from, name, to, newName)
	t.log.add(moveLine(join(from, name), join(to, newName)))
}

func (t *Table) move(from, name, to, newName string) {
	p, q := join(from, name), join(to, newName)
	if p == q {
		return
	}
	a, own := t.Get(from, name)
	held := map[string]*dir{}
	for _, old := range t.below(p) {
		held[q+old[len(p):]] = t.dirs[old]
		t.forget(old)
	}
	t.drop(from, name)
	t.cut(to, newName)
	for path, d := range held {
		t.n += len(d.names)
		t.dirs[path] = d
	}
	if own {
		t.set(to, newName, a)
	}
}

func join(in, name string) string {
	if in == "/" {
		return "/" + name
	}
	return in + "/" + name
}

// split is the inverse of join; "" for what is no path.
func split(p string) (in, name string) {
	i := strings.LastIndexByte(p, '/')
	switch {
	case i < 0 || i == len(p)-1:
		return "", ""
	case i == 0:
		return "/", p[1:]
	}
	return p[:i], p[i+1:]
}
