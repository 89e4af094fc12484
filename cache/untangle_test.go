package cache

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
)

func TestUntangle(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	beside := func(p string) string { return besideName(p, "conflict", now, 0) }
	for _, c := range []struct {
		name      string
		old, want []string // the oldest first
	}{
		{"nothing", []string{"/a", "/b/c", "/b/d", "/bb"}, []string{"/a", "/b/c", "/b/d", "/bb"}},
		{"files below a newer one", []string{"/d/x", "/d/sub/y", "/e", "/d"}, []string{beside("/d") + "/x", beside("/d") + "/sub/y", "/e", "/d"}},
		{"a file above a newer one", []string{"/d.txt", "/d.txt/x"}, []string{beside("/d.txt"), "/d.txt/x"}},
		{"files above and below", []string{"/d/x/y", "/d/x", "/d"}, []string{beside(beside("/d")+"/x") + "/y", beside("/d") + "/x", "/d"}},
		{"between two newer ones", []string{"/d", "/d/x/y", "/d/x"}, []string{beside("/d"), beside("/d/x") + "/y", "/d/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var recs []spool.Record
			moved := map[uint64]string{}
			for i, p := range c.old {
				recs = append(recs, spool.Record{ID: uint64(i + 1), Seq: uint64(i + 1), Path: p})
				if c.want[i] != p {
					moved[uint64(i+1)] = p
				}
			}
			was := untangle(recs, now)
			var got []string
			for i := range recs {
				got = append(got, recs[i].Path)
			}
			if !slices.Equal(got, c.want) || !maps.Equal(was, moved) {
				t.Errorf("of %q: %q, moved %v; want %q, moved %v", c.old, got, was, c.want, moved)
			}
		})
	}
}

func TestUntangleTakesNoNameTwice(t *testing.T) {
	now := time.Now()
	taken := besideName("/d", "conflict", now, 0)
	recs := []spool.Record{{ID: 1, Path: "/d"}, {ID: 2, Path: taken}, {ID: 3, Path: "/d/x"}}
	untangle(recs, now)
	if recs[0].Path == taken || recs[0].Path == "/d" || recs[1].Path != taken {
		t.Errorf("got %q and %q; want a name of its own for the first", recs[0].Path, recs[1].Path)
	}
}

// An upload of a file that was moved away lay in a directory whose name a file has by now.
func TestUntangleForgetsUploadsBelowAFile(t *testing.T) {
	recs := []spool.Record{{ID: 1, Path: "/y", Temp: "/d/.ftpfs-upload", Resume: true}, {ID: 2, Path: "/d"}}
	if was := untangle(recs, time.Now()); len(was) > 0 || recs[0].Temp != "" || recs[0].Resume || recs[1].Path != "/d" {
		t.Errorf("%v moved, records %+v; want no upload below /d", was, recs)
	}
}

// broughtBack is a mount of which a power cut brings back what it owed before something else: the
// record that before left is dropped when after comes.
func broughtBack(t *testing.T, opts mem.Options, before, after func(*mount)) *mount {
	m := mountMem(t, mem.New(opts), func(c *Config) { c.PublishDelay = time.Hour })
	before(m)
	m.must(m.spool.SyncAll())
	saved := filepath.Join(t.TempDir(), "spool")
	m.must(os.CopyFS(saved, os.DirFS(m.spoolDir())))
	after(m)
	m.stop()
	for _, dir := range []string{"rec", "data"} {
		all, err := os.ReadDir(filepath.Join(saved, dir))
		m.must(err)
		for _, e := range all {
			if id, _, _ := strings.Cut(e.Name(), "."); !isNumber(id) {
				continue
			}
			b, err := os.ReadFile(filepath.Join(saved, dir, e.Name()))
			m.must(err)
			m.must(os.WriteFile(filepath.Join(m.spoolDirOf(), dir, e.Name()), b, 0o600))
		}
	}
	return m
}

func isNumber(s string) bool { _, err := strconv.ParseUint(s, 10, 64); return err == nil }

func (m *mount) spoolDirOf() string { return filepath.Join(m.cfg.StateDir, "spool") }

// takenFrom is where the one file is that NameTaken tells of.
func (m *mount) takenFrom(p string) string {
	m.t.Helper()
	<-m.loaded
	all := m.Status().Conflicts
	if len(all) != 1 || all[0].What != NameTaken || all[0].Path != p {
		m.t.Fatalf("conflicts told: %+v; want that the name of %s is taken", all, p)
	}
	return all[0].Copy
}

// What is owed below a path that is an owed file by now goes out beside it, with the server
// down at first, and after another restart.
func TestAFileOwedBelowAnOwedFileIsKeptBesideIt(t *testing.T) {
	m := broughtBack(t, mem.Options{}, func(m *mount) {
		m.must(m.mkdir("/d"))
		m.must(m.write("/d/x", []byte("older")))
	}, func(m *mount) {
		m.must(m.remove("/d/x"))
		m.must(m.rmdir("/d"))
		m.must(m.write("/d", []byte("newer")))
	})
	m.store.SetOnline(false)
	m.open()
	copied := m.takenFrom("/d/x")
	if s := m.Status(); s.OwedFiles != 2 || s.Parked != 0 {
		t.Errorf("%d files owed, %d parked; want 2, 0", s.OwedFiles, s.Parked)
	}
	m.stop()
	m.store.SetOnline(true)
	m.open()
	if again := m.takenFrom("/d/x"); again != copied {
		t.Errorf("after another start it is %s, and was %s", again, copied)
	}
	m.wantRead("/d", "newer")
	m.wantRead(copied, "older")
	m.sync()
	m.onServer("/d", "newer")
	m.onServer(copied, "older")
	if s := m.Status(); s.SpoolUsed != 0 || s.Quarantined != 0 {
		t.Errorf("%d bytes of spool in use, %d quarantined; want none", s.SpoolUsed, s.Quarantined)
	}
}

func TestAFileOwedAboveAnOwedFileIsKeptBesideIt(t *testing.T) {
	m := broughtBack(t, mem.Options{}, func(m *mount) {
		m.must(m.write("/d.txt", []byte("older")))
	}, func(m *mount) {
		m.must(m.remove("/d.txt"))
		m.must(m.mkdir("/d.txt"))
		m.must(m.write("/d.txt/x", []byte("newer")))
	})
	m.open()
	copied := m.takenFrom("/d.txt")
	m.sync()
	m.onServer("/d.txt/x", "newer")
	m.onServer(copied, "older")
	if path := filepath.Ext(copied); path != ".txt" {
		t.Errorf("the copy is %s; want its suffix kept", copied)
	}
	m.must(m.remove(copied))
	if all := m.Status().Conflicts; len(all) != 0 {
		t.Errorf("told still, after the copy was removed: %+v", all)
	}
}

// A patch to a file that is not there any more cannot be sent beside: it is parked, and can be
// discarded.
func TestAPatchBelowAnOwedFileIsParked(t *testing.T) {
	m := broughtBack(t, mem.Options{}, func(m *mount) {
		m.must(m.store.Disk().Mkdir("/d"))
		m.must(m.store.Disk().WriteFile("/d/x", pattern(1, 3<<20)))
		hold := m.store.HoldOp(mem.OpRead, "/d/x")
		t.Cleanup(hold.Release)
		h, err := m.openAt("/d/x", OpenFlags{Read: true, Write: true})
		m.must(err)
		m.writeAt(h, []byte("patch"), 1<<20)
		m.closeFile(h)
	}, func(m *mount) {
		m.must(m.remove("/d/x"))
		m.must(m.rmdir("/d"))
		m.must(m.write("/d", []byte("newer")))
	})
	m.open()
	copied := m.takenFrom("/d/x")
	if out, err := m.Sync(t.Context(), "/", func(Progress) {}); out != SomeParked || err != nil {
		t.Fatalf("sync: %v, %v; want that something is parked", out, err)
	}
	m.onServer("/d", "newer")
	if _, ok := m.store.Disk().Stat(copied); ok {
		t.Error("the server has a file of which only a part is here")
	}
	if n, err := m.Retry(copied); n != 1 || err != nil {
		t.Errorf("retry: %d files, %v; want 1", n, err)
	}
	if out, err := m.Sync(t.Context(), "/", func(Progress) {}); out != SomeParked || err != nil {
		t.Fatalf("sync after retry: %v, %v; want that something is parked", out, err)
	}
	n, kept, err := m.Discard(copied)
	if n != 1 || err != nil {
		t.Fatalf("discard: %d files, %v; want 1", n, err)
	}
	found, err := filepath.Glob(filepath.Join(kept, "*"))
	if err != nil || len(found) == 0 {
		t.Errorf("nothing is in %s, err %v", kept, err)
	}
	m.sync()
}

// The time that is owed of a directory whose name is a file's by now is of no use to anybody.
func TestTheTimeOfADirectoryThatIsAFileByNowIsForgotten(t *testing.T) {
	at := time.Unix(1_000_000_000, 0)
	m := broughtBack(t, mem.Options{}, func(m *mount) {
		m.must(m.mkdir("/d"))
		m.must(m.write("/d/x", []byte("older")))
		n, err := m.walk("/d")
		m.must(err)
		defer m.Forget(n)
		_, err = m.SetAttr(t.Context(), n, nil, Set{MTime: &at})
		m.must(err)
	}, func(m *mount) {
		m.must(m.remove("/d/x"))
		m.must(m.rmdir("/d"))
		m.must(m.write("/d", []byte("newer")))
	})
	m.open()
	m.takenFrom("/d/x")
	m.sync()
	m.onServer("/d", "newer")
	if e, _ := m.store.Disk().Stat("/d"); e.Type != remote.File || e.MTime.Equal(at) {
		t.Errorf("the server has %+v; want a file, and not the directory's time", e)
	}
	m.stop()
	m.open()
	<-m.loaded
	if s := m.Status(); s.Quarantined != 0 {
		t.Errorf("%d records in quarantine", s.Quarantined)
	}
	if left, _ := filepath.Glob(filepath.Join(m.spoolDir(), "rec", "*.json")); len(left) != 0 {
		t.Errorf("records left in the spool: %q", left)
	}
}
