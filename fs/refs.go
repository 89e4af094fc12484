package fs

import (
	"sync"

	"ftpfs/cache"
)

// refs counts, for each inode the kernel knows, how many times it was told of it
// and has not forgotten: one for each lookup, create, mkdir and READDIRPLUS entry
// answered. While the count is above zero one reference on the tree's node is held.
//
// go-fuse calls no hook for an inode object that loses to one it already has for
// the same number, and its OnForget can run while a lookup revives the inode; a
// count of our own, taken before go-fuse's and dropped after it, is exact in any
// order.
type refs struct {
	tree *cache.Tree // immutable

	mu    sync.Mutex
	nodes map[uint64]held
}

type held struct {
	node    *cache.Node
	lookups uint64
}

func newRefs(t *cache.Tree) *refs { return &refs{tree: t, nodes: map[uint64]held{}} }

// add counts an answer that names n, and takes over the one reference that the
// tree gave with it.
func (r *refs) add(n *cache.Node) {
	r.mu.Lock()
	h, there := r.nodes[n.Ino()]
	if !there {
		r.nodes[n.Ino()] = held{node: n, lookups: 1}
		r.mu.Unlock()
		return
	}
	h.lookups++
	r.nodes[n.Ino()] = h
	r.mu.Unlock()
	r.tree.Forget(n) // the first one is enough
}

// drop is the kernel's FORGET of n earlier answers. The root is never counted.
func (r *refs) drop(ino, n uint64) (gone bool) {
	r.mu.Lock()
	h, there := r.nodes[ino]
	if !there || h.lookups > n {
		if there {
			h.lookups -= n
			r.nodes[ino] = h
		}
		r.mu.Unlock()
		return false
	}
	delete(r.nodes, ino)
	r.mu.Unlock()
	r.tree.Forget(h.node)
	return true
}

// node is the tree's node of an inode the kernel knows, else nil.
func (r *refs) node(ino uint64) *cache.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes[ino].node
}

// dropAll is the end of the mount: the kernel does not forget one by one then.
func (r *refs) dropAll() {
	r.mu.Lock()
	nodes := r.nodes
	r.nodes = map[uint64]held{}
	r.mu.Unlock()
	for _, h := range nodes {
		r.tree.Forget(h.node)
	}
}
