package mem

import (
	"context"
	"errors"
	"maps"
	"time"

	"ftpfs/cache/remote"
)

// The names of operations, as hooks, holds and counters know them: the methods
// of a Store in lower case, "read" for each Read of a file that is open, and
// "data" for each chunk of an upload before it is applied.
const (
	OpList    = "list"
	OpStat    = "stat"
	OpOpen    = "open"
	OpRead    = "read"
	OpWrite   = "write"
	OpData    = "data"
	OpPublish = "publish" // the path is the final one
	OpRename  = "rename"  // the path is the old one
	OpRemove  = "remove"
	OpMkdir   = "mkdir"
	OpRmdir   = "rmdir"
	OpSetAttr = "setattr"
	OpStatfs  = "statfs"
	OpSum     = "checksum"
)

// Hook has fn called before each operation; an error ends it with no effect.
// An error that is not a *remote.Error reads as kind Unknown; one without Op and
// Path gets the operation's. Nil takes the hook away.
func (s *Store) Hook(fn func(op, path string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fn
}

// HookAfter has fn called after each operation that succeeded; an error is
// returned although the effect is there: a lost reply.
func (s *Store) HookAfter(fn func(op, path string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = fn
}

// Hold stops operations on their way to the server.
type Hold struct {
	match   func(op, path string) bool
	arrived chan string
	release chan struct{}
}

// Hold makes every operation that match says yes to wait until Release, or until
// its context ends or the link is cut. A held operation has had no effect yet.
func (s *Store) Hold(match func(op, path string) bool) *Hold {
	h := &Hold{match: match, arrived: make(chan string, 1<<12), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = append(s.holds, h)
	return h
}

// HoldOp holds one kind of operation on one path.
func (s *Store) HoldOp(op, path string) *Hold {
	return s.Hold(func(o, p string) bool { return o == op && p == path })
}

// Arrived gives the path of each operation that began to wait.
func (h *Hold) Arrived() <-chan string { return h.arrived }

// Release lets all pass, now and later. It may be called once.
func (h *Hold) Release() { close(h.release) }

// SetOnline cuts the link (every operation, also those under way, fails with
// kind Down) or mends it. Those who asked by OnHealth are told.
func (s *Store) SetOnline(up bool) {
	s.mu.Lock()
	if up == (s.down == nil) {
		s.mu.Unlock()
		return
	}
	if up {
		s.down = nil
		s.cut = make(chan struct{})
	} else {
		s.down = &remote.Error{Kind: remote.Down, Text: "switched off"}
		close(s.cut)
	}
	s.since = s.disk.now()
	told := append([]func(bool){}, s.health...)
	s.mu.Unlock()
	for _, fn := range told {
		fn(up)
	}
}

// Health says whether the server can be reached, since when, and why not.
func (s *Store) Health() (bool, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down == nil, s.since, s.down
}

// OnHealth has fn called at each change of Health, from the goroutine that
// changed it, without locks held.
func (s *Store) OnHealth(fn func(up bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health = append(s.health, fn)
}

// Count returns how often an operation was asked for, whatever became of it.
func (s *Store) Count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[op]
}

// Counts returns all counters, and ResetCounts sets them to nothing.
func (s *Store) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

func (s *Store) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
	s.bytesIn, s.bytesUp = 0, 0
}

// Bytes returns how much content was read and written through this store.
func (s *Store) Bytes() (read, written int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytesIn, s.bytesUp
}

// Readers returns how many files are open for reading.
func (s *Store) Readers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readers
}

// enter counts an operation and decides whether it may go on. A path that cannot
// be sent ends it before any hook, as it would before the wire.
func (s *Store) enter(ctx context.Context, op, path string) error {
	s.mu.Lock()
	s.counts[op]++
	before := s.before
	var holds []*Hold
	for _, h := range s.holds {
		select {
		case <-h.release:
		default:
			holds = append(holds, h)
		}
	}
	s.holds = holds
	holds = append([]*Hold{}, holds...)
	cut := s.cut
	s.mu.Unlock()

	if err := s.usable(ctx); err != nil {
		return wrap(op, path, err)
	}
	if err := check(path); err != nil {
		return wrap(op, path, err)
	}
	if before != nil {
		if err := before(op, path); err != nil {
			return wrap(op, path, err)
		}
	}
	if asked := remote.Asked(ctx); s.opts.Lazy && asked != nil {
		select {
		case <-asked:
		case <-ctx.Done():
		case <-cut:
		case <-s.done:
		}
	}
	for _, h := range holds {
		if !h.match(op, path) {
			continue
		}
		select {
		case h.arrived <- path:
		default:
		}
		select {
		case <-h.release:
		case <-ctx.Done():
		case <-cut:
		case <-s.done:
		}
	}
	return wrap(op, path, s.usable(ctx))
}

// leave runs the hook behind a success.
func (s *Store) leave(op, path string, err error) error {
	if err != nil {
		return wrap(op, path, err)
	}
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if after == nil {
		return nil
	}
	return wrap(op, path, after(op, path))
}

func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &remote.Error{Kind: remote.Canceled, Text: "store closed"}
	}
	return s.down
}

// wrap makes any error one of a Store, with what was attempted on what.
func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var e *remote.Error
	if errors.As(err, &e) && e == err {
		if e.Op != "" {
			return e
		}
		filled := *e
		filled.Op, filled.Path = op, path
		return &filled
	}
	return &remote.Error{Op: op, Path: path, Kind: remote.KindOf(err), Err: err}
}
