package cache

import (
	"log/slog"
	"time"

	"ftpfs/cache/spool"
)

// Config of a Tree. Zero values choose the default unless said otherwise.
type Config struct {
	CacheDir     string        // clean content; emptied at start
	StateDir     string        // spool, quarantine, discarded; of this server, user and path alone
	Identity     string        // server, user and path in one string: a spool serves only one
	DirCacheTime time.Duration // how old a listing may be before it is refreshed; 0: none is answered twice
	CacheSize    int64         // bytes of clean content on disk (default 10 GiB)
	SpoolSize    int64         // bytes owed on disk (default 10 GiB); write waits, then fails with NoSpace
	MaxEntries   int           // directory entries known at once (default one million)
	Uploads      int           // transfers to the server at once (default: what the store proposes)
	PublishDelay time.Duration // from the last release to the upload (default 400 ms; negative: none)
	MaxDirtyAge  time.Duration // a file that stays open or is reopened for so long is published as it stands (default 5 min; negative: never)
	Quota        int64         // what Statfs gives as the total where the server tells none; 0: unknown
	SyncClose    bool          // Flush waits until the file is on the server
	FsyncServer  bool          // Fsync waits until the file is on the server
	ReadOnly     bool
	Timeout      time.Duration // how long a write waits for spool space (default 30 s)
	Log          *slog.Logger

	// For tests, which have not the time of a large file; others only there.
	tailAbove, leanAbove, maxTail int64         // see tail.go
	earlyStep                     int64         // see early.go
	pauseAfter                    time.Duration // see feed.go
	fs                            spool.FS      // the spool's disk, which also says which boot this is
	maxFiles                      int           // see descriptor.go
	eager                         bool          // whatever is asked for, what follows is fetched ahead: ahead.go
}

func (c Config) withDefaults() Config {
	if c.CacheSize <= 0 {
		c.CacheSize = 10 << 30
	}
	if c.SpoolSize <= 0 {
		c.SpoolSize = 10 << 30
	}
	if c.MaxEntries <= 0 {
		c.MaxEntries = 1_000_000
	}
	switch {
	case c.PublishDelay == 0:
		c.PublishDelay = 400 * time.Millisecond
	case c.PublishDelay < 0:
		c.PublishDelay = 0
	}
	switch {
	case c.MaxDirtyAge == 0:
		c.MaxDirtyAge = 5 * time.Minute
	case c.MaxDirtyAge < 0:
		c.MaxDirtyAge = 0
	}
	if c.maxTail == 0 {
		c.tailAbove, c.leanAbove, c.maxTail = tailAbove, leanAbove, maxTail
	}
	if c.earlyStep <= 0 {
		c.earlyStep = earlyStep
	}
	if c.pauseAfter <= 0 {
		c.pauseAfter = pauseAfter
	}
	if c.fs == nil {
		c.fs = spool.OS
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
