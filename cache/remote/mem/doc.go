// Package mem is a file server in memory: a remote.Store that behaves as an
// honest FTP server does, for tests of what is built on a Store. It owns the
// tree on the "server" (Disk) and the client's view of it (Store), counts what
// is asked, and fails when and how a test tells it to. It knows nothing of the
// cache or of any protocol.
//
// Effects are those of a real server: an upload becomes visible chunk by chunk,
// replaces the old content from its first byte on, and leaves what it has when it
// fails; a reader sees the file as it is at each read; times are whole seconds.
// Tests reach behind the Store's back through Disk, as another client of the
// server would, and may watch every state a name passes through.
//
// Locks: Disk.mu guards the tree and Store.mu the client's state; neither is
// taken while the other is held. Hooks and holds run without any lock. Watchers
// run under Disk.mu, so that no state escapes them, and must not call back.
package mem

import (
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/cache/remote"
)

// Options are the ways of a server. The zero value is one that can do all.
type Options struct {
	NoReplace  bool          // rename over an existing name is refused
	NoTimes    bool          // times cannot be set
	NoDirTimes bool          // times of directories cannot be set
	NoModes    bool          // modes cannot be set
	ListModes  bool          // modes are told in listings only, as by servers without MLST
	ListTimes  bool          // and times, as by servers that have no MDTM either
	Blind      bool          // Publish sees plain files and directories, and the rest only if it is Unlisted
	NoAppend   bool          // Write at an offset is refused
	LateNo     bool          // and Caps does not say so
	Sums       string        // how it computes checksums, as in remote.Checksum; "" is not at all
	NoSpaceSay bool          // Statfs is not answered
	CostlyStat bool          // Caps().CheapStat is false
	HidesDots  bool          // List leaves out names that begin with a dot, and Caps says so
	Unique     bool          // entries carry a unique id, new for each file created
	MGrain     time.Duration // how exact the times are that it tells; 0 is a second
	Quota      int64         // bytes of file content there is room for; 0 is no limit
	MaxUploads int           // as in remote.Caps; 0 is 4
	FoldsCase  bool          // names that differ by case only are one name
	Unsaid     bool          // and Caps does not say so before something was found
	// Unstorable are the names that Storable refuses; nil is none.
	Unstorable func(name string) bool
	Ahead      int  // as in remote.Caps
	Greedy     bool // Write takes all there is of a short file before it begins
	Lazy       bool // what is ahead waits until somebody asks for it
	Now        func() time.Time
}

// chunk is how many bytes of a transfer are applied at once.
const chunk = 32 << 10

// Store is one client's connection to a Disk.
type Store struct {
	opts Options // immutable
	disk *Disk   // immutable

	found atomic.Bool // an entry was asked for by name

	mu      sync.Mutex // guards what follows
	before  func(op, path string) error
	after   func(op, path string) error
	holds   []*Hold
	health  []func(up bool)
	down    error // nil while the server can be reached
	since   time.Time
	cut     chan struct{} // closed when the link goes down, renewed when it comes back
	closed  bool
	counts  map[string]int
	bytesIn int64         // read from the server
	bytesUp int64         // written to it
	readers int           // open at this moment
	done    chan struct{} // closed by Close
}

var _ remote.Store = (*Store)(nil)

// New returns a store on an empty disk of its own.
func New(opts Options) *Store {
	d := NewDisk(opts.Now)
	d.fold = opts.FoldsCase
	return Dial(d, opts)
}

// Dial returns one more store on a disk.
func Dial(d *Disk, opts Options) *Store {
	if opts.MGrain == 0 {
		opts.MGrain = time.Second
	}
	if opts.MaxUploads == 0 {
		opts.MaxUploads = 4
	}
	return &Store{opts: opts, disk: d, since: d.now(), counts: map[string]int{},
		cut: make(chan struct{}), done: make(chan struct{})}
}

// Disk is the server's side of the store.
func (s *Store) Disk() *Disk { return s.disk }

// Caps implements remote.Store.
func (s *Store) Caps() remote.Caps {
	o := s.opts
	return remote.Caps{CheapStat: !o.CostlyStat, HidesDots: o.HidesDots, SetMTime: !o.NoTimes, SetMode: !o.NoModes,
		FoldsCase: o.FoldsCase && (!o.Unsaid || s.found.Load()),
		Append:    !o.NoAppend, NoAppend: o.NoAppend && !o.LateNo, MaxUploads: o.MaxUploads, Ahead: o.Ahead, Sum: o.Sums, Software: "memory"}
}

// Close implements remote.Store. Held operations and readers end with Canceled.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	return nil
}
