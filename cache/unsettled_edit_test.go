package cache

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// everywhere is all that the server has, by content.
func (m *mount) everywhere() map[string]string {
	all := map[string]string{}
	for _, p := range m.store.Disk().Paths() {
		if b, err := m.store.Disk().ReadFile(p); err == nil {
			all[string(b)] = p
		}
	}
	return all
}

// What is written under either name while nobody knows which of the two the server has is
// on the server in the end, whatever had become of the rename.
func TestEditsUnderBothNamesOfAnUnsettledRenameArrive(t *testing.T) {
	for _, there := range []bool{true, false} {
		for _, restart := range []bool{false, true} {
			for _, target := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					u := unheard{before: map[string]string{"/a": "their a"}, owed: "/a", there: there, lost: step(mem.OpRename, "/a"), asked: stat("/a", "/b"),
						change: func(m *mount) { m.wantKind(m.rename("/a", "/b"), remote.Down) }}
					if target {
						u.before["/b"] = "their b"
					}
					m := u.begin(t, remote.Permission)
					if restart {
						m.crash()
					}
					time.Sleep(time.Minute)
					m.names("/")
					m.must(m.write("/a", []byte("our later a")))
					berr := m.write("/b", []byte("our b")) // refused, if there is none: it may be just coming
					if restart {
						m.crash()
						time.Sleep(time.Minute)
						m.wantRead("/a", "our later a")
					}
					m.store.Hook(nil)
					_, err := m.Retry("/")
					m.must(err)
					m.sync()
					got := m.everywhere()
					if got["our later a"] == "" || berr == nil && got["our b"] == "" {
						t.Errorf("there %v, restart %v, target %v, write of /b: %v: the server has %q", there, restart, target, berr, got)
					}
					if s := m.Status(); len(s.Owed) > 0 {
						t.Errorf("still owed: %+v", s.Owed)
					}
					m.stop()
				})
			}
		}
	}
}

// The same below both names of a directory.
func TestWhatIsMadeBelowBothNamesOfAnUnsettledDirectoryArrives(t *testing.T) {
	for _, there := range []bool{true, false} {
		for _, restart := range []bool{false, true} {
			for _, over := range []bool{false, true} { // an empty directory
				synctest.Test(t, func(t *testing.T) {
					u := unheard{before: map[string]string{"/d/f": "theirs"}, owed: "/d/f", there: there, lost: step(mem.OpRename, "/d"), asked: stat("/d", "/e"),
						change: func(m *mount) {
							if over {
								m.must(m.mkdir("/e"))
							}
							m.wantKind(m.rename("/d", "/e"), remote.Down)
						}}
					m := u.begin(t, remote.Permission)
					if restart {
						m.crash()
					}
					time.Sleep(time.Minute)
					m.names("/")
					written := []string{"ours"}
					for _, p := range []string{"/d/one", "/e/two", "/d/both", "/e/both"} {
						if err := m.write(p, []byte("in "+p)); err == nil {
							written = append(written, "in "+p)
						} else if p == "/e/two" && there && !over { // else it may be in the one that was replaced
							t.Errorf("write of %s: %v", p, err)
						}
					}
					if restart {
						m.crash()
					}
					m.store.Hook(nil)
					_, err := m.Retry("/")
					m.must(err)
					m.sync()
					got := m.everywhere()
					for _, text := range written {
						if got[text] == "" {
							t.Errorf("there %v, restart %v, over %v: %q is not on the server, which has %q", there, restart, over, text, got)
						}
					}
					if s := m.Status(); len(s.Owed) > 0 {
						t.Errorf("still owed: %+v", s.Owed)
					}
					m.stop()
				})
			}
		}
	}
}

// A part of the base of what was written is still on the server, under whichever name. That
// it is not under one of them does not make it absent, nor changed by somebody else.
func TestTheRestOfAnUnsettledFileIsNotSaidToBeAbsent(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			base := pattern(5, 1<<20)
			store := mem.New(mem.Options{})
			m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
			m.must(store.Disk().WriteFile("/a", base))
			store.Hook(func(op, _ string) error {
				if op == mem.OpOpen {
					return &remote.Error{Kind: remote.Temporary, Text: "by the test"}
				}
				return nil
			})
			h, err := m.openAt("/a", OpenFlags{Read: true, Write: true})
			m.must(err)
			_, err = h.WriteAt(t.Context(), []byte("ours"), 1000)
			m.must(err)
			copy(base[1000:], "ours")
			m.must(h.Flush(t.Context()))
			h.Release()
			store.HookAfter(func(op, _ string) error {
				if op != mem.OpRename {
					return nil
				}
				return refuseToTell(store, "/a", "/b")
			})
			m.wantKind(m.rename("/a", "/b"), remote.Down)
			store.HookAfter(nil)
			if restart {
				m.crash()
			}
			time.Sleep(time.Minute)
			_, err = m.read("/a")
			m.wantKind(err, remote.Temporary)
			store.Hook(nil)
			_, err = m.Retry("/")
			m.must(err)
			m.sync()
			m.onServer("/b", string(base))
			m.wantClean()
			m.stop()
		})
	}
}

// A rename over an owed file had happened. A retry meanwhile is no edit of what was renamed
// over: it is given up as it would have been, and is no conflict.
func TestRetryIsNoEditOfWhatWasRenamedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := unheard{before: map[string]string{"/a": "theirs", "/b": "old"}, owed: "/b", there: true, lost: step(mem.OpRename, "/a"), asked: stat("/a", "/b"),
			change: func(m *mount) { m.wantKind(m.rename("/a", "/b"), remote.Down) }}
		m := u.begin(t, remote.Permission)
		for range 2 {
			m.crash()
			time.Sleep(time.Minute)
			if n, err := m.Retry("/b"); n != 1 || err != nil {
				t.Errorf("retry: %d, %v; want 1", n, err)
			}
			synctest.Wait()
			u.wantHeld(m, "parked")
		}
		m.store.Hook(nil)
		_, err := m.Retry("/")
		m.must(err)
		m.sync()
		u.want = map[string]string{"/b": "theirs"}
		u.wantSettled(m)
		m.stop()
	})
}

// What is made under the old name after a restart is not what was renamed.
func TestWhatIsMadeUnderTheOldNameSinceIsNotWhatWasRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := unheard{before: map[string]string{"/a": "theirs", "/b": "old"}, owed: "/b", there: true, lost: step(mem.OpRename, "/a"), asked: stat("/a", "/b"),
			change: func(m *mount) { m.wantKind(m.rename("/a", "/b"), remote.Down) }}
		m := u.begin(t, remote.Permission)
		m.crash()
		m.names("/")
		m.must(m.write("/a", []byte("newer")))
		time.Sleep(time.Hour)
		m.store.Hook(nil)
		_, err := m.Retry("/")
		m.must(err)
		m.sync()
		m.onServer("/a", "newer")
		m.onServer("/b", "theirs")
		m.wantRead("/b", "theirs")
		m.wantClean()
		m.stop()
	})
}

// What waits for what the server will not tell can be given up. The time of its directory
// waits too, is nothing that a sync waits for, and arrives under the new name.
func TestWhatWaitsCanBeDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Unix(1_000_000_000, 0)
		u := unheard{before: map[string]string{"/d/f": "theirs"}, owed: "/d/f", there: true, lost: step(mem.OpRename, "/d"), asked: stat("/d", "/e"),
			change: func(m *mount) {
				n, err := m.walk("/d")
				m.must(err)
				defer m.Forget(n)
				_, err = m.SetAttr(t.Context(), n, nil, Set{MTime: &at})
				m.must(err)
				m.wantKind(m.rename("/d", "/e"), remote.Down)
			}}
		m := u.begin(t, remote.Permission)
		time.Sleep(time.Minute)
		if n, _, err := m.Discard("/d/f"); n != 1 || err != nil {
			t.Errorf("discard: %d, %v; want 1", n, err)
		}
		time.Sleep(time.Minute)
		if s := m.Status(); len(s.Owed) > 0 {
			t.Errorf("still owed: %+v", s.Owed)
		}
		if out, err := m.Sync(t.Context(), "/", func(Progress) {}); out != SomeParked || err != nil {
			t.Errorf("sync: %v, %v; want SomeParked, for the directory's time", out, err)
		}
		m.store.Hook(nil)
		_, err := m.Retry("/")
		m.must(err)
		m.sync()
		m.onServer("/e/f", "theirs")
		if e, _ := m.store.Disk().Stat("/e"); !e.MTime.Equal(at) {
			t.Errorf("time of /e: %v, want %v", e.MTime, at)
		}
		if got := m.store.Disk().Paths(); !slices.Equal(got, []string{"/e/", "/e/f"}) {
			t.Errorf("the server has %q", got)
		}
		m.stop()
	})
}
