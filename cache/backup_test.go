package cache

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// Somebody writes the file in the moment between the look at it and the rename by which it
// steps aside: theirs keeps the name, ours goes beside it.
func TestTheirChangeBeforeAFileStepsAsideIsKept(t *testing.T) {
	for name, moment := range map[string]func(op, p string) bool{
		"after the publication was refused": func(op, p string) bool { return op == mem.OpStat && p == "/f" },
		"as it steps aside":                 stepsAside,
	} {
		t.Run(name, func(t *testing.T) {
			store := mem.New(mem.Options{NoReplace: true})
			m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
			m.must(store.Disk().WriteFile("/f", []byte("old")))
			m.wantRead("/f", "old")
			m.must(m.write("/f", []byte("ours")))
			published, written := false, false
			store.HookAfter(nil)
			store.Hook(func(op, p string) error {
				published = published || op == mem.OpPublish
				if published && !written && moment(op, p) {
					written = true
					return store.Disk().WriteFile("/f", []byte("theirs, of this moment"))
				}
				return nil
			})
			m.sync()
			store.Hook(nil)
			if !written {
				t.Fatal("the moment never came")
			}
			m.onServer("/f", "theirs, of this moment")
			copies := slices.DeleteFunc(store.Disk().Paths(), func(p string) bool { return p == "/f" })
			if len(copies) != 1 || !strings.Contains(copies[0], ".conflict-") {
				t.Fatalf("beside /f the server has %q, want one conflict copy", copies)
			}
			m.onServer(copies[0], "ours")
		})
	}
}

// The same, and the name is taken again before what stepped aside is looked at, by a third
// version: what was written in the moment is not removed as if it were the old version.
func TestWhatSteppedAsideUnseenIsKeptBesideANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{NoReplace: true})
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(store.Disk().WriteFile("/f", []byte("old")))
		m.wantRead("/f", "old")
		m.must(m.write("/f", []byte("ours")))
		first := func(text string) func(op, p string) error {
			done := false
			return func(op, p string) error {
				if done || !stepsAside(op, p) {
					return nil
				}
				done = true
				return store.Disk().WriteFile("/f", []byte(text))
			}
		}
		store.Hook(first("theirs, of this moment"))
		store.HookAfter(first("theirs, a moment later"))
		m.sync()
		time.Sleep(time.Minute)
		m.onServer("/f", "theirs, a moment later")
		var copies []string
		for _, p := range store.Disk().Paths() {
			if strings.Contains(p, ".conflict-") {
				data, err := store.Disk().ReadFile(p)
				m.must(err)
				copies = append(copies, string(data))
			}
		}
		slices.Sort(copies)
		if !slices.Equal(copies, []string{"ours", "theirs, of this moment"}) {
			t.Errorf("the conflict copies are %q; server has %q", copies, store.Disk().Paths())
		}
	})
}
