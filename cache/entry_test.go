package cache

import (
	"testing"
	"time"

	"ftpfs/cache/remote"
)

// vsftpd tells modes in listings only: what SIZE and MDTM say of a file does not make
// its mode the default one.
func TestAModeIsNotForgottenForAnAnswerWithoutOne(t *testing.T) {
	at := time.Unix(1700000000, 0)
	listed := remote.Entry{Name: "f", Type: remote.File, Size: 3, MTime: at, MGrain: time.Second, Mode: 0o600, HasMode: true}
	asked := listed
	asked.Mode, asked.HasMode = 0, false
	changed := asked
	changed.Size, changed.MTime = 4, at.Add(time.Hour)
	dir := asked
	dir.Type = remote.Dir
	other := listed
	other.Mode = 0o640
	for _, c := range []struct {
		name string
		now  remote.Entry
		mode uint16
		has  bool
	}{
		{"the same file, asked for by name", asked, 0o600, true},
		{"changed meanwhile", changed, 0o600, true},
		{"with another mode", other, 0o640, true},
		{"a directory has its place", dir, 0, false},
	} {
		old, e := packEntry(&listed), packEntry(&c.now)
		e.inherit(&old)
		if e.mode != c.mode || e.flags&hasMode != 0 != c.has {
			t.Errorf("%s: mode %o, %t; want %o, %t", c.name, e.mode, e.flags&hasMode != 0, c.mode, c.has)
		}
	}
}

// The time that was set for a directory on a server that cannot keep it is shown although
// our own last publication in it gave it another there; and until somebody changes it.
func TestTheTimeOfADirectoryOutlivesOurOwnChangesInIt(t *testing.T) {
	dir := func(at int64) entry {
		return packEntry(&remote.Entry{Name: "d", Type: remote.Dir, Size: -1, MTime: time.Unix(at, 0), MGrain: time.Minute})
	}
	e := dir(1700000000)
	e.showTime(time.Unix(1000000000, 0))
	e.flags |= guessed
	listed := dir(1700000040)
	listed.inherit(&e)
	if got := listed.time().Unix(); got != 1000000000 {
		t.Errorf("after the first listing: %d", got)
	}
	again := dir(1700000040)
	again.inherit(&listed)
	if got := again.time().Unix(); got != 1000000000 {
		t.Errorf("after the same once more: %d", got)
	}
	changed := dir(1700000100)
	changed.inherit(&again)
	if got := changed.time().Unix(); got != 1700000100 {
		t.Errorf("after somebody's change: %d", got)
	}
}
