package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
)

// kernel stands between the kernel's requests and go-fuse's inode tree, for what
// that tree hides from a node: FORGET counts, and flags of WRITE and OPEN. All else
// passes through.
type kernel struct {
	fuse.RawFileSystem
	m *mount
}

func (k *kernel) Forget(ino, n uint64) {
	k.RawFileSystem.Forget(ino, n)
	if k.m.refs.drop(ino, n) {
		k.m.odd.forget(ino)
	}
}

func (k *kernel) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		k.m.dropSetIDs(cancel, &in.InHeader)
	}
	return k.RawFileSystem.Open(cancel, in, out)
}

func (k *kernel) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		k.m.dropSetIDs(cancel, &in.InHeader)
	}
	return k.RawFileSystem.Writev(cancel, in, data)
}

// OnUnmount follows the last request, when all handlers have returned.
func (k *kernel) OnUnmount() {
	k.RawFileSystem.OnUnmount()
	k.m.handles.releaseClosed()
	k.m.refs.dropAll()
}

// dropSetIDs is our share of CAP_HANDLE_KILLPRIV_V2, by which the kernel need not
// ask for an xattr before every write: a file with set-id bits loses them when
// someone without the privilege changes it. The new content gets its mode when it
// is published, so a server that cannot set one does not publish the bits either.
func (m *mount) dropSetIDs(cancel <-chan struct{}, header *fuse.InHeader) {
	mode := m.odd.get(header.NodeId).mode
	if mode == 0 {
		return
	}
	n := m.refs.node(header.NodeId)
	if n == nil {
		return
	}
	c := begin(&fuse.Context{Caller: header.Caller, Cancel: cancel})
	defer c.end()
	mode = withoutSetIDs(mode)
	m.setMode(c, n, mode)
}

func (m *mount) setMode(ctx context.Context, n *cache.Node, mode uint32) {
	a, err := m.tree.SetAttr(ctx, n, nil, cache.Set{Mode: &mode})
	if err != nil {
		m.log.swallowed("drop set-id bits", errnoOf(err), err)
		return
	}
	m.odd.note(&a)
}
