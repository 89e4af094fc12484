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
	"ftpfs/cache/spool"
)

// While nobody knows whether a directory was renamed, no name at, above or below its two
// names is changed, and what is not found there is not said to be absent. Afterwards all
// goes on.
func TestNamesThatAreUnsettledAreNotChanged(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := unheard{before: map[string]string{"/p/f": "theirs", "/other": "elsewhere"}, owed: "/p/d/f", there: true,
				lost: step(mem.OpRename, "/p/d"), asked: stat("/p/d", "/p/e")}
			u.change = func(m *mount) {
				m.must(m.mkdir("/p/d"))
				m.must(m.mkdir("/p/d/sub"))
				m.must(m.write("/p/d/f", []byte("ours")))
				m.must(m.store.Disk().WriteFile("/p/d/g", []byte("theirs too")))
				m.wantKind(m.rename("/p/d", "/p/e"), remote.Down)
			}
			u.owed = "/p/f"
			m := u.begin(t, remote.Permission)
			if restart {
				m.crash()
			}
			time.Sleep(time.Minute)
			m.names("/p")
			m.names("/p/e")
			was := m.store.Disk().Paths()
			began := time.Now()
			for what, f := range map[string]func() error{
				"mkdir below the old name":  func() error { return m.mkdir("/p/d/new") },
				"mkdir below the new name":  func() error { return m.mkdir("/p/e/new") },
				"rmdir below":               func() error { return m.rmdir("/p/e/sub") },
				"removal below":             func() error { return m.remove("/p/e/g") },
				"rename below":              func() error { return m.rename("/p/e/g", "/g") },
				"rename of it":              func() error { return m.rename("/p/e", "/p/x") },
				"rename above":              func() error { return m.rename("/p", "/q") },
				"rename into the old place": func() error { return m.rename("/other", "/p/d/other") },
				"rename into the new place": func() error { return m.rename("/other", "/p/e/other") },
			} {
				if err := f(); !remote.Is(err, remote.Temporary) || heldBy(err) == nil {
					t.Errorf("%s: %v; want it to be refused for what is unsettled", what, err)
				}
			}
			if !restart {
				if _, err := m.walk("/p/d/absent"); err == nil || remote.Is(err, remote.NotExist) {
					t.Errorf("lookup of what may be elsewhere: %v", err)
				}
			}
			if d := time.Since(began); d > 0 {
				t.Errorf("all that took %v: it waited for what is not told", d)
			}
			if got := m.store.Disk().Paths(); !slices.Equal(got, was) {
				t.Errorf("the server has %q, and had %q", got, was)
			}
			m.store.Hook(nil)
			_, err := m.Retry("/")
			m.must(err)
			m.sync()
			m.onServer("/p/e/f", "ours")
			m.must(m.remove("/p/e/g"))
			m.must(m.rmdir("/p/e/sub"))
			m.must(m.rename("/p", "/q"))
			m.must(m.rename("/other", "/q/e/other"))
			m.wantRead("/q/e/f", "ours")
			m.sync()
			if got, want := m.store.Disk().Paths(), []string{"/q/", "/q/e/", "/q/e/f", "/q/e/other", "/q/f"}; !slices.Equal(got, want) {
				t.Errorf("the server has %q, want %q", got, want)
			}
			m.wantClean()
			m.stop()
		})
	}
}

// Right after a start a change of such a name waits until it is settled, which is mostly a
// moment, and then is made of what the name means.
func TestAChangeOfAnUnsettledNameWaitsForTheFirstLook(t *testing.T) {
	for what, c := range map[string]struct {
		change func(m *mount) error
		want   []string
	}{
		"rename":      {func(m *mount) error { return m.rename("/b", "/c") }, []string{"/c", "/z"}},
		"rename over": {func(m *mount) error { return m.rename("/z", "/b") }, []string{"/b"}},
		"removal":     {func(m *mount) error { return m.remove("/b") }, []string{"/z"}},
		"mkdir":       {func(m *mount) error { return m.mkdir("/a") }, []string{"/a/", "/b", "/z"}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := unheard{before: map[string]string{"/a": "theirs", "/z": "another"}, owed: "/a", there: true,
					lost: step(mem.OpRename, "/a"), asked: stat("/a", "/b"),
					change: func(m *mount) { m.wantKind(m.rename("/a", "/b"), remote.Down) }}
				m := u.begin(t, remote.Temporary)
				m.stop()
				m.store.Hook(nil)
				looks := m.store.HoldOp(mem.OpStat, "/a")
				m.open()
				<-looks.Arrived()
				done := make(chan error, 1)
				go func() { done <- c.change(m) }()
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("it was not waited for: %v", err)
				default:
				}
				looks.Release()
				m.must(<-done)
				m.sync()
				synctest.Wait() // temporary names are removed in the background
				if got := m.store.Disk().Paths(); !slices.Equal(got, c.want) {
					t.Errorf("the server has %q, want %q", got, c.want)
				}
				m.wantClean()
				m.stop()
			})
		})
	}
}

// Two renames about one name are settled in the order in which they were made.
func TestUnsettledRenamesKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(store.Disk().WriteFile("/b", []byte("theirs")))
		m.wantRead("/b", "theirs")
		m.must(m.write("/b", []byte("ours")))
		m.must(m.write("/c", []byte("given up")))
		m.must(m.spool.PutIntent(&spool.Intent{From: "/a", To: "/b", At: time.Now()}))
		m.must(m.spool.PutIntent(&spool.Intent{From: "/b", To: "/c", At: time.Now()}))
		m.stop()
		m.must(store.Disk().Rename("/b", "/c"))
		refuseToTell(store, "/a")
		m.open()
		for range 2 {
			time.Sleep(time.Hour)
			if s := m.Status(); s.Parked != 2 || s.OwedFiles != 0 {
				t.Errorf("got %+v, want /b and /c, which wait for the first of the two", s.Owed)
			}
			_, err := m.Retry("/")
			m.must(err)
		}
		m.onServer("/c", "theirs")
		store.Hook(nil)
		time.Sleep(5 * time.Minute)
		if got := store.Disk().Paths(); !slices.Equal(got, []string{"/c"}) {
			t.Errorf("the server has %q, want /c", got)
		}
		m.onServer("/c", "ours")
		m.wantClean()
		m.stop()
	})
}

// An old version that is of no use, and that the server does not let us remove, keeps
// nobody from renaming what it lies in.
func TestALeftoverThatCannotBeRemovedHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{NoReplace: true})
		m := mountMem(t, store, nil)
		m.must(m.mkdir("/d"))
		m.must(m.write("/d/f", []byte("first")))
		m.sync()
		store.Hook(func(op, p string) error {
			if op == mem.OpRemove && strings.HasPrefix(path.Base(p), tempPrefix) {
				return &remote.Error{Kind: remote.Permission, Text: "by the test"}
			}
			return nil
		})
		for _, text := range []string{"second", "third"} {
			m.must(m.write("/d/f", []byte(text)))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if out, err := m.Sync(ctx, "/", func(Progress) {}); out != AllThere || err != nil {
				t.Errorf("sync: %v, %v", out, err)
			}
			cancel()
			time.Sleep(time.Minute)
		}
		m.must(m.rename("/d", "/e"))
		m.onServer("/e/f", "third")
		m.stop()
	})
}
