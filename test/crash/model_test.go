package crash

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tree is what one worker's directory may hold: files, and directories as nil.
type tree map[string]*file

// file is one content: data, with any byte of the patches in place of it, each on its
// own, and any length up to their end. An empty list of patches leaves one content.
// It is not changed once it is in a tree.
type file struct {
	data  []byte
	maybe []patch
}

type patch struct {
	off int64
	b   []byte
}

func (f *file) with(off int64, b []byte) *file {
	data := make([]byte, max(int64(len(f.data)), off+int64(len(b))))
	copy(data, f.data)
	copy(data[off:], b)
	return &file{data: data, maybe: f.maybe}
}

func (f *file) cut(size int64) *file {
	data := make([]byte, size)
	copy(data, f.data)
	return &file{data: data, maybe: f.maybe}
}

// differs says how got is none of the contents that f may have; "" if it is one.
func (f *file) differs(got []byte) string {
	size := int64(len(f.data))
	most := size
	for _, p := range f.maybe {
		most = max(most, p.off+int64(len(p.b)))
	}
	if n := int64(len(got)); n < size || n > most {
		return fmt.Sprintf("has %d bytes, want %d to %d", n, size, most)
	}
	for i, b := range got {
		at := int64(i)
		ok := at < size && f.data[i] == b || at >= size && b == 0
		for _, p := range f.maybe {
			ok = ok || at >= p.off && at < p.off+int64(len(p.b)) && p.b[at-p.off] == b
		}
		if !ok {
			return fmt.Sprintf("differs at byte %d of %d: got %.30q, want %.30q", i, len(got), got[i:], f.data[min(at, size):])
		}
	}
	return ""
}

// after is t once o has been done.
func (t tree) after(o op) tree {
	t = maps.Clone(t)
	switch o.Kind {
	case "create", "rewrite":
		t[o.Path] = &file{}
	case "write", "mmap":
		t[o.Path] = t[o.Path].with(o.Off, o.data())
	case "truncate":
		t[o.Path] = t[o.Path].cut(o.Len)
	case "rename":
		delete(t, o.To)
		move(t, o.Path, o.To)
	case "unlink", "rmdir":
		delete(t, o.Path)
	case "mkdir":
		t[o.Path] = nil
	}
	return t
}

// life is what a worker's journal allows to be found after a kill.
type life struct {
	trees  []tree // one for each way in which what was in flight may have ended
	ops    []op
	open   map[string]bool // these may be interrupted
	kept   map[string]bool // and these may be so since an earlier kill
	closed [][]byte        // contents that may have been published
	over   bool            // a rename that may not have ended would have replaced a file
	moving bool            // what is to be found may depend on what a rename on the server came to
	acked  int
}

// replay follows ops from base, of which some files are interrupted.
func replay(base tree, interrupted map[string]bool, ops []op) life {
	l := life{ops: ops, trees: []tree{base}, open: map[string]bool{}, kept: map[string]bool{}}
	maps.Copy(l.kept, interrupted)
	for _, o := range ops {
		switch {
		case o.Done:
			l.acked++
			for i := range l.trees {
				l.trees[i] = l.trees[i].after(o)
			}
		case o.Kind == "write", o.Kind == "mmap":
			for i, t := range l.trees {
				t = maps.Clone(t)
				was := t[o.Path]
				t[o.Path] = &file{was.data, append(slices.Clone(was.maybe), patch{o.Off, o.data()})}
				l.trees[i] = t
			}
		case o.Kind != "open" && o.Kind != "close" && o.Kind != "fsync":
			for _, t := range slices.Clone(l.trees) {
				if o.Kind == "rename" {
					_, there := t[o.To]
					l.over = l.over || there
				}
				l.trees = append(l.trees, t.after(o))
			}
			l.moving = true
		}
		l.follow(o)
	}
	return l
}

// follow keeps track of which files are open, and of what their closing let out.
func (l *life) follow(o op) {
	publishable := func() {
		for _, t := range l.trees {
			if f := t[o.Path]; f != nil {
				l.closed = append(l.closed, f.data)
			}
		}
	}
	switch o.Kind {
	case "create", "open", "rewrite":
		l.open[o.Path] = true
	case "close":
		if o.Done {
			delete(l.open, o.Path)
		}
		publishable()
	case "truncate":
		if !l.open[o.Path] {
			publishable()
			if !o.Done {
				l.open[o.Path] = true
			}
		}
	case "rename":
		for p := range maps.Clone(l.kept) {
			if below(p, o.Path) {
				l.kept[o.To+strings.TrimPrefix(p, o.Path)] = true
			}
		}
		if o.Done {
			delete(l.open, o.To)
			move(l.open, o.Path, o.To)
			return
		}
		for p := range maps.Clone(l.open) {
			if below(p, o.Path) {
				l.open[o.To+strings.TrimPrefix(p, o.Path)] = true
			}
		}
	}
}

// found returns the one of l's trees that got is, with the contents it has; or what
// differs from the nearest.
func (l *life) found(got map[string][]byte) (tree, string) {
	var nearest []string
	for i, t := range l.trees {
		diff := t.differs(got)
		if len(diff) == 0 {
			return treeOf(got), ""
		}
		if i == 0 || len(diff) < len(nearest) {
			nearest = diff
		}
	}
	return nil, strings.Join(nearest[:min(len(nearest), 12)], "\n")
}

func (t tree) differs(got map[string][]byte) []string {
	var diff []string
	for _, p := range slices.Sorted(maps.Keys(t)) {
		b, there := got[p]
		switch f := t[p]; {
		case !there:
			diff = append(diff, p+": LOST")
		case f == nil && b != nil || f != nil && b == nil:
			diff = append(diff, p+": a file where a directory should be, or the reverse")
		case f != nil:
			if why := f.differs(b); why != "" {
				diff = append(diff, p+": "+why)
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := t[p]; !ok {
			diff = append(diff, p+": nobody made it, or it had been removed")
		}
	}
	return diff
}

func treeOf(got map[string][]byte) tree {
	t := tree{}
	for p, b := range got {
		if t[p] = nil; b != nil {
			t[p] = &file{data: b}
		}
	}
	return t
}

func (t tree) contents() (all [][]byte) {
	for _, f := range t {
		if f != nil {
			all = append(all, f.data)
		}
	}
	return all
}

// tail says whether got may be seen while what was appended to one of the versions, in
// place, is on its way: longer than one of them, and a part of another.
func tail(got []byte, versions [][]byte) bool {
	shorter := slices.ContainsFunc(versions, func(v []byte) bool {
		return len(v) > 0 && len(v) < len(got) && bytes.HasPrefix(got, v)
	})
	return shorter && slices.ContainsFunc(versions, func(v []byte) bool { return bytes.HasPrefix(v, got) })
}
