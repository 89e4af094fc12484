package cache

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"ftpfs/cache/remote"
)

// Node is one inode. It lives while the kernel or a handle refers to it, while it
// has live children or a listing, and while something is held of or owed to it.
type Node struct {
	tree *Tree            // immutable
	ino  uint64           // immutable
	typ  remote.EntryType // immutable: another type under the name is another node

	// guarded by tree.mu; in an order that leaves no gaps, as there may be a million nodes
	removed bool // no longer under its name
	strayed bool // has a name that the kernel was not told yet: see keptBeside
	asked   bool // of a directory: a single name was asked since the last listing
	parent  *Node
	name    string
	label   atomic.Pointer[string] // name, for messages made without the lock; set under it
	seen    uint64                 // id of the content that the kernel has pages of
	kids    *kids                  // live children; nil: none
	refs    int32                  // of the kernel and of calls under way
	owed    int32                  // of a directory: owed files directly inside
	ent     entry                  // what the server last said, with what we changed since
	at      time.Time              // when it said so (our own publications do not count)
	file    *File                  // regular files that are or were open or are owed

	// of directories
	list   *listing
	fetch  *fetch     // listing under way
	owesAt *time.Time // time to set once nothing is owed inside; see setattr.go
	owesID uint64     // of its record in the spool, if owesAt
}

// Ino is the inode number: the same while the mount lives, wherever the file moves.
func (n *Node) Ino() uint64 { return n.ino }

// Type never changes.
func (n *Node) Type() remote.EntryType { return n.typ }

// pathLocked is the mount path. Of a removed node it is the last one it had.
func (n *Node) pathLocked() string {
	if n.parent == nil {
		return "/"
	}
	var parts []string
	for ; n.parent != nil; n = n.parent {
		parts = append(parts, n.name)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(parts[i])
	}
	return b.String()
}

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// within says whether n is dir or below it.
func (n *Node) withinLocked(dir *Node) bool {
	for ; n != nil; n = n.parent {
		if n == dir {
			return true
		}
	}
	return false
}

// owedLocked says whether the local state, not the server's, is the truth of the file.
func (n *Node) owedLocked() bool { return n.file != nil && n.file.owed }

// anyOwedLocked says whether something is owed at or below n.
func (n *Node) anyOwedLocked() bool {
	if n.owedLocked() || n.owesAt != nil || n.owed > 0 {
		return true
	}
	for _, k := range n.eachKid() {
		if k.anyOwedLocked() {
			return true
		}
	}
	return false
}

// eachOwedLocked calls f for the owed files at or below n.
func (n *Node) eachOwedLocked(f func(*File)) {
	if n.owedLocked() {
		f(n.file)
	}
	for _, k := range n.eachKid() {
		k.eachOwedLocked(f)
	}
}

// inodes hands out inode numbers. The number of a name nobody renamed is a hash of
// its directory's number and its name, so that nothing need be remembered for it
// and it stays the same when the node is forgotten; only others are kept.
type inodes struct {
	seed  maphash.Seed
	next  uint64
	moved map[uint64]uint64 // by the number the place would have: the one it has
	taken map[uint64]int    // numbers in moved's values
}

const freshInodes = 1 << 63

func newInodes() inodes {
	return inodes{seed: maphash.MakeSeed(), next: freshInodes, moved: map[uint64]uint64{}, taken: map[uint64]int{}}
}

func (i *inodes) place(dir uint64, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(i.seed)
	for s := 0; s < 64; s += 8 {
		h.WriteByte(byte(dir >> s))
	}
	h.WriteString(name)
	return max(h.Sum64()&^freshInodes, 2)
}

// of returns the number for name in dir; live tells which numbers are in use.
func (i *inodes) of(dir uint64, name string, live func(uint64) bool) uint64 {
	p := i.place(dir, name)
	if ino, ok := i.moved[p]; ok {
		return ino
	}
	if !live(p) && i.taken[p] == 0 {
		return p
	}
	i.next++
	i.set(p, i.next)
	return i.next
}

func (i *inodes) set(place, ino uint64) {
	i.clear(place)
	if place != ino {
		i.moved[place] = ino
		i.taken[ino]++
	}
}

func (i *inodes) clear(place uint64) {
	if ino, ok := i.moved[place]; ok {
		delete(i.moved, place)
		if i.taken[ino]--; i.taken[ino] == 0 {
			delete(i.taken, ino)
		}
	}
}

// nodeLocked returns the live node of name in dir, made from e if there is none. One in
// which something is owed is never given up for what the server has there now.
func (t *Tree) nodeLocked(dir *Node, name string, e entry, at time.Time) *Node {
	if k := dir.kid(name); k != nil {
		if k.typ == e.typ || k.anyOwedLocked() {
			return k
		}
		t.detachLocked(k)
	}
	ino := t.inos.of(dir.ino, name, func(i uint64) bool { return t.nodes[i] != nil })
	n := &Node{tree: t, ino: ino, typ: e.typ, parent: dir, ent: e, at: at}
	n.setName(name)
	t.nodes[ino] = n
	t.attachLocked(n)
	return n
}

func (n *Node) setName(name string) {
	n.name = name
	n.label.Store(&name)
}

func (t *Tree) attachLocked(n *Node) {
	n.parent.putKid(n)
	if l := n.parent.list; l != nil {
		l.folds.add(n.name)
	}
}

// inoLocked is the number that name has or would get, without making a node.
func (t *Tree) inoLocked(dir *Node, name string) uint64 {
	if k := dir.kid(name); k != nil {
		return k.ino
	}
	return t.inos.of(dir.ino, name, func(i uint64) bool { return t.nodes[i] != nil })
}

// detachLocked takes n from its name: it was removed or replaced, here or on the
// server. Open handles keep what they have of it.
func (t *Tree) detachLocked(n *Node) {
	if n.removed || n.parent == nil {
		return
	}
	for _, k := range n.eachKid() {
		t.detachLocked(k)
	}
	if n.list != nil {
		t.lists.dropLocked(n)
	}
	t.forgetDirTimeLocked(n)
	n.removed = true
	if n.parent.kid(n.name) == n {
		n.parent.dropKid(n.name)
		t.inos.clear(t.inos.place(n.parent.ino, n.name))
	}
	switch f := n.file; {
	case f == nil || f.cur == nil:
	case f.handles == 0:
		f.dropContentLocked()
	default:
		f.cur.endFetching()
	}
	t.releaseLocked(n)
}

// lostLocked takes in that somebody else removed n, or put something else in its place.
// Handles read on what is held of it, as it was, and get ESTALE for the rest and for
// writes, which would go nowhere. What may be of the new version is not held any more; for
// the kernel to drop its pages of it too, at the next read or stat, the time differs, by a
// nanosecond. The name is another inode from now on: the kernel
// keeps one set of pages for an inode, and two versions in it would be mixed.
func (t *Tree) lostLocked(n *Node) {
	for _, k := range n.eachKid() {
		t.lostLocked(k)
	}
	if f := n.file; f != nil && f.handles > 0 && f.cur != nil && !f.owed && !n.removed {
		f.rememberLocked()
		t.disk.forgetLocked(f)
		if f.cur.lose() {
			f.mtime = f.mtime.Add(time.Nanosecond)
			t.spawn(func() { t.tellChanged(n) })
		}
	}
	t.detachLocked(n)
}

// moveLocked gives n another name, and its inode number with it.
func (t *Tree) moveLocked(n, dir *Node, name string) {
	t.inos.clear(t.inos.place(n.parent.ino, n.name))
	old := n.parent
	old.dropKid(n.name)
	if n.owedLocked() {
		old.owed--
		dir.owed++
	}
	n.parent = dir
	n.setName(name)
	t.attachLocked(n)
	t.inos.set(t.inos.place(dir.ino, name), n.ino)
	t.releaseLocked(old)
}

// releaseLocked lets go of n, and of its parents, if nothing needs them any more.
func (t *Tree) releaseLocked(n *Node) {
	for n != nil && n.parent != nil {
		if n.refs > 0 || n.countKids() > 0 || n.list != nil || n.fetch != nil || n.owesAt != nil || (n.file != nil && n.file.neededLocked()) {
			return
		}
		if t.nodes[n.ino] == n {
			delete(t.nodes, n.ino)
		}
		p := n.parent
		if !n.removed && p.kid(n.name) == n {
			p.dropKid(n.name)
		}
		n = p
	}
}

// Ref adds a reference of the kernel's. Lookup, LookupEntry, Create and Mkdir
// return nodes with one already taken for the caller.
func (t *Tree) Ref(n *Node) {
	t.mu.Lock()
	n.refs++
	t.mu.Unlock()
}

// Forget drops a reference.
func (t *Tree) Forget(n *Node) {
	t.mu.Lock()
	t.unrefLocked(n)
	t.mu.Unlock()
}

func (t *Tree) unrefLocked(n *Node) {
	n.refs--
	t.releaseLocked(n)
}
