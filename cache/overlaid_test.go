package cache

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// utimes sets a time by path.
func (m *mount) utimes(p string, at int64) {
	m.t.Helper()
	n, err := m.walk(p)
	m.must(err)
	defer m.Forget(n)
	when := time.Unix(at, 0)
	_, err = m.SetAttr(context.Background(), n, nil, Set{MTime: &when})
	m.must(err)
}

func (m *mount) attr(p string) Attr {
	m.t.Helper()
	n, err := m.walk(p)
	m.must(err)
	defer m.Forget(n)
	a, err := m.GetAttr(context.Background(), n)
	m.must(err)
	return a
}

// shows compares the time that stat tells, 0 for any that is not old.
func (m *mount) shows(when, p string, want int64) {
	m.t.Helper()
	got := m.attr(p).MTime.Unix()
	if want == 0 && got < 900_000_000 || want != 0 && got != want {
		m.t.Errorf("%s: the time of %s is %d, want %d", when, p, got, want)
	}
}

const longAgo = 500_000_000 // before the clock of synctest begins

// remount ends the daemon in an orderly way and starts another.
func (m *mount) remount() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.must(m.Tree.Close(ctx))
	m.open()
}

// Servers that cannot set what the names say.
var unsettable = map[string]mem.Options{
	"no times":                        {NoTimes: true, NoModes: true},
	"no times, told by the minute":    {NoTimes: true, NoModes: true, MGrain: time.Minute, CostlyStat: true},
	"no times, told in listings only": {NoTimes: true, NoModes: true, MGrain: time.Minute, ListTimes: true, ListModes: true, CostlyStat: true},
	"no times, unique ids":            {NoTimes: true, NoModes: true, Unique: true},
}

// A time and a mode that the server cannot keep are shown over restarts, after kill -9
// too, until the server's file is another; renames take them along.
func TestWhatTheServerCannotKeepIsKeptHere(t *testing.T) {
	for name, o := range unsettable {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(o)
				m := mountMem(t, store, nil)
				m.must(m.mkdir("/d"))
				m.must(m.mkdir("/d/e"))
				for _, p := range []string{"/f", "/d/g", "/d/e/h", "/new"} {
					m.must(m.write(p, []byte("content")))
					m.utimes(p, longAgo)
				}
				m.chmod("/d/g", 0o640)
				m.sync()
				m.utimes("/f", longAgo+1) // of a clean file
				m.chmod("/f", 0o751)
				m.utimes("/d/e", longAgo+2)
				m.utimes("/d", longAgo+3)
				check := func(when string) {
					t.Helper()
					m.shows(when, "/f", longAgo+1)
					m.shows(when, "/d/g", longAgo)
					m.shows(when, "/d/e/h", longAgo)
					m.shows(when, "/d/e", longAgo+2)
					m.shows(when, "/d", longAgo+3)
					if f, g := m.attr("/f").Mode, m.attr("/d/g").Mode; f != 0o751 || g != 0o640 {
						t.Errorf("%s: modes %o and %o", when, f, g)
					}
				}
				check("at once")
				time.Sleep(10 * time.Minute)
				check("later")
				m.remount()
				check("after a restart")
				time.Sleep(10 * time.Minute)
				check("a while after the restart")
				m.must(m.rename("/d", "/moved"))
				m.must(m.rename("/f", "/f2"))
				m.crash()
				m.shows("renamed, and killed", "/f2", longAgo+1)
				m.shows("below what was renamed, and killed", "/moved/g", longAgo)
				m.shows("deeper", "/moved/e/h", longAgo)
				m.shows("the directory in it", "/moved/e", longAgo+2)

				time.Sleep(10 * time.Minute)
				m.must(store.Disk().WriteFile("/f2", []byte("another"))) // as long
				m.must(store.Disk().WriteFile("/moved/g", []byte("longer content")))
				m.must(store.Disk().WriteFile("/moved/e/theirs", nil))
				m.must(m.remove("/moved/e/h"))
				m.must(m.write("/moved/e/h", []byte("content")))
				m.sync()
				for _, when := range []string{"changed by somebody else", "and a restart"} {
					m.shows(when, "/f2", 0)
					m.shows(when, "/moved/g", 0)
					m.shows(when, "/moved/e", 0)
					m.shows("removed and made again", "/moved/e/h", 0)
					m.remount()
				}
				m.shows("nobody touched it", "/new", longAgo)
			})
		})
	}
}

// While the mount is down somebody changes files.
func TestAChangeWhileUnmountedIsSeen(t *testing.T) {
	for name, o := range unsettable {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(o)
				m := mountMem(t, store, nil)
				for _, p := range []string{"/same", "/changed"} {
					m.must(m.write(p, []byte("content")))
					m.utimes(p, longAgo)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				m.must(m.Tree.Close(ctx)) // right after the upload
				time.Sleep(10 * time.Minute)
				m.must(store.Disk().WriteFile("/changed", []byte("another")))
				m.open()
				m.shows("changed while unmounted", "/changed", 0)
				m.shows("not changed", "/same", longAgo)
			})
		})
	}
}

// A listing that was evicted takes no time with it.
func TestAnEvictedListingKeepsWhatWasSet(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{NoTimes: true}), func(c *Config) { c.MaxEntries = 50 })
	for _, d := range []string{"/a", "/b"} {
		m.must(m.mkdir(d))
		for _, f := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
			for _, g := range []string{"x", "y", "z"} {
				m.must(m.write(d+"/"+f+g, nil))
				m.utimes(d+"/"+f+g, longAgo)
			}
		}
		m.sync()
	}
	m.names("/a")
	m.names("/b")
	m.names("/a")
	m.shows("after others were listed", "/a/1x", longAgo)
	m.shows("after others were listed", "/b/9z", longAgo)
}

// The table's file that cannot be written or read costs the times, and nothing else.
func TestTheOverlaysFileMayBeMissing(t *testing.T) {
	store := mem.New(mem.Options{NoTimes: true})
	m := mountMem(t, store, nil)
	m.must(os.Mkdir(filepath.Join(m.cfg.StateDir, "overlay"), 0o700))
	m.must(m.write("/f", []byte("content")))
	m.utimes("/f", longAgo)
	m.sync()
	m.shows("not written", "/f", longAgo)
	m.remount()
	m.shows("lost", "/f", 0)
	m.wantRead("/f", "content")
	m.must(os.Remove(filepath.Join(m.cfg.StateDir, "overlay")))
	m.utimes("/f", longAgo+5)
	m.remount()
	m.shows("there again", "/f", longAgo+5)
}

// A server that can set times has no overlay, and pays nothing for it.
func TestNothingIsKeptForAServerThatCan(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), nil)
	m.must(m.write("/f", []byte("content")))
	m.utimes("/f", longAgo)
	m.sync()
	m.utimes("/f", longAgo+1)
	m.remount()
	m.shows("the server's", "/f", longAgo+1)
	if _, err := os.Stat(filepath.Join(m.cfg.StateDir, "overlay")); err == nil || m.overlay.Len() > 0 {
		t.Errorf("%d names are overlaid (%v)", m.overlay.Len(), err)
	}
}

// The server's own change of a mode counts.
func TestAModeOfSomebodyElseIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{NoModes: true})
		m := mountMem(t, store, nil)
		m.must(m.write("/f", []byte("content")))
		m.sync()
		m.chmod("/f", 0o600)
		time.Sleep(10 * time.Minute)
		if got := m.attr("/f").Mode; got != 0o600 {
			t.Errorf("mode %o", got)
		}
		m.must(store.Disk().Chmod("/f", 0o444))
		time.Sleep(10 * time.Minute)
		if got := m.attr("/f").Mode; got != 0o444 {
			t.Errorf("after somebody set it: mode %o", got)
		}
		m.remount()
		if got := m.attr("/f").Mode; got != 0o444 {
			t.Errorf("after the restart: mode %o", got)
		}
	})
}
