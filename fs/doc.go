// Package fs translates: a kernel request becomes one call on a cache.Tree, and
// what the call returns becomes an answer or an errno. Only this package imports
// go-fuse.
//
// # What the user is promised
//
// Each promise has a test in package test that fails when it is broken.
//
//  1. Nothing accepted is ever lost: what write(2) and close(2) took is in the
//     spool on local disk, and stays until it is on the server. The exception,
//     here and in 5 and 8, is a file larger than the spool: what the server has
//     taken of it is dropped, close waits for the server, and reads, rewrites and
//     fsync of what was dropped are EIO. TestKillNineLosesNothing,
//     TestCopyOfMoreThanTheSpoolHolds
//  2. A network fault is never an answer: only a confirmed "no such file" is
//     ENOENT, all doubt is EIO or ETIMEDOUT, and a listing that the server cannot
//     confirm ends with EIO. TestDeadServerIsNeverENOENT
//  3. Nobody sees half a file: a name on the server has its old content or its
//     new one, whole; but a large file that only grew is appended to there.
//     TestNobodySeesHalfAFile
//  4. Nothing hangs: every wait has a deadline, Ctrl-C ends one at once (save a
//     buffered read, which the kernel does not interrupt), and a server that is
//     down fails calls in milliseconds. TestNothingHangs
//  5. What you wrote is what you read, at once, through any path or handle of this
//     mount. TestReadYourWrites
//  6. Nobody's edit is silently overwritten: when the server's file changed since
//     it was read, both versions are kept. TestConflictKeepsBoth
//  7. close(2) is not the upload, and the user can always ask: status, sync, the
//     xattr user.ftpfs.state, or -o sync_close. TestSyncWaits
//  8. fsync(2) means something: in the spool on disk, or with -o fsync=server on
//     the server. TestFsyncReachesServer
//  9. Fresh within a stated time: nothing older than dir_cache_time is answered
//     while the server is up, and the kernel keeps nothing longer.
//     TestFreshWithinDirCacheTime
//
// # What this package refuses to know
//
// Paths (an inode is a *cache.Node, wherever it is now), servers, what is cached,
// dirty or owed, and when something is uploaded. It keeps no attributes and no
// content. It decides how the kernel sees an inode (owner, mode where the server
// tells none, block counts), which kernel caches to use, and for whom a wait ends
// early.
//
// What FTP has not is refused in words the tools understand: link, symlink and
// mknod of anything but a file are EPERM, fallocate and foreign xattrs ENOTSUP,
// RENAME_EXCHANGE EINVAL. Locks are the kernel's own, between the programs of
// this machine.
//
// # Locks
//
// refs.mu, handles.mu, oddities.mu, journal.mu and call.mu each guard one small
// table, and none is held while anything else is locked or called.
//
// # Where to look
//
//	mount.go      Mount, Server; config.go its settings
//	device.go     getting /dev/fuse mounted and unmounted; mountinfo.go finding it
//	kernel.go     what go-fuse's inodes do not show: FORGET counts, set-id bits
//	refs.go       counting what the kernel knows
//	node.go       lookup, stat, readlink, statfs; attr.go what they look like
//	setattr.go    truncate, chmod, chown, utimens
//	names.go      create, mkdir, unlink, rename and what is refused
//	dir.go        opendir, readdir; file.go open, read, write, close
//	interrupt.go  for whom Ctrl-C counts; errno.go errors to errnos; log.go the rest
//	panic.go      how a bug in a request ends
package fs
