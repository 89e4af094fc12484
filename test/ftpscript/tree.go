package ftpscript

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tree is the server's file system, in memory. Its methods take absolute, clean
// paths and may be called at any time, as another client of the server would.
type Tree struct {
	fold bool // names that differ only by case are one; immutable

	mu    sync.Mutex       // guards what follows
	nodes map[string]*node // by key
}

type node struct {
	path  string // as it is spelled
	dir   bool
	data  []byte
	mtime time.Time // whole seconds, UTC
	mode  uint32
}

// File is what Tree tells about a name.
type File struct {
	Path  string
	Dir   bool
	Size  int64
	MTime time.Time
	Mode  uint32
}

func newTree(fold bool) *Tree {
	t := &Tree{fold: fold, nodes: map[string]*node{}}
	t.nodes["/"] = &node{path: "/", dir: true, mtime: t.now(), mode: 0o755}
	return t
}

// key is what a path is known by.
func (t *Tree) key(p string) string {
	if t.fold {
		return strings.ToLower(p)
	}
	return p
}

func (t *Tree) at(p string) *node { return t.nodes[t.key(p)] }

// put makes n known by p; its parent is there, and keeps its spelling.
func (t *Tree) put(p string, n *node) {
	n.path = p
	if parent := t.at(path.Dir(p)); parent != nil {
		n.path = path.Join(parent.path, path.Base(p))
	}
	t.nodes[t.key(p)] = n
}

// longest is how many bytes a name may have.
const longest = 255

// now is the time by a clock of whole seconds.
func (t *Tree) now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// Put creates or replaces a file, with the directories above it.
func (t *Tree) Put(p string, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mkdirsLocked(path.Dir(p))
	t.put(p, &node{data: slices.Clone(data), mtime: t.now(), mode: 0o644})
}

// MkdirAll creates a directory and those above it.
func (t *Tree) MkdirAll(p string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mkdirsLocked(p)
}

func (t *Tree) mkdirsLocked(p string) {
	if t.at(p) == nil {
		t.mkdirsLocked(path.Dir(p))
		t.put(p, &node{dir: true, mtime: t.now(), mode: 0o755})
	}
}

// SetTime sets the time of what is at p, in whole seconds.
func (t *Tree) SetTime(p string, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.at(p)
	if n != nil {
		n.mtime = at.UTC().Truncate(time.Second)
	}
	return n != nil
}

// Get returns a file's content; ok is false when there is no such file.
func (t *Tree) Get(p string) (data []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.at(p)
	if n == nil || n.dir {
		return nil, false
	}
	return slices.Clone(n.data), true
}

// Stat tells of what is at p.
func (t *Tree) Stat(p string) (File, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.at(p)
	if n == nil {
		return File{}, false
	}
	return n.file(), true
}

// Remove takes away what is at p and below it.
func (t *Tree) Remove(p string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p = t.key(p)
	for q := range t.nodes {
		if q == p || strings.HasPrefix(q, p+"/") {
			delete(t.nodes, q)
		}
	}
}

// All returns everything but the root, sorted by path.
func (t *Tree) All() []File {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []File
	for p, n := range t.nodes {
		if p != "/" {
			all = append(all, n.file())
		}
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return all
}

func (n *node) file() File {
	return File{Path: n.path, Dir: n.dir, Size: int64(len(n.data)), MTime: n.mtime, Mode: n.mode}
}

// list returns the entries of a directory, sorted; ok is false when it is none.
func (t *Tree) list(dir string) (entries []File, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.at(dir); n == nil || !n.dir {
		return nil, false
	}
	dir = t.key(dir)
	for p, n := range t.nodes {
		if p != "/" && path.Dir(p) == dir {
			entries = append(entries, n.file())
		}
	}
	slices.SortFunc(entries, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return entries, true
}

// create opens p for writing at offset, cutting it there; it fails as a server
// fails, with a reply.
func (t *Tree) create(p string, offset int64) (reply string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.at(p)
	switch parent := t.at(path.Dir(p)); {
	case parent == nil || !parent.dir:
		return "553 No such directory."
	case n != nil && n.dir:
		return "550 Is a directory."
	case len(path.Base(p)) > longest:
		return "553 File name too long."
	case n == nil:
		n = &node{mode: 0o644}
		t.put(p, n)
	}
	if offset > int64(len(n.data)) {
		n.data = append(n.data, make([]byte, offset-int64(len(n.data)))...)
	}
	if offset == 0 {
		n.data = nil
	}
	n.mtime = t.now()
	return ""
}

// writeAt stores data as it comes in; a file removed meanwhile takes none. It
// stores what fits and returns false once all files together have space bytes; 0 is
// no limit.
func (t *Tree) writeAt(p string, data []byte, offset, space int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.at(p)
	if n == nil || n.dir {
		return true
	}
	fits := true
	if space > 0 {
		left := space
		for _, other := range t.nodes {
			left -= int64(len(other.data))
		}
		if more := offset + int64(len(data)) - int64(len(n.data)); more > left {
			data, fits = data[:max(0, int64(len(data))-(more-left))], false
		}
	}
	if end := offset + int64(len(data)); end > int64(len(n.data)) {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	copy(n.data[offset:], data)
	n.mtime = t.now()
	return fits
}

func (t *Tree) delete(p string) (reply string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n := t.at(p); {
	case n == nil:
		return "550 No such file."
	case n.dir:
		return "550 Is a directory."
	}
	delete(t.nodes, t.key(p))
	return "250 Deleted."
}

func (t *Tree) mkdir(p string) (reply string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at(p) != nil {
		return "550 File exists."
	}
	if parent := t.at(path.Dir(p)); parent == nil || !parent.dir {
		return "550 No such directory."
	}
	if len(path.Base(p)) > longest {
		return "550 File name too long."
	}
	t.put(p, &node{dir: true, mtime: t.now(), mode: 0o755})
	return fmt.Sprintf("257 \"%s\" created.", strings.ReplaceAll(p, `"`, `""`))
}

func (t *Tree) rmdir(p string) (reply string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n := t.at(p); {
	case n == nil:
		return "550 No such directory."
	case !n.dir:
		return "550 Not a directory."
	case p == "/":
		return "550 Busy."
	}
	p = t.key(p)
	for q := range t.nodes {
		if strings.HasPrefix(q, p+"/") {
			return "550 Directory not empty."
		}
	}
	delete(t.nodes, p)
	return "250 Removed."
}

func (t *Tree) rename(from, to string, over bool) (reply string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, target := t.at(from), t.at(to)
	parent := t.at(path.Dir(to))
	from, to, spelled := t.key(from), t.key(to), to
	switch {
	case n == nil:
		return "550 No such file."
	case parent == nil || !parent.dir:
		return "553 No such directory."
	case len(path.Base(spelled)) > longest:
		return "553 File name too long."
	case target != nil && !over && !(target == n && n.path != spelled): // a case may change
		return "553 File exists."
	case target != nil && target != n && target.dir != n.dir:
		return "553 Not the same kind."
	case strings.HasPrefix(to, from+"/"):
		return "553 Invalid argument."
	}
	moved := map[string]*node{}
	for q, m := range t.nodes {
		if strings.HasPrefix(q, to+"/") && from != to {
			return "553 Directory not empty."
		}
		if q == from || strings.HasPrefix(q, from+"/") {
			moved[q] = m
		}
	}
	for q := range moved {
		delete(t.nodes, q)
	}
	old := len(n.path)
	spelled = path.Join(parent.path, path.Base(spelled))
	for q, m := range moved {
		m.path = spelled + m.path[old:]
		t.nodes[to+strings.TrimPrefix(q, from)] = m
	}
	return "250 Renamed."
}

// Chmod sets the mode of what is at p.
func (t *Tree) Chmod(p string, mode uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.at(p)
	if n != nil {
		n.mode = mode
	}
	return n != nil
}
