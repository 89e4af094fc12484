package cache

import (
	"context"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A publication waits for a rename to end, whole or of a tail. The rename ends without an
// answer: nothing is put under the old name.
func TestAPublicationThatWaitsForARenameWithoutAnAnswerIsNotGoneOnWith(t *testing.T) {
	base := strings.Repeat("x", tailAbove+1)
	for _, c := range []struct{ name, from, to, file, grown string }{
		{"a file", "/f", "/g", "", "ours"},
		{"a directory", "/d", "/e", "/f", "ours"},
		{"a tail", "/f", "/g", "", base + "ours"},
		{"a tail in a directory", "/d", "/e", "/f", base + "ours"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
				if c.file != "" {
					m.must(store.Disk().Mkdir(c.from))
				}
				m.must(store.Disk().WriteFile(c.from+c.file, []byte(base)))
				m.wantRead(c.from+c.file, base)
				if strings.HasPrefix(c.grown, base) {
					m.must(m.grow(c.from+c.file, []byte("ours")))
				} else {
					m.must(m.write(c.from+c.file, []byte(c.grown)))
				}
				renaming := store.HoldOp(mem.OpRename, c.from)
				store.HookAfter(func(op, p string) error {
					if op != mem.OpRename {
						return nil
					}
					return refuseToTell(store, c.from, c.to)
				})
				renamed := make(chan error, 1)
				go func() { renamed <- m.rename(c.from, c.to) }()
				<-renaming.Arrived()
				ctx, leave := context.WithCancel(t.Context())
				ended := make(chan bool)
				go func() {
					defer close(ended)
					m.Sync(ctx, "/", func(Progress) {})
				}()
				synctest.Wait()
				renaming.Release()
				m.wantKind(<-renamed, remote.Down)
				store.HookAfter(nil)
				time.Sleep(time.Hour)
				leave()
				<-ended
				if _, there := store.Disk().Stat(c.from); there {
					t.Errorf("%s is there again: %q", c.from, store.Disk().Paths())
				}
				m.onServer(c.to+c.file, base)
				store.Hook(nil)
				time.Sleep(2 * time.Minute)
				m.sync()
				m.onServer(c.to+c.file, c.grown)
				m.wantRead(c.to+c.file, c.grown)
				m.wantClean()
				m.stop()
			})
		})
	}
}

// An upload under way finds its directory gone, which was renamed without an answer: it is
// not made again.
func TestADirectoryOfWhichNobodyKnowsIsNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := unheard{before: map[string]string{"/d/f": "theirs"}, owed: "/d/f", there: true, lost: step(mem.OpRename, "/d"), asked: stat("/e")}
		var upload *mem.Hold
		ctx, leave := context.WithCancel(t.Context())
		u.change = func(m *mount) {
			upload = m.store.Hold(func(op, p string) bool { return op == mem.OpWrite && path.Dir(p) == "/d" })
			go m.Sync(ctx, "/", func(Progress) {})
			<-upload.Arrived()
			m.wantKind(m.rename("/d", "/e"), remote.Down)
		}
		m := u.begin(t, remote.Permission)
		upload.Release()
		time.Sleep(time.Hour)
		leave()
		if got := m.store.Disk().Paths(); !slices.Equal(got, []string{"/e/", "/e/f"}) {
			t.Errorf("the server has %q, want /e and /e/f", got)
		}
		u.wantHeld(m, "parked")
		m.store.Hook(nil)
		time.Sleep(2 * time.Minute)
		u.want = map[string]string{"/e/f": "ours"}
		u.wantSettled(m)
		if got := m.store.Disk().Paths(); !slices.Equal(got, []string{"/e/", "/e/f"}) {
			t.Errorf("the server has %q in the end, want /e and /e/f", got)
		}
		m.stop()
	})
}

// throughIn is a mount in which /a/big has passed through the spool and been closed, all but
// its end on the server alone, where nothing can be sent now.
func throughIn(t *testing.T) (m *mount, f *File, data []byte) {
	m = mountMem(t, mem.New(mem.Options{}), func(c *Config) { smallSpool(c); c.Timeout, c.pauseAfter = 3*time.Second, 20*time.Millisecond })
	for _, d := range []string{"/a", "/b"} {
		m.must(m.store.Disk().Mkdir(d))
	}
	data = pattern(3, 2<<20)
	h := m.make("/a/big")
	m.writeAt(h, data, 0)
	f = m.fileAt("/a/big")
	m.until("it waits for more", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.ship == nil })
	m.store.Hook(func(op, _ string) error {
		if op == mem.OpWrite || op == mem.OpPublish {
			return &remote.Error{Kind: remote.Temporary, Text: "cut"}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Flush(ctx)
	h.Release()
	m.until("it rests", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.ship == nil && f.failed != nil })
	return m, f, data
}

// refuseToTell is an answer that is lost, and the end of all answers about the names.
func refuseToTell(store *mem.Store, names ...string) error {
	refused := stat(names...)
	store.Hook(func(op, p string) error {
		if refused(op, p) {
			return &remote.Error{Kind: remote.Permission, Text: "by the test"}
		}
		return nil
	})
	return &remote.Error{Kind: remote.Down}
}

// The beginning of a file that passes through the spool is on the server alone, in a
// directory that was renamed without an answer. It is not looked for under the wrong
// name, nor given up for being not there.
func TestWhatPassesThroughIsNotLostInARenameWithoutAnAnswer(t *testing.T) {
	for _, where := range []string{"/a/big", "/b/big"} {
		for _, restart := range []bool{false, true} {
			m, _, data := throughIn(t)
			if where != "/a/big" {
				m.must(m.rename("/a/big", where))
			}
			m.store.HookAfter(func(op, _ string) error {
				if op != mem.OpRename {
					return nil
				}
				return refuseToTell(m.store, "/a", "/a2")
			})
			m.wantKind(m.rename("/a", "/a2"), remote.Down)
			m.store.HookAfter(nil)
			if restart {
				m.crash()
				<-m.loaded
			}
			if out, err := m.Sync(t.Context(), "/", func(Progress) {}); out != SomeParked || err != nil {
				t.Errorf("sync: %v, %v; want SomeParked", out, err)
			}
			if _, _, err := m.Discard("/"); err == nil {
				t.Error("a file was given up whose beginning could not be looked for")
			}
			m.store.Hook(nil)
			_, err := m.Retry("/")
			m.must(err)
			m.until("it is there", func() bool { return len(m.Status().Owed) == 0 })
			m.holdsNow(strings.Replace(where, "/a/", "/a2/", 1), data)
			m.stop()
		}
	}
}

// Its upload is looked for in the moment in which the directory is renamed.
func TestWhatPassesThroughIsNotLostWhileItsDirectoryIsRenamed(t *testing.T) {
	for _, answered := range []bool{true, false} {
		m, f, data := throughIn(t)
		looked := make(chan struct{}, 1)
		m.store.HookAfter(func(op, _ string) error {
			if op != mem.OpRename {
				return nil
			}
			m.store.Hook(func(op, p string) error {
				if op == mem.OpStat && path.Dir(p) == "/a" && isTemp(path.Base(p)) {
					looked <- struct{}{}
				}
				return nil
			})
			m.retryNow(f)
			<-looked // and it is not there any more
			if answered {
				m.store.Hook(nil)
				return nil
			}
			return refuseToTell(m.store, "/a", "/a2")
		})
		if err := m.rename("/a", "/a2"); (err == nil) != answered {
			t.Errorf("rename: %v, answered %v", err, answered)
		}
		m.store.HookAfter(nil)
		if !answered {
			m.until("it waits", func() bool { return m.Status().Parked == 1 })
			if why := m.Status().Owed[0].Error; !strings.Contains(why, "by the test") {
				t.Errorf("it waits for %q", why)
			}
			m.store.Hook(nil)
			_, err := m.Retry("/")
			m.must(err)
		}
		m.until("it is there", func() bool { return len(m.Status().Owed) == 0 })
		m.holdsNow("/a2/big", data)
		m.stop()
	}
}
