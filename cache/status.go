package cache

import (
	"sort"
	"time"
	"unicode/utf8"
)

// OwedFile is one line of a Status.
type OwedFile struct {
	Path     string    `json:"path"`
	Bytes    []byte    `json:"path_bytes,omitempty"` // of the path, when it is not UTF-8, which JSON would change
	Size     int64     `json:"size"`
	Sent     int64     `json:"sent"`           // of the upload under way
	State    string    `json:"state"`          // open, waiting, uploading, parked, interrupted
	Open     bool      `json:"open,omitempty"` // a program has it open for writing, whatever the state
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitempty"` // last one
}

// Status is what a person wants to know of a mount.
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
	Open        int        `json:"open_files"`   // of OwedFiles: a program has them open for writing
	Parked      int        `json:"parked_files"` // parked and interrupted
	Quarantined int        `json:"quarantined"`
	Conflicts   []Conflict `json:"conflicts"` // of the last 30 days, oldest first; at most 100
	Owed        []OwedFile `json:"owed"`      // parked ones too; at most 1,000, parked first, oldest first
}

const statusFiles = 1000

// Status of the tree.
func (t *Tree) Status() Status {
	s := Status{Online: true, CacheUsed: t.disk.held.Load(), CacheSize: t.cfg.CacheSize, SpoolUsed: t.space.inUse(),
		SpoolSize: t.cfg.SpoolSize, SpoolDir: t.spoolDir(), Quarantined: t.spool.Quarantined(), Owed: []OwedFile{}}
	if h, ok := t.store.(health); ok {
		up, since, last := h.Health()
		s.Online = up
		if !up {
			s.DownSince = &since
			if last != nil {
				s.LastError = last.Error()
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Entries, s.Listings = t.lists.entries, t.lists.order.Len()
	s.Conflicts = append([]Conflict{}, t.conflicts...)
	if t.loadErr != nil && s.LastError == "" {
		s.LastError = t.loadErr.Error()
	}
	for f := range t.owed {
		if f.parked != nil || f.interrupted {
			s.Parked++
		} else {
			s.OwedFiles++
			s.OwedBytes += f.size
			if f.writers > 0 {
				s.Open++
			}
		}
		s.Owed = append(s.Owed, f.lineLocked())
	}
	rank := func(o *OwedFile) int {
		if o.State == "parked" || o.State == "interrupted" {
			return 0
		}
		return 1
	}
	sort.Slice(s.Owed, func(i, j int) bool {
		a, b := &s.Owed[i], &s.Owed[j]
		if rank(a) != rank(b) {
			return rank(a) < rank(b)
		}
		if !a.Since.Equal(b.Since) {
			return a.Since.Before(b.Since)
		}
		return a.Path < b.Path
	})
	s.Owed = s.Owed[:min(len(s.Owed), statusFiles)]
	return s
}

func (f *File) lineLocked() OwedFile {
	o := OwedFile{Path: f.node.pathLocked(), Size: f.size, State: f.stateLocked(), Open: f.writers > 0, Since: f.created, Attempts: f.attempts}
	if !utf8.ValidString(o.Path) {
		o.Bytes = []byte(o.Path)
	}
	if f.ship != nil {
		o.Sent = f.sentBytes.Load()
	}
	if err := f.lastErrorLocked(); err != nil {
		o.Error = err.Error()
	}
	return o
}

func (f *File) stateLocked() string {
	switch {
	case f.parked != nil:
		return "parked"
	case f.interrupted:
		return "interrupted"
	case f.ship != nil:
		return "uploading"
	case f.writers > 0:
		return "open"
	}
	return "waiting"
}

// Name is the path's own bytes.
func (o *OwedFile) Name() string {
	if o.Bytes != nil {
		return string(o.Bytes)
	}
	return o.Path
}

// State of one file as user.ftpfs.state shows it: clean, dirty, uploading,
// interrupted, or "parked: 552 …".
func (t *Tree) State(n *Node) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := n.file
	if f == nil || !f.owed {
		return "clean"
	}
	switch s := f.stateLocked(); s {
	case "parked":
		return "parked: " + f.parked.Error()
	case "open", "waiting":
		return "dirty"
	default:
		return s
	}
}
