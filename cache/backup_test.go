package cache

import (
	"slices"
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

func stepsAside(op, p string) bool { return op == mem.OpRename && !strings.Contains(p, tempPrefix) }

// The answer is lost after the old file stepped aside: it comes back as soon as the
// server answers, and not only at the next start. A publication that is tried again
// does not take the absence for somebody's removal.
func TestWhatSteppedAsideComesBackInTheSameSession(t *testing.T) {
	store := mem.New(mem.Options{NoReplace: true})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("old")))
	m.must(store.Disk().WriteFile("/g", []byte("new")))
	m.wantRead("/f", "old")
	back := make(chan bool, 1)
	lost := false
	store.HookAfter(func(op, p string) error {
		switch {
		case stepsAside(op, p) && p == "/f" && !lost:
			lost = true
			return &remote.Error{Kind: remote.Down}
		case op == mem.OpRename && strings.Contains(p, tempPrefix):
			back <- true
		}
		return nil
	})
	if err := m.rename("/g", "/f"); err == nil {
		t.Fatal("a rename without an answer succeeded")
	}
	<-back
	store.HookAfter(nil)
	m.onServer("/f", "old")
	m.wantRead("/f", "old")

	lost = false
	store.HookAfter(func(op, p string) error {
		if stepsAside(op, p) && p == "/f" && !lost {
			lost = true
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	m.must(m.write("/f", []byte("ours")))
	m.waitFailed("/f")
	store.HookAfter(nil)
	m.sync()
	m.onServer("/f", "ours")
	if got, told := store.Disk().Paths(), m.Status().Conflicts; !slices.Equal(got, []string{"/f", "/g"}) || len(told) > 0 {
		t.Errorf("server has %q, and conflicts are told: %+v; want /f and /g and none", got, told)
	}
}

// The backup could not be removed after the new file was in place, and then the user
// removed that: the old version does not come back.
func TestARemovedFileIsNotBroughtBackFromItsBackup(t *testing.T) {
	store := mem.New(mem.Options{NoReplace: true})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("old")))
	m.wantRead("/f", "old")
	store.Hook(func(op, p string) error {
		if op == mem.OpRemove && strings.Contains(p, tempPrefix) {
			return &remote.Error{Kind: remote.Temporary}
		}
		return nil
	})
	m.must(m.write("/f", []byte("new")))
	m.sync()
	m.onServer("/f", "new")
	m.must(m.remove("/f"))
	m.stop()
	store.Hook(nil)
	gone := make(chan bool, 1)
	store.HookAfter(func(op, p string) error {
		if op == mem.OpRemove && strings.Contains(p, tempPrefix) {
			gone <- true
		}
		return nil
	})
	m.open()
	<-gone
	if got := store.Disk().Paths(); len(got) != 0 {
		t.Errorf("server has %q, want nothing", got)
	}
}
