package fs

import (
	"fmt"
	"path/filepath"
	"sync"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
)

// attributesOnly is the offset by which FUSE_NOTIFY_INVAL_INODE leaves the pages alone.
//
// It is the only message to the kernel that this package sends, for it waits for nothing:
// fuse_reverse_inval_inode marks the attributes as old under a spin lock. Messages about
// entries (NotifyEntry, NotifyDelete) wait for the directory's lock, those about pages for
// the pages' locks, and both are held by programs that wait for an answer of ours. No
// signal ends such a wait. If the daemon is killed in it, the thread that waits keeps
// /dev/fuse open, so that the kernel does not abort the connection: the daemon does not
// die, its spool stays locked, and the programs hang for ever.
const attributesOnly = -1

// mount is what all nodes of one mount share.
type mount struct {
	cfg  Config      // immutable
	tree *cache.Tree // immutable
	log  *journal    // immutable

	umask, fileMode, dirMode uint32 // immutable

	refs    *refs
	handles handles
	odd     oddities
}

// Server serves one mount until it is unmounted, by Unmount or by anyone else.
type Server struct {
	dev  *device       // immutable
	done chan struct{} // closed when the last request is answered

	unmounting sync.Mutex // one at a time
}

// Mount mounts tree at mountpoint, an existing directory, and serves it. When it
// returns the mount is usable. Root mounts directly, others (and root without the
// capability) through fusermount3. A mountpoint /dev/fd/N is one that a mount
// helper has already mounted on that descriptor.
//
// The process that serves must not use the mount itself: it could wait for its own
// answer.
func Mount(cfg Config, tree *cache.Tree, mountpoint string) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	mountpoint, err := filepath.Abs(mountpoint)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	m := newMount(cfg, tree)

	dev, err := attach(cfg, mountpoint)
	if err != nil {
		return nil, err
	}
	opts := m.options()
	raw := gofs.NewNodeFS(&node{m: m, n: tree.Root()}, opts)
	srv, err := fuse.NewServer(&kernel{RawFileSystem: raw, m: m}, dev.magic(), &opts.MountOptions)
	if err != nil {
		dev.abandon()
		return nil, fmt.Errorf("mount %s: the kernel and ftpfs do not agree on a protocol: %w", mountpoint, err)
	}
	// An inode the kernel does not know is no error.
	tree.OnChange(func(ino uint64) { srv.InodeNotify(ino, attributesOnly, 0) })
	s := &Server{dev: dev, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		srv.Serve()
	}()
	dev.readAhead(m.log.log)
	return s, nil
}

func newMount(cfg Config, tree *cache.Tree) *mount {
	m := &mount{cfg: cfg, tree: tree, log: newJournal(cfg.Log), refs: newRefs(tree),
		fileMode: cfg.FileMode & 0o7777, dirMode: cfg.DirMode & 0o7777}
	if cfg.Umask != nil {
		m.umask = *cfg.Umask & 0o777
	}
	return m
}

// options are go-fuse's. No timeouts are set: every answer says for how long it is
// good. The kernel's write-back cache stays off: with it the kernel, not the
// server, would decide a file's size and time.
func (m *mount) options() *gofs.Options {
	return &gofs.Options{
		NullPermissions: true, // mode 0 is a mode
		RootStableAttr:  &gofs.StableAttr{Ino: m.tree.Root().Ino()},
		// The kernel's number of an inode is ours, so that FORGET can be counted by it.
		ExternalNodeID: true,
		Logger:         m.log.logger(),
		MountOptions: fuse.MountOptions{
			FsName:        m.cfg.FsName,
			Name:          m.cfg.Subtype,
			MaxWrite:      maxRequest,
			MaxBackground: maxBackground,
			// Splicing fails at requests of 1 MiB, and logs a line for each.
			DisableSplice: true,
			ExtraCapabilities: fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ATOMIC_O_TRUNC |
				fuse.CAP_DIRECT_IO_ALLOW_MMAP | fuse.CAP_HANDLE_KILLPRIV_V2,
			Debug:        m.cfg.Debug,
			Logger:       m.log.logger(),
			PanicHandler: m.panicked,
		},
	}
}

// Mountpoint is the absolute path of the mount.
func (s *Server) Mountpoint() string { return s.dev.mountpoint }

// Done is closed when the mount has ended and the last request was answered.
func (s *Server) Done() <-chan struct{} { return s.done }

// Wait returns when Done is closed.
func (s *Server) Wait() { <-s.done }

// Unmount takes the mount away; the caller may then Wait. While a program uses the
// mount it fails, with syscall.EBUSY in its chain and the programs in its text, and
// everything goes on. It is nil when the mount is gone already.
func (s *Server) Unmount() error { return s.unmount(false) }

// UnmountLazy takes the mount out of sight at once, for programs that hold it busy.
// It goes on being served to them until the last has closed its files.
func (s *Server) UnmountLazy() error { return s.unmount(true) }

func (s *Server) unmount(lazy bool) error {
	s.unmounting.Lock()
	defer s.unmounting.Unlock()
	select {
	case <-s.done:
		return nil
	default:
	}
	return s.dev.detach(lazy)
}
