package spool

import (
	"context"
	"log/slog"
	"os"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

type Record struct {
	ID, Seq      uint64
	Path         string
	Dir          bool
	Base         *remote.Version
	Size         int64
	Have, Dirty  ranges.Set
	Open         bool
	Interrupted  bool
	MTime        *time.Time
	Mode         *uint32
	Created      time.Time
	Attempts     int
	LastError    string
	Parked       bool
	Temp, Backup string
	Sent         *remote.Version
}

type Intent struct {
	Seq      uint64
	From, To string
	Dir      bool
	At       time.Time
}

type LockedError struct{ Dir, Holder string }

func (e *LockedError) Error() string { return e.Dir + " is in use by " + e.Holder }

type FS interface{}

var OS FS

type Spool struct{}

func Open(fs FS, dir, identity string, log *slog.Logger) (*Spool, error) { panic("draft") }
func (s *Spool) SetHolder(text string)                                   { panic("draft") }
func (s *Spool) Load(ctx context.Context) ([]Record, []Intent, error)    { panic("draft") }
func (s *Spool) NewID() uint64                                           { panic("draft") }
func (s *Spool) Create(id uint64) (*os.File, error)                      { panic("draft") }
func (s *Spool) OpenData(id uint64) (*os.File, error)                    { panic("draft") }
func (s *Spool) Adopt(id uint64, path string) error                      { panic("draft") }
func (s *Spool) Put(r *Record) error                                     { panic("draft") }
func (s *Spool) Sync(r *Record, f *os.File) error                        { panic("draft") }
func (s *Spool) Drop(id uint64) error                                    { panic("draft") }
func (s *Spool) Detach(id uint64, to string) error                       { panic("draft") }
func (s *Spool) Discard(id uint64) (kept string, err error)              { panic("draft") }
func (s *Spool) PutIntent(in *Intent) error                              { panic("draft") }
func (s *Spool) DropIntent(seq uint64) error                             { panic("draft") }
func (s *Spool) Quarantined() int                                        { panic("draft") }
func (s *Spool) Close() error                                            { panic("draft") }
func Peek(dir string) (owed int, bytes int64, parked int, err error)     { panic("draft") }
