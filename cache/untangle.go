package cache

import (
	"path"
	"strings"
	"time"

	"ftpfs/cache/spool"
)

// After a power cut, a record of what was sent or removed may be back, and after a disk
// refused a write, one may have the name that its file had before. Then the spool may owe a
// file and others below the same path. All of it is taken up: the newer keeps its path, and
// the older goes beside it, a directory with all that is owed in it.

// untangle gives the records, which are in the order in which they were put, paths that can
// all be at once. It returns the former paths of those that it changed, by their id.
func untangle(recs []spool.Record, now time.Time) map[uint64]string {
	tk := tangle{now: now, files: map[string]bool{}, dirs: map[string]bool{}, beside: map[string]string{}}
	was := map[uint64]string{}
	for i := len(recs) - 1; i >= 0; i-- {
		r := &recs[i]
		if r.Dir {
			continue
		}
		p := tk.place(r.Path)
		if p != r.Path {
			was[r.ID] = r.Path
			r.Path = p
		}
		tk.files[p] = true
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			tk.dirs[d] = true
		}
	}
	for i := range recs { // no upload lies below a file, and nothing is found there
		if r := &recs[i]; r.Temp != "" && tk.fileAbove(r.Temp) != "" {
			r.Temp, r.Resume = "", false
		}
	}
	return was
}

// tangle is what is placed already.
type tangle struct {
	now         time.Time
	files, dirs map[string]bool
	beside      map[string]string // directories whose name a file has: where they are
}

// place is where a file can be that should be at p.
func (tk *tangle) place(p string) string {
	for {
		above := tk.fileAbove(p)
		switch {
		case above != "":
			if tk.beside[above] == "" {
				tk.beside[above] = tk.free(above)
			}
			p = tk.beside[above] + p[len(above):]
		case tk.dirs[p]:
			p = tk.free(p)
		default:
			return p
		}
	}
}

// fileAbove is the file below which p would be; "" if there is none.
func (tk *tangle) fileAbove(p string) string {
	for i := 1; i < len(p); i++ {
		if p[i] == '/' && tk.files[p[:i]] {
			return p[:i]
		}
	}
	return ""
}

// free is a name beside p that nothing has yet.
func (tk *tangle) free(p string) string {
	for n := 0; ; n++ {
		dir, name := path.Split(p)
		to := dir + conflictName(name, tk.now, n)
		if n >= conflictTries { // more than there are endings
			to += strings.Repeat("-", n-conflictTries)
		}
		if !tk.files[to] && !tk.dirs[to] {
			return to
		}
	}
}

// putBeside takes in that f, which was just restored, has another path than on record: another
// file has that. If all of it is here it is a new file there, else a patch to what is not
// there: parked, once that is found out.
func (t *Tree) putBeside(f *File, was string) {
	f.rec.Lock()
	t.mu.Lock()
	f.newbornLocked()
	open, p, dir := f.savedOpen, f.node.pathLocked(), f.node.parent
	t.mu.Unlock()
	if err := f.save(open, false); err != nil { // the next start does it again
		t.cfg.Log.Warn("cannot record the new name of an owed file", "path", p, "err", err)
	}
	f.rec.Unlock()
	t.conflict(dir, NameTaken, was, p)
}
