package mounted

import (
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"ftpfs/test/ftpscript"
	"ftpfs/test/servers"
)

// posixSkips are go-fuse's tests that ask for what FTP has not, each with the
// reason.
var posixSkips = map[string]string{
	"Link":             "FTP has no hard links",
	"LinkUnlinkRename": "FTP has no hard links",
	"NlinkZero":        "it needs a hard link",
	"SymlinkReadlink":  "FTP cannot make symlinks",
	"SetattrSymlink":   "FTP cannot make symlinks",
	"OpenSymlinkRace":  "FTP cannot make symlinks",
	"XAttr":            "only user.ftpfs.state is an extended attribute",
	"XAttrLarge":       "only user.ftpfs.state is an extended attribute",
	"Fallocate":        "FTP cannot reserve space",
	// POSIX locks of one process never conflict, on ext4 neither: the test wants
	// a file system that does its own locking.
	"FcntlFlockLocksFile": "locks are the kernel's own",
	"FallocateKeepSize":   "FTP cannot reserve space",
	"Tmpfile":             "over FTP a file has a name",
}

// TestPosix runs go-fuse's own suite against the real program.
func TestPosix(t *testing.T) {
	t.Run("scripted", func(t *testing.T) {
		t.Parallel()
		_, m := scripted(t, ftpscript.Options{})
		posix(t, m.Dir)
	})
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			posix(t, on(t, kind).Dir)
		})
	}
}

// alone is held by the test that counts what this process has open, and shared by those
// that run beside it on the other servers.
var alone sync.RWMutex

func posix(t *testing.T, dir string) {
	for name, test := range posixtest.All {
		t.Run(name, func(t *testing.T) {
			if why, ok := posixSkips[name]; ok {
				t.Skip("by design: " + why)
			}
			if name == "FdLeak" {
				alone.Lock()
				defer alone.Unlock()
			} else {
				alone.RLock()
				defer alone.RUnlock()
			}
			test(t, mkdir(t, dir+"/"+name))
		})
	}
}
