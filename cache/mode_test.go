package cache

import (
	"testing"

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

// What somebody else put in a file's place is not shown with a default mode.
func TestTheirFileInAConflictKeepsItsMode(t *testing.T) {
	store, m, _ := logs(t, 100, mem.Options{ListModes: true, CostlyStat: true}, nil)
	m.chmod("/log", 0o600)
	m.must(m.write("/log", []byte("ours")))
	m.must(store.Disk().WriteFile("/log", []byte("their own")))
	m.sync()
	m.wantMode("theirs", "/log", 0o600)
}
