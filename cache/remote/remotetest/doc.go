// Package remotetest is the contract of remote.Store as a test suite: what each
// method promises in its doc comment, each success and each kind of failure, run
// against any implementation. It owns no policy and knows no protocol; what one
// server cannot do is told to it in Limits, so that a limit is written down
// where it is known and everything else must hold.
//
// Where a Subject gives access behind the Store's back (Behind), what a method
// says is compared with what is really on the server; without it, only with what
// other methods say.
package remotetest

import (
	"context"
	"slices"
	"testing"

	"ftpfs/cache/remote"
)

// Subject is a Store on an empty directory.
type Subject struct {
	Store  remote.Store
	Behind Behind // nil: none
	Limits Limits
	Tag    string // names with it are temporary ones to the Store; "": all are alike

	// Freeze makes the server stop answering, with its connections open, until
	// Thaw; both nil where that cannot be done.
	Freeze, Thaw func()
}

// Limits are what a server cannot do. The zero value is one that can do all.
type Limits struct {
	NoReplace    bool // renaming over an existing name is refused
	NoTimes      bool // times cannot be set
	NoDirTimes   bool // times of directories cannot be set
	NoModes      bool // modes cannot be set
	NoAppend     bool // Write at an offset is refused
	NoSums       bool // Checksum is refused
	FollowsLinks bool // a symlink is told as what it points to
	HidesLost    bool // a symlink to nothing is not listed
	ListsLost    bool // or is told of in listings only
	ListsModes   bool // the mode of one name is told by a pattern
	TellsNoMode  bool // the mode of one name is not told, but in a listing
	NoLinks      bool // the server has only files and directories

	// Refuses says that a file or directory of this name cannot be created (or
	// not under this very name); it must then be refused without any harm. The
	// suite also takes success for an answer if the name is kept exactly.
	Refuses func(name string) bool
	// RefusesDir is the same for directories; nil: as Refuses.
	RefusesDir func(name string) bool
	// RefusesMode says that the mode of a file of this name cannot be set.
	RefusesMode func(name string) bool
}

// suite is one Subject under test.
type suite struct {
	Subject
	t   *testing.T
	ctx context.Context
}

type part struct {
	name string
	run  func(*suite)
}

var parts = []part{
	{"List", (*suite).list},
	{"ListMany", (*suite).listMany},
	{"Stat", (*suite).stat},
	{"Links", (*suite).links},
	{"Remove", (*suite).remove},
	{"Mkdir", (*suite).mkdir},
	{"Rmdir", (*suite).rmdir},
	{"Rename", (*suite).rename},
	{"RenameDir", (*suite).renameDir},
	{"Top", (*suite).top},
	{"Names", (*suite).names},
	{"NamesRefused", (*suite).namesRefused},
	{"NamesNeighbours", (*suite).namesNeighbours},
	{"NamesTooLong", (*suite).namesTooLong},
	{"Write", (*suite).write},
	{"WriteFails", (*suite).writeFails},
	{"WriteWrongSize", (*suite).writeWrongSize},
	{"Append", (*suite).appendTo},
	{"Checksum", (*suite).checksum},
	{"Open", (*suite).open},
	{"OpenEarlyClose", (*suite).openEarlyClose},
	{"OpenExpect", (*suite).openExpect},
	{"Publish", (*suite).publish},
	{"Deliver", (*suite).deliver},
	{"PublishRefused", (*suite).publishRefused},
	{"PublishOverNoFile", (*suite).publishOverNoFile},
	{"PublishKeepsTheMode", (*suite).publishKeepsTheMode},
	{"SetAttr", (*suite).setAttr},
	{"SetAttrDir", (*suite).setAttrDir},
	{"Statfs", (*suite).statfs},
	{"Cancel", (*suite).cancel},
	{"CancelTransfer", (*suite).cancelTransfer},
	{"Frozen", (*suite).frozen},
	{"Parallel", (*suite).parallel},
	{"Close", (*suite).close},
}

// Run runs the suite, or only some parts of it. open is called for each part with that part's test; the
// Store it gives is closed by the suite, the rest by open's own cleanups.
func Run(t *testing.T, open func(t *testing.T) Subject, only ...string) {
	for _, name := range only {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			t.Errorf("the suite has no part %q", name)
		}
	}
	for _, part := range parts {
		if len(only) > 0 && !slices.Contains(only, part.name) {
			continue
		}
		t.Run(part.name, func(t *testing.T) {
			s := &suite{Subject: open(t), t: t, ctx: t.Context()}
			t.Cleanup(func() {
				if err := s.Store.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			part.run(s)
		})
	}
}
