// Package remote is the vocabulary between cache, which decides, and a protocol
// package such as ftpconn, which talks: what a file server can be asked (Store),
// what it tells about a name (Entry), and how it fails (Error, one of a dozen
// kinds). It imports only the standard library, so that a second protocol can
// arrive as a sibling of ftpconn without a change in fs or cache.
//
// Paths are absolute within the mount: "/" is the directory that was mounted,
// components are raw bytes separated by single slashes, never "." or "..",
// without a trailing slash. The Store maps them to the server's own paths.
package remote

import (
	"context"
	"io"
	"time"
)

// Store is a file server. All methods may be called by several goroutines at
// once; each ends with ctx (error kind Canceled) or by its own deadlines (kind
// Timeout), never later. Every error is, or wraps, an *Error.
//
// Doubt is not absence: an error has kind NotExist only when the server said so
// beyond doubt, or when the parent's complete listing lacks the name.
type Store interface {
	// List returns every entry of the directory, without "." and "..", in the
	// server's order, or an error: never a part of the listing. A directory
	// that is not there is NotExist, also on servers that answer with an empty
	// listing for it.
	List(ctx context.Context, dir string) ([]Entry, error)

	// Stat returns what the server says of one path ("/" included). It may cost
	// as much as List of the parent where Caps().CheapStat is false.
	Stat(ctx context.Context, path string) (Entry, error)

	// Open starts reading a file at offset. When expect is not nil and the
	// server's file verifiably differs from it, Open fails with kind Changed;
	// checking must not cost a round trip of its own where commands can share a
	// segment. The reader returns io.EOF only after the server confirmed that
	// the transfer was complete; a connection lost in the middle is another
	// error. Close before EOF aborts the transfer. Reads end with ctx as well
	// as Open itself does. An offset at or past the end reads as empty.
	Open(ctx context.Context, path string, offset int64, expect *Version) (io.ReadCloser, error)

	// Write stores all of r under path, created or replaced, from the beginning
	// or, when offset > 0, appended at exactly that offset, which must be the
	// file's present size (kind Unsupported where the server cannot). It returns
	// once the server has confirmed the whole. size is the number of bytes that
	// r will give, -1 if unknown; a mismatch with what r gave is an error.
	// Write from the beginning on a final name truncates it if it fails: use a
	// temporary name and Publish. Bytes are appended to a final name only where the
	// server was seen to append; after an error other than Unsupported (nothing was
	// sent) any part of r may be there, and Changed is also said when all of it was
	// taken and the file is longer still: look before anything else is sent.
	// All of a short r may be taken before anything is sent, also if then nothing is. If r
	// has a method Again() bool, true says that what it gave is kept until the end: short
	// ones are taken so only then, and a Write from the beginning to a temporary name may end
	// early, with kind Temporary, when others wait for the only connection.
	Write(ctx context.Context, path string, r io.Reader, offset, size int64) error

	// Publish makes the uploaded file tmp appear as p.Path in as few round trips
	// as the server stands: it checks tmp's size, compares the target with
	// p.Expect, sets time and mode, and renames tmp over the target. It returns
	// the published file's entry. Errors: Changed when the target is not as
	// expected (tmp is left as it is, nothing was renamed); ShortWrite when tmp
	// does not have p.Size bytes, Corrupt when it does not have p.Sum; NoReplace when the server refuses to rename
	// over an existing name (nothing was renamed). Failing to set the time or
	// mode is not an error: Published says what was set.
	Publish(ctx context.Context, tmp string, p Publish) (Published, error)

	// Rename moves from to to, replacing a file there where the server can (else
	// NoReplace). A lost reply is settled by looking at both names.
	Rename(ctx context.Context, from, to string) error

	// Remove deletes a file or symlink, never a directory (IsDir). Rmdir deletes
	// an empty directory, never a file (NotDir) or a full one (NotEmpty). Mkdir
	// fails with Exist when the name is taken.
	Remove(ctx context.Context, path string) error
	Mkdir(ctx context.Context, path string) error
	Rmdir(ctx context.Context, path string) error

	// SetAttr sets what is not nil. Where the server has no way to set an
	// attribute, the error's kind is Unsupported and what could be set was set.
	SetAttr(ctx context.Context, path string, a Attr) error

	// Checksum returns what the server computes over a file of exactly size bytes;
	// Changed when it has another size, Unsupported where the server cannot, or not
	// in a time in which it should answer.
	Checksum(ctx context.Context, path string, size int64) (Checksum, error)

	// Storable fails with BadName for a path that cannot be made, because the server
	// would store it under another name, or not at all. It may ask the server, once for
	// all names of a kind. Any other error, and nil, leave it open: what makes the name
	// fails then.
	Storable(ctx context.Context, path string) error

	// Statfs returns the server's space; Unsupported where it will not say.
	Statfs(ctx context.Context) (Space, error)

	// Caps tells what is known of the server so far, without asking it anew.
	Caps() Caps

	// Close ends every connection; operations under way fail with Canceled.
	Close() error
}

// Kind of an entry.
type EntryType uint8

const (
	File EntryType = iota
	Dir
	Symlink
	Other // device, socket, FIFO: shown, not opened
)

// Entry is what a server tells about one name.
type Entry struct {
	Name    string // last component, raw bytes
	Type    EntryType
	Size    int64 // bytes; -1 when the server does not say
	MTime   time.Time
	MGrain  time.Duration // how exact MTime is: time.Second, time.Minute, 24 h; 0 when MTime is unknown
	Mode    uint32        // permission bits (0o7777) if HasMode
	HasMode bool
	Owner   string // as the server spells it; "" when unknown
	Group   string
	Nlink   uint32 // 0 when unknown
	Unique  string // MLSD's unique fact; "" when there is none
	Target  string // of a symlink, as the server spells it; "" when unknown
}

// Version identifies the content of a server's file as well as FTP allows.
type Version struct {
	Size   int64         `json:"size"` // -1 when unknown
	MTime  time.Time     `json:"mtime"`
	MGrain time.Duration `json:"grain,omitempty"` // as in Entry; 0 when MTime is unknown
	Unique string        `json:"unique,omitempty"`
}

// Version of the entry's content.
func (e *Entry) Version() Version {
	return Version{Size: e.Size, MTime: e.MTime, MGrain: e.MGrain, Unique: e.Unique}
}

// Differs says whether v and w are certainly not the same content. Times are
// compared at the coarser of both grains; what one side does not know does not
// count, save that a file never equals nothing.
func (v Version) Differs(w Version) bool {
	if v.Size >= 0 && w.Size >= 0 && v.Size != w.Size {
		return true
	}
	if v.Unique != "" && w.Unique != "" && v.Unique != w.Unique {
		return true
	}
	if v.MGrain == 0 || w.MGrain == 0 {
		return false
	}
	g := max(v.MGrain, w.MGrain)
	d := v.MTime.Sub(w.MTime)
	return d <= -g || d >= g
}

// Attr names the attributes to set; nil leaves one alone.
type Attr struct {
	MTime *time.Time // whole seconds
	Mode  *uint32    // permission bits
}

// Publish says what a temporary file is to become.
type Publish struct {
	Path   string
	Size   int64      // the size tmp must have
	Expect *Version   // the version that may be replaced; nil: Path must not exist
	Force  bool       // replace whatever is there; Expect is ignored
	MTime  *time.Time // whole seconds; nil: leave the server's
	Mode   *uint32    // nil: leave the server's
	// Kept says that nobody asked for Mode: it is what the replaced file had when it was
	// last looked at. Where the server tells its mode with what is checked anyway, that is
	// set.
	Kept bool
	// Sum is what was sent, computed meanwhile, or nil: where the server computes the same
	// and that costs little, tmp is published only if both agree.
	Sum *Checksum
	// Unlisted says that Path is not known from a listing of late to be free: where the
	// check alone cannot tell a device or a link to nothing from nothing, more is asked.
	Unlisted bool
	// Among is how many names the directory is known to have, 0 if that is not known: some
	// servers read all of them to tell of one, and are not asked in large directories.
	Among int
}

// Published is the outcome of a Publish.
type Published struct {
	Entry            Entry // of Path as it is now; MTime as set, or as the server says
	TimeSet, ModeSet bool  // whether what was asked for was done
}

// Space on the server, in bytes; -1 is unknown.
type Space struct {
	Total, Free int64
}

// Caps is what is known of a server.
type Caps struct {
	CheapStat  bool   // Stat of one path is one round trip
	HidesDots  bool   // List may leave out names that begin with a dot; Stat knows them
	SetMTime   bool   // times of files can be set
	SetMode    bool   // SITE CHMOD works
	Append     bool   // Write at an offset was proved
	NoAppend   bool   // it was refused, or disproved
	Sum        string // algorithm by which Publish compares, as in Checksum; "" is not at all
	FoldsCase  bool   // names that differ by case only are one name
	Ahead      int    // how many transfers and listings may run ahead of the asking; 0: none. See Ahead
	MaxUploads int    // how many transfers it makes sense to run at once; at least 1
	MaxShort   int    // the same if one more of a file up to Short is begun; counts if it is more
	Software   string
}
