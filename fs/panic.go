package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/lastwords"
)

// panicked ends the process when a request hits a bug, as a panic anywhere else does.
// go-fuse would answer EIO and serve on, but the request may have held the tree's lock,
// and then everything after it hangs for ever. What was acknowledged is in the spool, the
// kernel answers ENOTCONN for us, and the next mount goes on.
//
// It panics anew rather than exits: the request's stack is still below this one, and the
// runtime prints it as it does that of any goroutine, with no lock of ours in the way.
func (m *mount) panicked(v any) fuse.Status {
	lastwords.Say(v)
	panic(v)
}
