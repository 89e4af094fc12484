package mounted

import (
	"testing"
	"time"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// everyday is the work that has to go well on every server. Each case has a
// directory of its own in one mount.
var everyday = []struct {
	name string
	do   func(t *testing.T, w work, dir string)
}{
	{"rsync in and again", rsyncInAndAgain},
	{"cp -r out", copyOut},
	{"cp -a in", copyIn},
	{"git", gitWork},
	{"tar x", tarExtract},
	{"mv and rm -r", moveAndRemove},
	{"sqlite", sqliteRollback},
	{"sqlite WAL", sqliteWAL},
	{"vim", vimItself},
	{"vim's save", vimSave},
	{"LibreOffice's save", libreOfficeSave},
	{"sed -i", sedInPlace},
	{"patch in the middle of 20 MiB", patchInTheMiddle},
	{"truncate", truncate},
	{"append by two processes", appendByTwo},
	{"O_EXCL", exclusiveCreate},
	{"unlink while open", unlinkWhileOpen},
	{"rename while open", renameWhileOpen},
	{"mmap", mmapSharedAndPrivate},
	{"awkward names", awkwardNames},
	{"names of 255 bytes", longNames},
	{"newline in a name", newlineInName},
	{"empty file", emptyFile},
	{"random writes", randomWrites},
	{"times and modes", timesAndModes},
	{"what FTP has not", refusals},
	{"5,000 files in a directory", manyFiles},
}

// TestEverydayWork does all of it on each server, and then compares the server's
// own directory with the mount.
func TestEverydayWork(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		if testing.Short() && w.srv.Kind != servers.ProFTPD {
			t.Skip("by design: with -short on one server only")
		}
		for _, c := range everyday {
			t.Run(c.name, func(t *testing.T) {
				if testing.Short() && c.name == "5,000 files in a directory" {
					t.Skip("by design: not with -short")
				}
				if !w.Alive() {
					t.Fatal("the mount has gone")
				}
				w.Watch(5 * time.Minute) // against hanging; a busy machine is allowed to be slow
				c.do(t, w, mkdir(t, w.Path("work of "+c.name)))
			})
		}
		if !w.Alive() {
			t.Fatal("the mount has gone")
		}
		w.Watch(3 * time.Minute)
		w.Sync()
		same(t, w.srv.Root, w.Dir)
		noTemporaryNames(t, w.srv.Root)
		if s := w.Status(); s.Cache.Owed+s.Cache.Parked+s.Cache.Quarantined != 0 {
			t.Errorf("after sync: %+v, want nothing owed, parked or quarantined", s.Cache)
		}
		w.Unmount()
	}, "dir_cache_time=1") // cases put files on the server and wait until they are seen
}

// behind is where a path of the mount is on the server's own disk.
func (w work) behind(path string) string { return w.srv.Root + path[len(w.Dir):] }

// there syncs, and compares a directory of the mount with the server's.
func (w work) there(t *testing.T, dir string) {
	t.Helper()
	syncNow(t, w.Mount)
	noTemporaryNames(t, w.behind(dir))
	same(t, w.behind(dir), dir)
}

// syncNow is ftpfs sync, reported as a failure of the (sub)test that asks.
func syncNow(t *testing.T, m *mount.Mount) {
	t.Helper()
	if r := mount.Ftpfs(t, "sync", m.Dir); r.Code != 0 {
		t.Fatalf("ftpfs sync: exit code %d, want 0: %s%s", r.Code, r.Out, r.Err)
	}
}
