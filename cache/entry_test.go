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
