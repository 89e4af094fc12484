package cache

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// A world is what one user of the mount, and another client of the server, did below
// one directory, and so what each name may be. Where only this mount acts, each name
// has one value. A change by the other client leaves the old value possible until the
// mount must have noticed; an operation that failed leaves both that before and that
// after it; where both sides changed a thing, it is either's until all is settled.
type world struct {
	s       *storm
	top     string // "/" or the directory that is this world's alone
	places  map[string]*place
	loose   map[string]bool // below these nothing is expected before all is settled
	handles []*opened
	log     []string

	answered bool // the last checkFile or checkDir had an answer to compare
}

// place is a name. That which is absent and may be nothing else has none.
type place struct {
	dir  bool
	file *inode    // nil: a directory, or absent
	alts []value   // what it may be besides
	ends time.Time // of alts; zero: when all is settled
	torn bool      // both sides changed it, or an operation on it failed: it may also fail
}

// value of a name.
type value struct {
	kind byte // 'f', 'd', or '-' for absent
	data string
}

// inode is a file as this mount's programs know it, wherever its name moves.
type inode struct{ data []byte }

// opened is an open file.
type opened struct {
	h     *Handle
	path  string // when it was opened
	ino   *inode
	write bool
	lax   bool // the server's file is another, or may be
}

var absent = value{kind: '-'}

func (v value) String() string {
	if v.kind == 'f' {
		return fmt.Sprintf("%d bytes %.24q", len(v.data), v.data)
	}
	return map[byte]string{'-': "nothing", 'd': "a directory"}[v.kind]
}

func (p *place) value() value {
	switch {
	case p == nil:
		return absent
	case p.dir:
		return value{kind: 'd'}
	case p.file != nil:
		return value{'f', string(p.file.data)}
	}
	return absent
}

// also adds what the place may be besides, each value once: an edit of a name that is
// not certain adds all it may have been, which would double them each time.
func (p *place) also(vs ...value) {
	for _, v := range vs {
		if !slices.Contains(p.alts, v) {
			p.alts = append(p.alts, v)
		}
	}
}

// at is the place of p, nil if it is absent for certain.
func (w *world) at(p string) *place {
	pl := w.places[p]
	if pl != nil && pl.value() == absent && !pl.torn && len(w.others(pl)) == 0 {
		return nil
	}
	return pl
}

// others is what the place may be besides its value: what the other client changed is
// seen in time, but while the server may be down old knowledge counts.
func (w *world) others(pl *place) []value {
	if !pl.ends.IsZero() && !time.Now().Before(pl.ends) && !w.s.shaky.Load() {
		return nil
	}
	return pl.alts
}

// may is all that p may be.
func (w *world) may(p string) []value {
	pl := w.at(p)
	if pl == nil {
		return []value{absent}
	}
	return append([]value{pl.value()}, w.others(pl)...)
}

// certain says that p is one thing, and so are the directories above it.
func (w *world) certain(p string) bool {
	if pl := w.at(p); pl != nil && (pl.torn || len(w.others(pl)) > 0) || w.s.unsure(p) {
		return false
	}
	return !w.lax(p)
}

// lax says that nothing is expected of p: not even that its directory is there.
func (w *world) lax(p string) bool {
	for d := p; ; d = path.Dir(d) {
		if w.loose[d] {
			return true
		}
		if d == w.top || d == "/" {
			return false
		}
		if pl := w.at(d); d != p && (pl == nil || !pl.dir || pl.torn || len(w.others(pl)) > 0) {
			return true
		}
	}
}

// ours sets what a program of this mount made of p. Of a name that may be several
// things, the others stay possible: the mount may have built on any of them.
func (w *world) ours(p string, v value, ino *inode) {
	pl := w.at(p)
	switch {
	case pl == nil:
		pl = &place{}
		w.places[p] = pl
	case pl.torn || len(w.others(pl)) > 0:
		pl.also(pl.value())
		pl.torn, pl.ends = true, time.Time{}
	default:
		pl.alts, pl.ends = nil, time.Time{}
	}
	pl.dir, pl.file = v.kind == 'd', nil
	if v.kind == 'f' {
		if ino == nil {
			ino = &inode{}
		}
		ino.data = []byte(v.data)
		pl.file = ino
	}
	if v == absent && !pl.torn {
		delete(w.places, p)
	}
}

// maybe adds what p may be besides, after an operation that failed.
func (w *world) maybe(p string, vs ...value) {
	pl := w.at(p)
	if pl == nil {
		pl = &place{}
		w.places[p] = pl
	}
	pl.torn, pl.ends = true, time.Time{}
	pl.also(vs...)
	w.laxHandles(pl.file)
}

// theirs takes in that the other client made v of p. What is owed stays ours until it
// is published, and both must be kept.
func (w *world) theirs(p string, v value, owed bool) {
	pl := w.at(p)
	if pl == nil {
		pl = &place{}
		w.places[p] = pl
	}
	w.laxHandles(pl.file)
	if pl.torn || owed {
		pl.torn, pl.ends = true, time.Time{}
		pl.also(v, absent)
		return
	}
	pl.also(pl.value())
	pl.ends = time.Now().Add(w.s.m.cfg.DirCacheTime)
	pl.dir, pl.file = v.kind == 'd', nil
	if v.kind == 'f' {
		pl.file = &inode{data: []byte(v.data)}
	}
}

func (w *world) laxHandles(ino *inode) {
	for _, o := range w.handles {
		if ino != nil && o.ino == ino {
			o.lax = true
		}
	}
}

func (w *world) loosen(ps ...string) {
	for _, p := range ps {
		w.loose[p] = true
		for q, pl := range w.places {
			if q == p || strings.HasPrefix(q, p+"/") {
				w.laxHandles(pl.file)
			}
		}
	}
}

// moved gives all at or below from its new name.
func (w *world) moved(from, to string) {
	for q, pl := range w.places {
		if q == from || strings.HasPrefix(q, from+"/") {
			delete(w.places, q)
			w.places[to+q[len(from):]] = pl
		}
	}
	for q := range w.loose {
		if q == from || strings.HasPrefix(q, from+"/") {
			w.loose[to+q[len(from):]] = true
		}
	}
}

func (w *world) paths(dirs bool) []string {
	var all []string
	if dirs {
		all = append(all, w.top)
	}
	for p := range w.places {
		if pl := w.at(p); pl != nil && (pl.dir && dirs || pl.file != nil && !dirs) {
			all = append(all, p)
		}
	}
	sort.Strings(all)
	return all
}

// checkFile reads p, which must be one of the things it may be.
func (w *world) checkFile(p string) error {
	got, err := w.s.m.read(p)
	w.answered = err == nil
	may, lax, torn := w.may(p), w.lax(p), w.at(p) != nil && w.at(p).torn || w.s.unsure(p)
	if err != nil {
		switch {
		case lax:
			return nil
		case remote.Is(err, remote.NotExist):
			if slices.Contains(may, absent) {
				return nil
			}
		case torn || w.s.shaky.Load() || len(may) > 1:
			return nil
		}
		return fmt.Errorf("read %s: %v; it is %v", p, err, may)
	}
	v := value{'f', string(got)}
	if lax {
		return w.s.checkWhole("read "+p, v.data)
	}
	if slices.Contains(may, v) {
		return nil
	}
	if torn { // theirs or ours, or what either was before
		return w.s.checkWhole("read "+p, v.data)
	}
	return fmt.Errorf("read %s: got %v; want one of %v", p, v, may)
}

// checkDir lists d.
func (w *world) checkDir(d string) error {
	got, err := w.s.list(d)
	w.answered = err == nil
	if err != nil {
		if w.lax(d) || !w.certain(d) || w.s.shaky.Load() && !remote.Is(err, remote.NotExist) {
			return nil
		}
		return fmt.Errorf("list %s: %v", d, err)
	}
	if w.lax(d) || !w.certain(d) {
		return nil
	}
	for p := range w.places {
		if path.Dir(p) != d || w.lax(p) {
			continue
		}
		may := w.may(p)
		if in := slices.Contains(got, path.Base(p)); !in && !slices.Contains(may, absent) || in && !slices.ContainsFunc(may, func(v value) bool { return v != absent }) {
			return fmt.Errorf("list %s: got %q; %s is one of %v", d, got, path.Base(p), may)
		}
	}
	for _, name := range got {
		p := join(d, name)
		if w.at(p) == nil && !w.lax(p) && !strings.Contains(name, ".conflict-") {
			return fmt.Errorf("list %s: it has %q, which nobody made", d, name)
		}
	}
	return nil
}

// counted passes on what a check says, and counts it as an operation if it was one.
func (w *world) counted(err error) error {
	if w.answered {
		w.s.applied.Add(1)
	}
	return err
}
