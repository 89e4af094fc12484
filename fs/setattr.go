package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
)

// Setattr sets size, mode and modification time. A change of owner to the mount's
// own succeeds and does nothing, any other is EPERM: FTP has none. The access time
// is taken silently, it always shows as the modification time.
func (n *node) Setattr(ctx context.Context, f gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if !n.m.ownersOnly(in) {
		return syscall.EPERM
	}
	c := begin(ctx)
	defer c.end()
	set := n.m.setOf(in, n.m.odd.get(n.n.Ino()).mode)
	var a cache.Attr
	var err error
	if set == (cache.Set{}) {
		a, err = n.m.tree.GetAttr(c, n.n)
	} else {
		var h *cache.Handle
		if fh, ok := f.(*handle); ok {
			h = fh.h
			if set.Size != nil {
				fh.dirty.Store(true)
			}
		}
		a, err = n.m.tree.SetAttr(c, n.n, h, set)
	}
	if err != nil {
		return n.m.errno(c, "set attributes", err)
	}
	// The reply goes out as it stands here: without an inode number st_ino is 0.
	n.m.fillAttr(&a, out)
	return 0
}

func (m *mount) ownersOnly(in *fuse.SetAttrIn) bool {
	if uid, ok := in.GetUID(); ok && uid != m.cfg.UID {
		return false
	}
	gid, ok := in.GetGID()
	return !ok || gid == m.cfg.GID
}

// setOf is what in asks of the tree. setID is the file's present mode if it has
// set-id bits, which a truncation by someone unprivileged takes away.
func (m *mount) setOf(in *fuse.SetAttrIn, setID uint32) cache.Set {
	var set cache.Set
	if size, ok := in.GetSize(); ok {
		s := int64(size)
		set.Size = &s
	}
	if mode, ok := in.GetMode(); ok {
		set.Mode = &mode
	} else if in.Valid&fuse.FATTR_KILL_SUIDGID != 0 && setID != 0 {
		mode := withoutSetIDs(setID)
		set.Mode = &mode
	}
	if t, ok := in.GetMTime(); ok {
		t = time.Unix(t.Unix(), 0) // what is shown now is what the server will say later
		set.MTime = &t
	}
	return set
}
