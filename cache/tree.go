package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"ftpfs/cache/overlay"
	"ftpfs/cache/queue"
	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
	"ftpfs/lastwords"
)

// Tree is the whole mounted file system.
type Tree struct {
	cfg       Config
	store     remote.Store
	spool     *spool.Spool
	space     *space
	disk      *disk
	queue     *queue.Queue[*File] // publications
	pour      pour                // what they make way for
	dirQueue  *queue.Queue[*Node] // directories' times
	lookQueue *queue.Queue[*Node] // directories to list; see overlaid.go
	gate      *semaphore.Weighted // order: see doc.go
	tag       string              // of our temporary names
	loaded    chan struct{}       // closed once the spool's records are in place

	keepMarks bool // used by load alone

	noAppend atomic.Bool // the server has refused to append
	caseless atomic.Bool // it was seen not to tell cases apart

	contentIDs atomic.Uint64
	onChange   atomic.Pointer[func(ino uint64)]

	conflictsDisk sync.Mutex // held while conflicts are written; before mu

	overlayDisk  sync.Mutex // held while the overlay is written; before mu
	overlaySaved bool       // guarded by overlayDisk: since it was synced
	dirTimesDisk sync.Mutex // held while a directory's owed time is put or dropped; before mu

	ctx    context.Context // of everything in the background
	cancel context.CancelFunc
	bg     sync.WaitGroup

	spawning sync.Mutex // innermost: nothing is added to bg once ctx has ended

	mu         sync.Mutex // guards what follows, and the fields of nodes and files
	closing    bool
	loadErr    error
	root       *Node
	nodes      map[uint64]*Node
	inos       inodes
	lists      *listings
	ahead      ahead
	asking     map[*question]struct{} // under way
	owed       map[*File]struct{}
	early      int // uploads that follow a writer
	owedDirs   map[*Node]struct{}
	temps      map[string]struct{}  // temporary names in use
	moves      map[*move]struct{}   // renames on their way to the server
	unsettled  []*unsettled         // what became of them the server has not told, oldest first
	changed    chan struct{}        // closed and replaced when something owed was settled, or not
	conflicts  []Conflict           // recent ones, oldest first
	said       map[string]bool      // warnings that are given once
	outage     map[remote.Kind]bool // why uploads fail, as logged since the last one that did not
	overlay    *overlay.Table       // what was set here and the server cannot keep
	unlooked   map[*Node]bool       // in lookQueue, each with a reference
	foldSteps  int                  // names folded or looked at to find twins: what that costs
	spaceThere serverSpace          // of the server; see statfs.go
}

// health is what a Store may tell of itself besides.
type health interface {
	Health() (up bool, since time.Time, last error)
	OnHealth(func(up bool))
}

// New opens and locks the spool and starts the background work. It does not wait for
// the server. What is owed is loaded in the background; calls wait for that.
func New(cfg Config, store remote.Store) (*Tree, error) {
	cfg = cfg.withDefaults()
	for _, dir := range []string{cfg.StateDir, cfg.CacheDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	sp, err := spool.Open(cfg.fs, filepath.Join(cfg.StateDir, "spool"), cfg.Identity, cfg.Log)
	if err != nil {
		return nil, err
	}
	if err := emptyCache(cfg.CacheDir); err != nil {
		return nil, errors.Join(err, sp.Close())
	}
	t := &Tree{cfg: cfg, store: store, spool: sp, gate: newGate(), loaded: make(chan struct{}), tag: MountTag(cfg.StateDir, cfg.Identity),
		nodes: map[uint64]*Node{}, inos: newInodes(), owed: map[*File]struct{}{}, owedDirs: map[*Node]struct{}{},
		temps: map[string]struct{}{}, moves: map[*move]struct{}{}, changed: make(chan struct{}), said: map[string]bool{}, outage: map[remote.Kind]bool{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.space = newSpace(cfg.SpoolSize, cfg.Timeout)
	t.disk = newDisk(t, cfg.CacheSize)
	t.asking = map[*question]struct{}{}
	t.ahead.tree = t
	t.lists = newListings(cfg.MaxEntries, t.releaseLocked)
	t.root = &Node{tree: t, ino: 1, typ: remote.Dir, ent: entry{typ: remote.Dir, mtime: time.Now().Unix()}}
	t.root.setName("/")
	t.nodes[1] = t.root
	t.overlay, t.unlooked = newOverlay(cfg), map[*Node]bool{}
	t.queue = queue.New(t.uploads, t.job)
	t.queue.Lighten(func(f *File) bool { return f.short.Load() }, t.shortUploads)
	t.queue.HoldBack(func(late time.Duration) time.Duration {
		return t.pour.wait(time.Now(), late, pourHold*cfg.PublishDelay)
	})
	t.lookQueue = queue.New(func() int { return 1 }, t.lookAt)
	t.dirQueue = queue.New(func() int { return 2 }, t.setDirTime)
	if h, ok := store.(health); ok {
		h.OnHealth(func(up bool) {
			if up {
				t.kick()
				t.dirQueue.Kick()
			}
		})
	}
	t.loadConflicts()
	t.spawn(t.load)
	t.spawn(t.keepRecords)
	return t, nil
}

// emptyCache removes the clean content of an earlier mount: only our own files.
func emptyCache(dir string) error {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range ents {
		if c := e.Name()[0]; e.Type().IsRegular() && (c == 'c' || c == 'p') {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("empty the cache: %w", err)
			}
		}
	}
	return nil
}

func (t *Tree) uploads() int {
	if t.cfg.Uploads > 0 {
		return t.cfg.Uploads
	}
	return max(1, t.store.Caps().MaxUploads)
}

// shortUploads is how many uploads there may be if one more of a short file begins.
func (t *Tree) shortUploads() int {
	if t.cfg.Uploads > 0 {
		return t.cfg.Uploads
	}
	return t.store.Caps().MaxShort
}

// SetHolder tells whoever finds the spool locked where it is mounted.
func (t *Tree) SetHolder(text string) { t.spool.SetHolder(text) }

// Close stops the background work. Until ctx ends it waits for what is owed and closed
// to reach the server; the rest stays in the spool, files that are open for writing as
// interrupted ones. The Store is the caller's to close.
func (t *Tree) Close(ctx context.Context) error {
	if ctx.Err() == nil {
		t.Drain(ctx, func(Progress) {}) // its outcome is in Status
		t.LookNow(ctx)
	}
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
	t.saveOpen()
	t.spawning.Lock()
	t.cancel()
	t.spawning.Unlock()
	t.queue.Close()
	t.dirQueue.Close()
	t.lookQueue.Close()
	t.bg.Wait()
	t.syncOverlay()
	t.mu.Lock()
	var held []*content
	for _, n := range t.nodes {
		if f := n.file; f != nil && f.cur != nil {
			held = append(held, f.cur)
		}
	}
	t.mu.Unlock()
	for _, c := range held {
		c.close()
	}
	return t.spool.Close()
}

// spawn runs f in the background; false once the tree is closing.
func (t *Tree) spawn(f func()) bool {
	t.spawning.Lock()
	if t.ctx.Err() != nil {
		t.spawning.Unlock()
		return false
	}
	t.bg.Add(1)
	t.spawning.Unlock()
	go func() {
		defer lastwords.OnPanic()
		defer t.bg.Done()
		f()
	}()
	return true
}

// wait waits until the spool's records are in place, so that nothing owed is missing
// from an answer.
func (t *Tree) wait(ctx context.Context, op string, n *Node) error {
	select {
	case <-t.loaded:
		return nil
	default:
	}
	select {
	case <-t.loaded:
		return nil
	case <-ctx.Done():
		return canceled(op, n, ctx)
	case <-t.ctx.Done():
		return &remote.Error{Op: op, Kind: remote.Canceled, Text: "unmounting"}
	}
}

// OnChange asks to be told when a file turns out to have other attributes than the
// kernel was told, before an answer that depends on it is given. f is called without
// any lock and must not wait for a call to the tree.
func (t *Tree) OnChange(f func(ino uint64)) { t.onChange.Store(&f) }

func (t *Tree) tellChanged(n *Node) {
	if f := t.onChange.Load(); f != nil {
		(*f)(n.ino)
	}
}

// Root has ino 1 and needs no Ref.
func (t *Tree) Root() *Node { return t.root }

// PathOf is n's mount path, for messages and for asking the server.
func (t *Tree) PathOf(n *Node) string {
	if n == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.pathLocked()
}

// changedLocked wakes those who wait for owed files.
func (t *Tree) changedLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// once logs a warning the first time only.
func (t *Tree) once(key, text string, err error) {
	t.mu.Lock()
	said := t.said[key]
	t.said[key] = true
	t.mu.Unlock()
	if said {
		return
	}
	if err != nil {
		t.cfg.Log.Warn(text, "err", err)
	} else {
		t.cfg.Log.Warn(text)
	}
}

// keepRecords brings the records of files that are being written up to date about
// once a second, so that a crash finds nearly all of what an open file held.
func (t *Tree) keepRecords() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
			t.saveOpen()
			if n++; n%5 == 0 {
				t.syncOverlay()
			} else {
				t.saveOverlay()
			}
		}
	}
}

func (t *Tree) saveOpen() {
	t.mu.Lock()
	var files []*File
	for f := range t.owed {
		if f.savedOpen && f.saved != f.changes {
			files = append(files, f)
		}
	}
	t.mu.Unlock()
	for _, f := range files {
		f.rec.Lock()
		t.mu.Lock()
		open := f.savedOpen
		t.mu.Unlock()
		if err := f.save(open, false); err != nil {
			t.once("keep", "cannot keep a record up to date", err)
		}
		f.rec.Unlock()
	}
}

// FsyncDir makes the names of owed files in dir durable, as they are now.
func (t *Tree) FsyncDir(_ context.Context, dir *Node) error {
	t.mu.Lock()
	var files []*File
	for _, k := range dir.eachKid() {
		if k.owedLocked() {
			files = append(files, k.file)
		}
	}
	t.mu.Unlock()
	for _, f := range files {
		f.rec.Lock()
		t.mu.Lock()
		open := f.savedOpen
		t.mu.Unlock()
		err := f.save(open, true)
		f.rec.Unlock()
		t.rest(f)
		if err != nil {
			return err
		}
	}
	return nil
}
