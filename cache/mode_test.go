package cache

import (
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// chmod changes a mode by path.
func (m *mount) chmod(p string, mode uint32) {
	m.t.Helper()
	n, err := m.walk(p)
	m.must(err)
	defer m.Forget(n)
	_, err = m.SetAttr(m.t.Context(), n, nil, Set{Mode: &mode})
	m.must(err)
}

// wantMode compares the mode that is shown, and that on the server.
func (m *mount) wantMode(when, p string, want uint32) {
	m.t.Helper()
	n, err := m.walk(p)
	m.must(err)
	defer m.Forget(n)
	a, err := m.GetAttr(m.t.Context(), n)
	m.must(err)
	list, err := m.store.List(m.t.Context(), "/")
	m.must(err)
	for _, e := range list {
		if "/"+e.Name == p && (!a.HasMode || a.Mode != want || e.Mode != want) {
			m.t.Errorf("%s: mode %o (told %t) here, %o on the server; want %o", when, a.Mode, a.HasMode, e.Mode, want)
		}
	}
}

// A server without MLST tells modes in listings only. A file made private is private
// after what it grew by was appended to it, here and there, and after the edit of the
// whole that follows.
func TestAPrivateFileStaysPrivateWhereModesAreOnlyListed(t *testing.T) {
	store, m, want := logs(t, 2*tailAbove, mem.Options{ListModes: true, CostlyStat: true}, nil)
	m.chmod("/log", 0o600)
	m.wantMode("after chmod", "/log", 0o600)
	m.must(m.grow("/log", []byte("more")))
	m.sync()
	m.onServer("/log", string(want)+"more")
	m.wantMode("appended to", "/log", 0o600)
	if n := store.Count(mem.OpPublish); n != 0 {
		t.Errorf("the file was replaced %d times, so nothing was tried", n)
	}
	m.must(m.write("/log", []byte("secret")))
	m.sync()
	m.wantMode("written anew", "/log", 0o600)
}

// A mode set while a tail is owed reaches the server with it.
func TestAModeSetBeforeATailIsSent(t *testing.T) {
	for _, o := range []mem.Options{{}, {ListModes: true, CostlyStat: true}} {
		_, m, _ := logs(t, 2*tailAbove, o, nil)
		h, err := m.openAt("/log", OpenFlags{Write: true, Append: true})
		m.must(err)
		_, err = h.WriteAt(t.Context(), []byte("more"), 2*tailAbove)
		m.must(err)
		m.chmod("/log", 0o640)
		m.must(h.Flush(t.Context()))
		h.Release()
		m.sync()
		m.wantMode("appended to", "/log", 0o640)
		m.stop()
	}
}

// What somebody else put in a file's place is not shown with a default mode, where modes
// are told in listings only and none can be had.
func TestTheirFileInAConflictKeepsItsMode(t *testing.T) {
	store, m, _ := logs(t, 100, mem.Options{ListModes: true, CostlyStat: true}, nil)
	m.chmod("/log", 0o600)
	m.must(store.Disk().WriteFile("/log", []byte("their own")))
	store.Hook(func(op, _ string) error {
		if op == mem.OpList {
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	m.must(m.write("/log", []byte("ours"))) // over what was listed before
	m.sync()
	n, err := m.walk("/log")
	m.must(err)
	defer m.Forget(n)
	a, err := m.GetAttr(t.Context(), n)
	m.must(err)
	if a.Size != int64(len("their own")) || !a.HasMode || a.Mode != 0o600 {
		t.Errorf("theirs has %d bytes, mode %o (told %t); want 9 and 600", a.Size, a.Mode, a.HasMode)
	}
}

// Somebody makes a file private, or public, on the server, after it was listed here. What
// is published over it has the mode that it has there by then, also after a restart; but
// a mode that was set here, at any time since, counts.
func TestTheModeSetLastCounts(t *testing.T) {
	for name, c := range map[string]struct {
		here string // when a mode is set here, 0640
		want uint32
	}{
		"there only": {"", 0o600}, "here before the write": {"before", 0o600},
		"here after the write": {"after", 0o640}, "here after a restart": {"restart", 0o640},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				store, m, _ := logs(t, 100, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
				m.must(store.Disk().Chmod("/log", 0o644))
				m.wantMode("listed", "/log", 0o644)
				if c.here == "before" {
					m.chmod("/log", 0o640)
				}
				m.must(m.write("/log", []byte("ours")))
				if c.here == "after" {
					m.chmod("/log", 0o640)
				}
				m.must(store.Disk().Chmod("/log", 0o600))
				if restart {
					m.crash()
				}
				if c.here == "restart" {
					m.chmod("/log", 0o640)
				}
				m.sync()
				m.onServer("/log", "ours")
				m.wantMode("published", "/log", c.want)
				if c := m.Status().Conflicts; len(c) > 0 {
					t.Errorf("a mode is no conflict: %+v", c)
				}
			})
		}
	}
}

// Where modes are told in listings only, the last listing counts: for what is published
// whole, for what a file grew by, and for what is shown meanwhile.
func TestAModeListedSinceTheWriteCounts(t *testing.T) {
	for _, n := range []int{100, 2 * tailAbove} {
		store, m, _ := logs(t, n, mem.Options{ListModes: true, CostlyStat: true}, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(store.Disk().Chmod("/log", 0o644))
		m.wantMode("listed", "/log", 0o644)
		m.must(m.grow("/log", []byte("more")))
		m.must(store.Disk().Chmod("/log", 0o600))
		m.mu.Lock()
		m.doubtLocked(m.root)
		m.mu.Unlock()
		m.names("/")
		m.wantMode("listed again, and owed", "/log", 0o600)
		m.sync()
		if appended := store.Count(mem.OpPublish) == 0; appended != (n > tailAbove) {
			t.Errorf("%d bytes: appended to: %v", n, appended)
		}
		m.wantMode("published", "/log", 0o600)
	}
}

// A file that was made private and changed there: our copy beside it is no more public.
func TestAConflictCopyIsNoMorePublicThanTheirs(t *testing.T) {
	for _, o := range []mem.Options{{}, {ListModes: true, CostlyStat: true}} {
		store, m, _ := logs(t, 100, o, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(store.Disk().Chmod("/log", 0o644))
		m.wantMode("listed", "/log", 0o644)
		m.must(m.write("/log", []byte("ours")))
		m.must(store.Disk().WriteFile("/log", []byte("theirs!")))
		m.must(store.Disk().Chmod("/log", 0o600))
		m.sync()
		all := m.Status().Conflicts
		if len(all) != 1 {
			t.Fatalf("conflicts: %+v", all)
		}
		m.onServer(all[0].Copy, "ours")
		m.wantMode("our copy", all[0].Copy, 0o600)
		m.wantMode("theirs", "/log", 0o600)
	}
}

// The backup dance keeps the mode, too.
func TestAServerThatCannotReplaceKeepsTheMode(t *testing.T) {
	store, m, _ := logs(t, 100, mem.Options{NoReplace: true}, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().Chmod("/log", 0o644))
	m.wantMode("listed", "/log", 0o644)
	m.must(m.write("/log", []byte("ours")))
	m.must(store.Disk().Chmod("/log", 0o600))
	m.sync()
	m.onServer("/log", "ours")
	m.wantMode("published", "/log", 0o600)
}
