// Package listing turns the lines of a directory listing into entries. It owns
// every format a server may list in: the machine-readable facts of MLSD and MLST
// (ParseMLSx, ParseMLST) and the formats that LIST answers with (Parser). It
// knows nothing of connections, replies or which command was sent, and it holds
// no lock: ParseMLSx may be called from anywhere, a Parser from one goroutine at
// a time.
//
// Each line is an entry or a half of one, known noise, or an error, unless it is
// certain to name nothing; none is dropped in silence, because a listing with a name missing makes `rsync --delete` destroy data.
// What a line says that cannot be believed, such as a size in blocks or a date that
// may be two, is unknown in the entry rather than guessed: size -1, MGrain 0.
// Lines come from strangers: nothing here panics, and a name that could point
// out of its directory is an error, never an entry.
//
// Lines are handed in without their line ending, and otherwise byte for byte: a
// blank at the end is part of the name.
package listing

import (
	"errors"
	"fmt"
	"strings"

	"ftpfs/cache/remote"
)

// Class says what a line is.
type Class uint8

const (
	Invalid Class = iota // not understood, or refused; comes with an error
	IsEntry              // a name in the directory
	Noise                // known to name nothing: "total 12", a blank line, "." and ".."
	Half                 // the beginning of an entry that ends in the next line
	Strange              // not known, but names nothing: it has no letter and no digit
)

func (c Class) String() string {
	switch c {
	case IsEntry:
		return "entry"
	case Noise:
		return "noise"
	case Half:
		return "half"
	case Strange:
		return "strange"
	}
	return "invalid"
}

var (
	// ErrHostile is a name that no honest server sends in a listing: with a
	// slash or NUL in it, empty, or ".." for something that is not a directory.
	ErrHostile = errors.New("name refused")
	// ErrSyntax is a line in no format known here.
	ErrSyntax = errors.New("line not understood")
	// ErrAmbiguous is a line that two formats read, before it is known which of them
	// the listing is in.
	ErrAmbiguous = errors.New("line can be read in two ways")
)

// maxLine bounds the work spent on a line; names end at 255 bytes nearly
// everywhere, and symlink targets at 4 KiB.
const maxLine = 16 << 10

// bad is the error for a line; it quotes at most 200 bytes of it.
func bad(why error, line string) error {
	if len(line) > 200 {
		return fmt.Errorf("%w: %q… (%d bytes)", why, line[:200], len(line))
	}
	return fmt.Errorf("%w: %q", why, line)
}

// finish gives an otherwise parsed entry its class by its name.
func finish(e remote.Entry, line string) (remote.Entry, Class, error) {
	if e.Name == "." || e.Name == ".." {
		if e.Type == remote.Dir {
			return e, Noise, nil
		}
		return remote.Entry{}, Invalid, bad(ErrHostile, line)
	}
	if e.Name == "" || strings.ContainsAny(e.Name, "/\x00\n") {
		return remote.Entry{}, Invalid, bad(ErrHostile, line)
	}
	return e, IsEntry, nil
}
