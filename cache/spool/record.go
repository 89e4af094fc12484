package spool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// Record is what is known of one owed file, or of a directory whose attributes
// are owed.
type Record struct {
	ID   uint64 // names the data file; never used twice in the life of the spool
	Seq  uint64 // set by Put, rising over the life of the spool
	Path string // mount path, raw bytes
	Dir  bool   // attributes owed for a directory; there is no data file

	Base        *remote.Version // server version the content is based on; nil: born here
	Size        int64
	Have, Dirty ranges.Set
	Open        bool // a writer had not closed yet
	Interrupted bool // set by Load for records that were Open; kept by Put

	MTime *time.Time
	Mode  *uint32
	// ModeKept says that Mode is the server's, as last told, and was not set here.
	ModeKept bool

	Created   time.Time
	Attempts  int
	LastError string
	Parked    bool

	Resume bool  // Temp holds a beginning of the content as recorded, or will, or nothing; never with Open
	Gone   int64 // bytes before it are on the server alone, in Temp, and in no data file

	Tail *Tail // what is being appended to the server's file under its own name; nil: nothing

	Temp, Backup string          // names on the server in use (mount paths)
	Sent         *remote.Version // size and time intended on the server, so that replay recognises its own publication
}

// Tail is a part of the content, [From, To), of which the server's file may have any
// beginning behind its first From bytes.
type Tail struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Intent is a rename on the server, recorded before it is sent.
type Intent struct {
	Seq      uint64 // set by PutIntent, from the same numbers as a Record's
	From, To string // mount paths
	Dir      bool
	At       time.Time
	Was      *remote.Version // of From, where To is only to hold it for a moment; nil: not known
}

// valid refuses what could not be loaded again.
func (r *Record) valid() error {
	switch {
	case r.ID == 0:
		return errors.New("record without an id")
	case !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("record %d: %q is not a mount path", r.ID, r.Path)
	case r.Size < 0:
		return fmt.Errorf("record %d: size %d", r.ID, r.Size)
	}
	return nil
}

// bare says that no byte of content hangs on the record: it is worth as much as
// its checksum.
func (r *Record) bare() bool { return r.Dir || r.Have.Empty() && r.Dirty.Empty() }

// idle says that a writer had opened the file, and nothing was written yet: who reads it
// back gives its data up, so it must not stand for a later record.
func (r *Record) idle() bool {
	return r.Open && r.Base != nil && r.Dirty.Empty() && r.Size == r.Base.Size
}

// proof is what a record on disk says about its own durability.
type proof struct {
	Boot   string // boot during which it was put
	Synced bool   // the data was on disk when it was written
	Same   bool   // as the record on disk before it had claimed already
}
