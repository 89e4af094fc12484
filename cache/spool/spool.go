package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"ftpfs/cache/ranges"
	"ftpfs/lastwords"
)

// ErrClosed is returned by writes after Close.
var ErrClosed = errors.New("the spool is closed")

// RefusedError says why a directory cannot be used as the spool asked for. Nothing
// in it was changed.
type RefusedError struct {
	Dir, Why string
}

func (e *RefusedError) Error() string { return "spool " + e.Dir + ": " + e.Why }

// Spool is an open spool. Its methods may be called by several goroutines, for
// different ids.
type Spool struct {
	fs   FS           // immutable
	dir  string       // immutable
	boot string       // immutable
	log  *slog.Logger // immutable
	lock *os.File     // immutable; holds the flock, and stands for the file system
	old  uint64       // immutable: ids up to here are from before Open

	stripes [64]sync.Mutex // by id: guards the id's files
	syncing sync.Mutex     // one group sync at a time
	marking sync.Mutex     // guards the files of the mark, and the mark… below
	wake    chan struct{}  // capacity 1: something waits for the group sync
	stop    chan struct{}
	done    sync.WaitGroup // the group sync's goroutine

	markN    uint64              // number of the newer mark
	markAt   int                 // which file is the older
	markSize [len(markNames)]int // of the files; 0: none that can be overwritten

	ballasting sync.Mutex // guards weights; a leaf
	weights    int        // pieces of ballast there are

	mu       sync.Mutex // guards what follows
	closed   bool
	loaded   bool // Load has settled all that was there before Open
	next     uint64
	ceiling  uint64            // numbers up to here are reserved on disk
	onDisk   ranges.Set        // sequence numbers: records put with these are on disk
	first    uint64            // first number of this run
	inflight map[uint64]bool   // sequence numbers of Puts under way
	spare    []uint64          // files in spare/ that can be used
	unripe   []uint64          // and not yet
	tried    uint64            // a mark on disk may cover the numbers below
	files    map[uint64]*state // what stands in rec/
	pending  map[uint64]uint64 // id to sequence number of records not known to be on disk
	doubt    map[uint64]error  // ids whose data could not be synced: they count as unsynced from then on
	stems    map[string]bool   // names in quarantine, without extension
	complain bool              // the last group sync failed and was logged
}

// Open locks the spool in dir for this process, creating it when there is none,
// and starts the group sync. identity names server, user and path: a spool
// written for another is refused (RefusedError), as is one written by a newer
// version, and one that another process holds (LockedError). Open reads names
// only; Load reads the records. log may be nil.
func Open(fsys FS, dir, identity string, log *slog.Logger) (*Spool, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{fs: fsys, dir: dir, log: log.With("spool", dir),
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
		inflight: map[uint64]bool{}, files: map[uint64]*state{}, pending: map[uint64]uint64{},
		doubt: map[uint64]error{}, stems: map[string]bool{}}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	var err error
	if s.lock, err = flock(fsys, dir); err != nil {
		return nil, err
	}
	if err := s.prepare(identity); err != nil {
		s.lock.Close()
		return nil, err
	}
	s.ballast()
	s.reserveMarks()
	s.done.Go(func() {
		defer lastwords.OnPanic()
		s.groupSyncs()
	})
	return s, nil
}

// prepare checks the identity, makes the directories, and finds numbers to go on from.
func (s *Spool) prepare(identity string) error {
	if err := s.identify(identity); err != nil {
		return err
	}
	for _, d := range []string{"rec", "data", "intent", "quarantine", "discarded", "spare", "ballast"} {
		if err := s.fs.MkdirAll(s.path(d)); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	b, err := s.fs.ReadFile("/proc/sys/kernel/random/boot_id")
	if s.boot = strings.TrimSpace(string(b)); err != nil || s.boot == "" {
		// Without it each start is taken for a new boot: safe, and what was
		// not synced has to be settled by hand.
		s.log.Warn("cannot tell one boot from another; unsynced files will be quarantined at the next start", "err", err)
		s.boot = ""
	}
	highest, records, err := s.survey()
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.readMark(records); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.next = max(s.ceiling, highest, s.next)
	s.old, s.first = s.next, s.next+1
	return nil
}

// identify compares the file id with what this build and mount are, or writes it
// in a new spool.
func (s *Spool) identify(identity string) error {
	path := s.path("id")
	var id struct {
		Format   int  `json:"format"`
		Identity text `json:"identity"`
	}
	b, err := s.fs.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		names, err := s.fs.ReadDir(s.path("rec"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("spool: %w", err)
		}
		if len(names) > 0 {
			return &RefusedError{s.dir, "holds files, but the file id, which says for which server, is missing"}
		}
		id.Format, id.Identity = format, text(identity)
		if b, err = json.Marshal(id); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		if err := writeAtomic(s.fs, s.dir, path, append(b, '\n')); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("spool: %w", err)
	}
	err = json.Unmarshal(b, &id) // of a newer format perhaps only in part
	if id.Format > format {
		return &RefusedError{s.dir, fmt.Sprintf("was written by a newer ftpfs (format %d, this one knows %d)", id.Format, format)}
	}
	if err == nil && id.Format < 1 {
		err = fmt.Errorf("format %d", id.Format)
	}
	if err != nil {
		return &RefusedError{s.dir, "the file id cannot be understood: " + err.Error()}
	}
	if string(id.Identity) != identity {
		return &RefusedError{s.dir, fmt.Sprintf("belongs to %q, not to %q", id.Identity, identity)}
	}
	return nil
}

// survey returns the highest number in use by name, and whether there is any record.
func (s *Spool) survey() (highest uint64, records []string, err error) {
	for _, d := range []string{"rec", "data", "intent", "quarantine", "spare"} {
		names, err := s.fs.ReadDir(s.path(d))
		if err != nil {
			return 0, nil, err
		}
		if d == "rec" {
			records = names
		}
		for _, name := range names {
			if d == "quarantine" {
				stem, _, _ := strings.Cut(name, ".")
				s.stems[stem] = true
				name = strings.TrimPrefix(stem, "intent-")
			}
			if n, rest, ok := number(name); ok {
				highest = max(highest, n)
				if d == "spare" && rest == "" {
					s.unripe = append(s.unripe, n)
				}
			}
		}
	}
	return highest, records, nil
}

// number parses the leading digits of a name of ours; rest is what follows them.
func number(name string) (n uint64, rest string, ok bool) {
	i := 0
	for i < len(name) && name[i] >= '0' && name[i] <= '9' {
		i++
	}
	// Numbers stay below 2^62, so that the next ones fit an int64 as well.
	n, err := strconv.ParseUint(name[:i], 10, 62)
	if err != nil || n == 0 || name[0] == '0' {
		return 0, "", false
	}
	return n, name[i:], true
}

func (s *Spool) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *Spool) rec(id uint64, ext string) string {
	return s.path("rec", strconv.FormatUint(id, 10)+ext)
}

func (s *Spool) spareFile(id uint64) string { return s.path("spare", strconv.FormatUint(id, 10)) }

func (s *Spool) data(id uint64) string { return s.path("data", strconv.FormatUint(id, 10)) }

// lockID takes the id's stripe and returns what gives it back.
func (s *Spool) lockID(id uint64) (unlock func()) {
	m := &s.stripes[id%uint64(len(s.stripes))]
	m.Lock()
	return m.Unlock
}

// NewID returns an id never used before in this spool.
func (s *Spool) NewID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next
}

// Quarantined is the number of files in quarantine.
func (s *Spool) Quarantined() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stems)
}

// Close syncs what is pending and lets go of the lock. Writes fail from then on;
// data files that the caller has open stay usable, but the spool may already be
// another process's.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.done.Wait()
	for i := range s.stripes { // let what is under way end
		s.stripes[i].Lock()
		defer s.stripes[i].Unlock()
	}
	err := s.groupSync()
	if cerr := s.lock.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
