package cache

// API DRAFT: signatures that fs and cmd program against while the real
// implementation is being written in the other files of this package.
// The implementation will keep these names and signatures.

import (
	"context"
	"log/slog"
	"os"
	"time"

	"ftpfs/cache/remote"
)

type Config struct {
	CacheDir     string        // clean content; may be deleted when no mount uses it
	StateDir     string        // spool, quarantine, discarded; of this server, user and path alone
	DirCacheTime time.Duration // how old a listing may be before it is refreshed (0 = always)
	CacheSize    int64         // bytes of clean content on disk
	SpoolSize    int64         // bytes owed on disk; write waits, then fails with NoSpace
	MaxEntries   int           // directory entries known at once
	Uploads      int           // transfers to the server at once (0 = choose)
	SyncClose    bool          // Flush waits until the file is on the server
	FsyncServer  bool          // Fsync waits until the file is on the server
	ReadOnly     bool
	Timeout      time.Duration // network inactivity; also how long a write waits for spool space
	Log          *slog.Logger
}

// Tree is the whole mounted file system.
type Tree struct{}

// New opens (and locks) the spool and starts the background work. It does not
// wait for the server. The owed files are loaded in the background; calls that
// need them wait for that.
func New(cfg Config, store remote.Store) (*Tree, error) { panic("draft") }

// Close stops the background work. ctx bounds the waiting for owed uploads
// (an expired ctx: do not wait). What is still owed stays in the spool.
func (t *Tree) Close(ctx context.Context) error { panic("draft") }

// Node is one inode: known to the kernel, open, or owed to the server.
type Node struct{}

func (n *Node) Ino() uint64            { panic("draft") }
func (n *Node) Type() remote.EntryType { panic("draft") }

// Ref adds a reference held by the kernel side, Forget drops one. Lookup,
// LookupEntry, Create and Mkdir return nodes with one Ref already taken for the caller.
func (t *Tree) Ref(n *Node)    { panic("draft") }
func (t *Tree) Forget(n *Node) { panic("draft") }

// Root has ino 1 and needs no Ref.
func (t *Tree) Root() *Node { panic("draft") }

type Attr struct {
	Ino     uint64
	Type    remote.EntryType
	Size    int64
	MTime   time.Time
	Mode    uint32 // permission bits, if HasMode
	HasMode bool
	Nlink   uint32        // at least 1
	Valid   time.Duration // how long the kernel may keep attributes and the name
}

// Lookup finds a child. On NotExist the returned Attr has Valid set: how long the
// kernel may remember the absence.
func (t *Tree) Lookup(ctx context.Context, dir *Node, name string) (*Node, Attr, error) {
	panic("draft")
}
func (t *Tree) GetAttr(ctx context.Context, n *Node) (Attr, error) { panic("draft") }

type Set struct {
	Size  *int64
	MTime *time.Time
	Mode  *uint32
}

// SetAttr; h may be nil.
func (t *Tree) SetAttr(ctx context.Context, n *Node, h *Handle, s Set) (Attr, error) { panic("draft") }
func (t *Tree) Readlink(ctx context.Context, n *Node) (string, error)                { panic("draft") }
func (t *Tree) Mkdir(ctx context.Context, dir *Node, name string, mode uint32) (*Node, Attr, error) {
	panic("draft")
}
func (t *Tree) Rmdir(ctx context.Context, dir *Node, name string) error  { panic("draft") }
func (t *Tree) Unlink(ctx context.Context, dir *Node, name string) error { panic("draft") }
func (t *Tree) Rename(ctx context.Context, from *Node, name string, to *Node, newName string, noReplace bool) error {
	panic("draft")
}
func (t *Tree) Statfs(ctx context.Context) (remote.Space, error) { panic("draft") }

// Dir is one opendir's snapshot of a directory.
type Dir struct{}

type DirEntry struct {
	Name string
	Ino  uint64
	Type remote.EntryType
}

func (t *Tree) OpenDir(ctx context.Context, n *Node) (*Dir, error) { panic("draft") }

// Len and At give the entries in a fixed order, without "." and "..".
func (d *Dir) Len() int          { panic("draft") }
func (d *Dir) At(i int) DirEntry { panic("draft") }

// LookupEntry is Lookup answered from the snapshot (for READDIRPLUS), never from the network.
func (t *Tree) LookupEntry(d *Dir, name string) (*Node, Attr, error) { panic("draft") }

type OpenFlags struct {
	Read, Write, Append, Truncate bool
}

// Handle is one open file. Its methods may be called by several goroutines.
type Handle struct{}

func (t *Tree) Open(ctx context.Context, n *Node, fl OpenFlags) (*Handle, error) { panic("draft") }

// Create makes and opens a new file; with excl false an existing one is opened.
func (t *Tree) Create(ctx context.Context, dir *Node, name string, mode uint32, excl bool, fl OpenFlags) (*Node, *Handle, Attr, error) {
	panic("draft")
}

// KeepCache: the content is the same as at the previous open, the kernel's pages are good.
func (h *Handle) KeepCache() bool { panic("draft") }

// Ready waits until [off, off+n) is held locally and returns how many of these
// bytes exist (fewer than n only at the end of the file) and the file to pread
// them from at the same offset. The file stays valid until Release of the handle.
func (h *Handle) Ready(ctx context.Context, off int64, n int) (*os.File, int, error) {
	panic("draft")
}
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error)  { panic("draft") }
func (h *Handle) WriteAt(ctx context.Context, p []byte, off int64) (int, error) { panic("draft") }
func (h *Handle) Flush(ctx context.Context) error                               { panic("draft") }
func (h *Handle) Fsync(ctx context.Context) error                               { panic("draft") }
func (h *Handle) Release()                                                      { panic("draft") }

// FsyncDir makes the namespace changes below it durable in the spool.
func (t *Tree) FsyncDir(ctx context.Context, n *Node) error { panic("draft") }

// State of one file as user.ftpfs.state shows it: clean, dirty, uploading, "parked: 552 …".
func (t *Tree) State(n *Node) string { panic("draft") }

type OwedFile struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Sent     int64     `json:"sent"`  // of the upload under way
	State    string    `json:"state"` // open, waiting, uploading, parked, interrupted
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitempty"` // last one
}

type Status struct {
	Online      bool       `json:"online"`
	DownSince   *time.Time `json:"down_since,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	Entries     int        `json:"entries"`  // directory entries known
	Listings    int        `json:"listings"` // directories known
	CacheUsed   int64      `json:"cache_used"`
	CacheSize   int64      `json:"cache_size"`
	SpoolUsed   int64      `json:"spool_used"`
	SpoolSize   int64      `json:"spool_size"`
	SpoolDir    string     `json:"spool_dir"`
	OwedFiles   int        `json:"owed_files"` // all but parked
	OwedBytes   int64      `json:"owed_bytes"`
	Parked      int        `json:"parked_files"` // parked and interrupted
	Quarantined int        `json:"quarantined"`
	Owed        []OwedFile `json:"owed"` // parked ones too; at most 1,000, parked first, oldest first
}

func (t *Tree) Status() Status { panic("draft") }

type Progress struct {
	Files, FilesDone int   // of those owed when Sync began
	Bytes, BytesDone int64 // including what is under way
	Parked           int
	Online           bool
}

// Outcome of Sync.
type Outcome int

const (
	AllThere Outcome = iota
	StillOwed
	SomeParked
)

// Sync publishes what is owed under path ("/" for everything; a file that is open
// is published as it stands) and waits for it, or for ctx, calling report (not
// nil) about twice a second. Parked files count as SomeParked, and do not make it wait.
func (t *Tree) Sync(ctx context.Context, path string, report func(Progress)) (Outcome, error) {
	panic("draft")
}

// Retry and Discard settle parked (and interrupted) files at or below path. They
// return how many. Discard moves the content to the discarded folder, which it names.
func (t *Tree) Retry(path string) (int, error)                    { panic("draft") }
func (t *Tree) Discard(path string) (n int, kept string, e error) { panic("draft") }
