// Package control is how the ftpfs command talks to the daemon behind a mount: a
// Unix socket, one request a connection, JSON lines. It owns the framing, who may
// speak to whom (the same user, or root, by the kernel's word), and that a client
// that goes away ends its request. What the requests do is the daemon's.
//
//	→ {"op":"sync","path":"/"}
//	← {"progress":{…}}            any number
//	← {"result":{…}}  or  {"error":"…"}
//
// Locks: Server.mu guards the set of connections and is a leaf.
package control

import (
	"encoding/json"
	"time"

	"ftpfs/cache"
	"ftpfs/ftpconn"
)

// Op names a request.
type Op string

const (
	OpStatus  Op = "status"  // → Status
	OpSync    Op = "sync"    // waits; progress cache.Progress; → Settled
	OpUnmount Op = "unmount" // drains, unmounts; progress cache.Progress; → Settled
	OpRelease Op = "release" // a daemon whose mount is gone stops draining and ends
	OpRetry   Op = "retry"   // → Count
	OpDiscard Op = "discard" // → Count
)

// Request is what a client asks.
type Request struct {
	Op   Op     `json:"op"`
	Path string `json:"path,omitempty"` // within the mount, raw bytes; "/" is everything
	// PathBytes carries Path when it is not UTF-8, which JSON would change.
	PathBytes []byte `json:"path_bytes,omitempty"`

	Limit  time.Duration `json:"limit,omitempty"`  // sync, unmount: wait this long at most; 0: no limit; <0: do not wait
	Stall  time.Duration `json:"stall,omitempty"`  // sync, unmount: give up after no progress for so long; 0: never
	Closed bool          `json:"closed,omitempty"` // sync of everything but what is open for writing
	Lazy   bool          `json:"lazy,omitempty"`   // unmount: also when busy, detaching
}

// Settled is the end of a sync or unmount.
type Settled struct {
	Outcome   Outcome `json:"outcome"`
	Files     int     `json:"files"` // that arrived while waiting
	Bytes     int64   `json:"bytes"`
	Owed      int     `json:"owed_files"`
	OwedBytes int64   `json:"owed_bytes"`
	Open      int     `json:"open_files,omitempty"` // of Owed: a program has, or had, them open for writing
	Parked    int     `json:"parked_files"`
	Online    bool    `json:"online"`
	GaveUp    string  `json:"gave_up,omitempty"` // why it did not wait on
	LastError string  `json:"last_error,omitempty"`
	Refused   string  `json:"login_refused,omitempty"` // the server's words; nothing is sent meanwhile
	SpoolDir  string  `json:"spool_dir,omitempty"`
	Unmounted bool    `json:"unmounted,omitempty"`
	PID       int     `json:"pid,omitempty"` // unmount: of the daemon, which ends now
}

// Outcome spells cache.Outcome.
type Outcome string

const (
	AllThere   Outcome = "all there"
	StillOwed  Outcome = "still owed"
	SomeParked Outcome = "some parked"
)

// OutcomeOf spells o.
func OutcomeOf(o cache.Outcome) Outcome {
	switch o {
	case cache.AllThere:
		return AllThere
	case cache.SomeParked:
		return SomeParked
	}
	return StillOwed
}

// Count answers retry and discard.
type Count struct {
	Files int    `json:"files"`
	Kept  string `json:"kept,omitempty"`  // discard: where the copies are
	Login bool   `json:"login,omitempty"` // retry: the login, which was refused, is tried again
}

// Status of one mount.
type Status struct {
	URL         string        `json:"url"`
	Mountpoint  string        `json:"mountpoint"`
	State       string        `json:"state"` // mounted, draining, detached
	PID         int           `json:"pid"`
	Version     string        `json:"version"`
	Since       time.Time     `json:"since"`
	Log         string        `json:"log,omitempty"` // file; "" when it logs to stderr
	Cache       cache.Status  `json:"cache"`
	Connections ftpconn.Stats `json:"connections"`
}

type frame struct {
	Progress json.RawMessage `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// maxRequest bounds a request in bytes; a path has at most 4,096.
const maxRequest = 64 << 10
