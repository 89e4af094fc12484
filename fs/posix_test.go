package fs

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// whyNot are the parts of POSIX that FTP has not, by the name of their test.
var whyNot = map[string]string{
	"FcntlFlockLocksFile": "wants a conflict inside one process, which POSIX locks do not have; go-fuse skips it too",
	"Fallocate":           "FTP cannot reserve space; EOPNOTSUPP, and libc writes zeros instead",
	"FallocateKeepSize":   "FTP cannot reserve space",
	"Link":                "FTP has no hard links",
	"LinkUnlinkRename":    "FTP has no hard links",
	"OpenSymlinkRace":     "FTP cannot make symlinks",
	"SetattrSymlink":      "FTP cannot make symlinks",
	"SymlinkReadlink":     "FTP cannot make symlinks",
	"Tmpfile":             "over FTP a file has a name",
	"XAttr":               "FTP has no extended attributes",
	"XAttrLarge":          "FTP has no extended attributes",
}

func TestPosix(t *testing.T) {
	d := start(t, order{})
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			if why, ok := whyNot[name]; ok {
				t.Skip("by design: " + why)
			}
			dir := d.path(name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, dir)
		})
	}
}
