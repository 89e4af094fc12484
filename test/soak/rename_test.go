package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// halves is a rename of a file, or of what it lay in, that failed: it may have happened
// on the server all the same, but not by half. As long as nothing else was done to
// either name, p holds data and q what it held before, or q holds data and p is gone.
type halves struct {
	p, q, data string
	was        *string // what q held; nil if nothing
}

func (w *world) rename() {
	p, q := pick(w, w.files), filepath.Join(pick(w, w.dirs), fmt.Sprintf("f%d", w.r.IntN(12)))
	if w.r.IntN(4) == 0 {
		p, q = pick(w, w.dirs), filepath.Join(pick(w, w.dirs), fmt.Sprintf("d%d", w.r.IntN(4)))
	}
	if p == "" || p == "ours" || p == q || w.dirs[q] || within(q, p) || w.isLoose(p, q) {
		return
	}
	w.move(p, q)
}

// move renames p, a file or a directory, to q, of which both are certain.
func (w *world) move(p, q string) {
	w.t.Helper()
	w.note("rename %s %s", p, q)
	w.touched(p)
	w.touched(q)
	var open []halves
	for k, may := range w.files {
		if !within(k, p) || w.isLoose(k) {
			continue
		}
		h := halves{p: k, q: q + k[len(p):], data: may[0]}
		if old := w.files[h.q]; len(old) > 0 {
			h.was = &old[0]
		}
		open = append(open, h)
	}
	if err := os.Rename(w.m.Path(p), w.m.Path(q)); err != nil {
		w.failed("rename "+p+" "+q, err, p, q)
		w.open = append(w.open, open...)
		if !w.dirs[p] {
			w.files[q] = append(w.files[q], w.files[p]...)
		}
		return
	}
	w.did.ops++
	if !w.dirs[p] {
		w.files[q] = w.files[p]
		delete(w.files, p)
		return
	}
	carry(w.files, p, q)
	carry(w.dirs, p, q)
	carry(w.loose, p, q) // what is not certain does not become so on the way
}

// carry gives what m says of p, and of what lies below it, to q.
func carry[V any](m map[string]V, p, q string) {
	for k := range m {
		if !within(k, p) {
			continue
		}
		v := m[k]
		delete(m, k)
		m[q+k[len(p):]] = v
	}
}

func within(name, dir string) bool { return strings.HasPrefix(name+"/", dir+"/") }

// touched takes in that something else is done to a name, or to a directory: the renames
// below it that failed are no longer all that happened there.
func (w *world) touched(name string) {
	w.open = slices.DeleteFunc(w.open, func(h halves) bool { return within(h.p, name) || within(h.q, name) })
}

// check says what is wrong about the rename, given the contents on the server's disk.
func (h halves) check(disk map[string]string) error {
	p, isP := disk[h.p]
	q, isQ := disk[h.q]
	switch {
	case isP && p == h.data && isQ == (h.was != nil) && (!isQ || q == *h.was):
		return nil
	case !isP && isQ && q == h.data:
		return nil
	}
	return fmt.Errorf("the rename of %s (%d bytes %.30q) to %s failed, and was done by half: "+
		"the first is %d bytes %.30q on the server (there: %v), the second %d bytes %.30q (there: %v)",
		h.p, len(h.data), h.data, h.q, len(p), p, isP, len(q), q, isQ)
}
