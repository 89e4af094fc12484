// Package cache decides: what is known of the server (names and attributes), what
// is held of it (content), and what is owed to it (uploads), behind one type, Tree,
// that knows neither the kernel nor the wire. It speaks to the server through
// remote.Store only and keeps what is owed in a spool on local disk.
//
// # What is where
//
//	tree.go      the Tree: start, end, background work
//	node.go      inodes: names, parents, references, stable inode numbers
//	entry.go     what is known of one name, packed
//	listing.go   one directory's listing, and the LRU over all of them; entries.go its
//	             names, packed
//	refresh.go   asking the server for a listing: one fetch for everybody, changes
//	             during it kept; ask.go for one name
//	lookup.go    lookup, getattr, readlink
//	statfs.go    the server's space
//	readdir.go   a directory as of one opendir
//	setattr.go   truncate, utimens, chmod; overlaid.go what of it the server cannot keep;
//	             dirtime.go times of directories, after what is owed in them
//	names.go     mkdir, rmdir; unlink.go
//	rename.go    rename on the server; moving.go what is meant meanwhile, relink.go what
//	             follows here, and local renames; unsettled.go where the answer was lost,
//	             held.go the files that wait for one
//	file.go      one regular file: clean, dirty, uploading, parked; its record
//	content.go   what is held of it: a sparse file and the ranges that count; bytes.go
//	             writing and reading them
//	stream.go    fetching them, in streams that are joined and not restarted
//	ahead.go     who works through a tree; row.go what comes next; fetchahead.go getting it
//	confirm.go   whether what was fetched was of one version
//	handle.go    open, create, flush, fsync, release; io.go read and write
//	owe.go       from clean to owed, and files born here; marks.go what is written
//	             between two records; replay.go reading it all back at start,
//	             intents.go the renames under way then, untangle.go where it cannot all have its names
//	jobs.go      when a file is published, and what follows a failure; early.go
//	             while it is still open
//	publish.go   one publication: send, check, rename over; conflict.go when theirs
//	             changed, conflicts.go telling so; backup.go where the server cannot
//	             replace; temp.go our names on the server
//	deliver.go   both in one go
//	upload.go    the sending; feed.go what is handed out, while others write;
//	             resume.go going on where an earlier upload ended; sum.go
//	             whether it arrived as it was sent; tail.go
//	             appending to the server's file what a file only grew by,
//	             sent.go knowing it again after a cut, lean.go without the rest
//	space.go     the bounds on disk: writes wait for spool, clean content is evicted;
//	             through.go what is larger than the spool
//	sync.go      waiting for all to be on the server; status.go; settle.go
//
// # Locks
//
// From outer to inner, each may be taken while holding those before it:
//
//	gate       publications share it, a rename of a directory has it alone
//	file.pub   one publication or namespace change of one file at a time
//	file.rec   the file's spool record, held over local disk writes
//	tree.mu    names, attributes, states: memory only, held for moments
//	content.io content's file descriptor: shared to read and write it, alone to
//	           replace it or to drop bytes that a reader might have been promised
//	content.mu ranges, streams, and what is claimed for an upload
//
// move.recording and overlayDisk are taken inside file.rec, conflictsDisk and dirTimesDisk
// before tree.mu; all four are held over local disk writes.
//
// gate and file.pub are the only ones held across a call to the network; waiting
// for them ends with a context. tree.mu and below are never held over one.
package cache
