package cache

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// While a conflict copy is being published somebody writes on: that was accepted too.
func TestWriteDuringTheBirthOfAConflictCopyIsKept(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/doc.txt", []byte("base")))
	m.wantRead("/doc.txt", "base")
	m.must(m.write("/doc.txt", []byte("ours")))
	m.must(store.Disk().WriteFile("/doc.txt", []byte("theirs!")))
	hold := store.Hold(func(op, p string) bool { return op == mem.OpPublish && strings.Contains(p, ".conflict-") })
	f := m.fileAt("/doc.txt")
	m.schedule(f, 0)
	<-hold.Arrived()
	m.must(m.write("/doc.txt", []byte("ours, and more of it")))
	hold.Release()
	m.sync()
	m.onServer("/doc.txt", "theirs!")
	for _, p := range store.Disk().Paths() {
		if got, _ := store.Disk().ReadFile(p); string(got) == "ours, and more of it" {
			return
		}
	}
	t.Errorf("what was written last is nowhere on the server: %q", store.Disk().Paths())
}

// Two attempts in a row end without an answer: the first had arrived, the second not.
func TestOwnPublicationIsRecognisedAfterTwoLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(store.Disk().WriteFile("/f", []byte("base")))
		m.wantRead("/f", "base")
		n := 0
		store.HookAfter(func(op, _ string) error {
			if op == mem.OpPublish && n == 0 {
				n++
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.must(m.write("/f", []byte("first")))
		m.waitFailed("/f")
		store.HookAfter(nil)
		store.Hook(func(op, _ string) error {
			if op == mem.OpPublish {
				return &remote.Error{Kind: remote.Timeout}
			}
			return nil
		})
		m.must(m.write("/f", []byte("second and last")))
		m.waitFailed("/f")
		store.Hook(nil)
		m.sync()
		m.onServer("/f", "second and last")
		if got := store.Disk().Paths(); len(got) != 1 {
			t.Errorf("server has %q, want /f alone: nobody but us wrote", got)
		}
	})
}

// waitFailed waits until the last attempt to publish p has failed.
func (m *mount) waitFailed(p string) {
	m.t.Helper()
	f := m.fileAt(p)
	for {
		m.mu.Lock()
		failed, changed := f.failed, m.changed
		m.mu.Unlock()
		if failed != nil {
			return
		}
		<-changed
	}
}

// The unmount breaks off the wait for a publication's answer.
func TestPublicationInFlightAtUnmountIsRecognisedAtTheNextMount(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	stopping := m.Tree.ctx.Done()
	sent := make(chan bool)
	store.HookAfter(func(op, _ string) error {
		if op != mem.OpPublish {
			return nil
		}
		close(sent)
		<-stopping
		return context.Canceled
	})
	m.must(m.write("/f", []byte("content")))
	<-sent
	f := m.fileAt("/f")
	m.stop()
	if f.sent == nil {
		t.Error("the daemon forgot what it may have published")
	}
	store.HookAfter(nil)
	m.open()
	m.sync()
	m.onServer("/f", "content")
	if got := store.Disk().Paths(); len(got) != 1 {
		t.Errorf("server has %q, want /f alone", got)
	}
}

// What somebody else may have done to a file that is changed here. In each case both
// versions survive, the list says what happened, and a later mount still says it.
func TestEachConflictKeepsBothAndIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(d *mem.Disk) error
		what   ConflictKind
		theirs func(m *mount)
	}{
		"changed": {func(d *mem.Disk) error { return d.WriteFile("/doc.txt", []byte("theirs!")) }, TheirsChanged,
			func(m *mount) { m.onServer("/doc.txt", "theirs!"); m.wantRead("/doc.txt", "theirs!") }},
		"touched": {func(d *mem.Disk) error { return d.Chtimes("/doc.txt", time.Now().Add(-time.Hour)) }, TheirsChanged,
			func(m *mount) { m.onServer("/doc.txt", "base") }},
		"removed": {func(d *mem.Disk) error { return d.RemoveAll("/doc.txt") }, TheirsRemoved,
			func(m *mount) { m.onServer("/doc.txt", "ours") }},
		"renamed": {func(d *mem.Disk) error { return d.Rename("/doc.txt", "/theirs") }, TheirsRemoved,
			func(m *mount) { m.onServer("/doc.txt", "ours"); m.onServer("/theirs", "base") }},
		"replaced by a directory": {func(d *mem.Disk) error {
			if err := d.RemoveAll("/doc.txt"); err != nil {
				return err
			}
			return d.Mkdir("/doc.txt")
		}, TheirsReplaced, func(m *mount) { m.must(m.mkdir("/doc.txt/inside")) }},
		"replaced by a link to nothing": {func(d *mem.Disk) error {
			if err := d.RemoveAll("/doc.txt"); err != nil {
				return err
			}
			return d.Symlink("nowhere", "/doc.txt")
		}, TheirsReplaced, func(m *mount) {
			if e, ok := m.store.Disk().Stat("/doc.txt"); !ok || e.Type != remote.Symlink {
				m.t.Errorf("their link is %+v", e)
			}
		}},
	} {
		for _, when := range []string{"online", "offline", "over a restart"} {
			t.Run(name+" "+when, func(t *testing.T) {
				store := mem.New(mem.Options{})
				m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
				m.must(store.Disk().WriteFile("/doc.txt", []byte("base")))
				m.wantRead("/doc.txt", "base")
				if when == "offline" {
					store.SetOnline(false)
				}
				m.must(m.write("/doc.txt", []byte("ours"))) // O_TRUNC: theirs is never read again
				m.must(c.do(store.Disk()))
				store.SetOnline(true)
				if when == "over a restart" {
					m.crash()
				}
				m.sync()
				c.theirs(m)
				m.wantConflict(c.what)
				m.stop()
				m.open()
				m.wantConflict(c.what)
			})
		}
	}
}

// wantConflict fails the test unless one conflict is told, and ours is where it says.
func (m *mount) wantConflict(what ConflictKind) {
	m.t.Helper()
	all := m.Status().Conflicts
	if len(all) != 1 || all[0].What != what || all[0].Path != "/doc.txt" || (all[0].Copy == "") != (what == TheirsRemoved) {
		m.t.Fatalf("conflicts told: %+v, want one, %s", all, what)
	}
	if all[0].Copy != "" {
		m.onServer(all[0].Copy, "ours")
		m.wantRead(all[0].Copy, "ours")
	}
}

// Who has the file open goes on with the copy, under its new name, and makes no other.
func TestWhoHasItOpenGoesOnWithTheConflictCopy(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/doc.txt", []byte("base")))
	h, err := m.openAt("/doc.txt", OpenFlags{Read: true, Write: true})
	m.must(err)
	_, err = h.WriteAt(context.Background(), []byte("OURS"), 0)
	m.must(err)
	m.must(store.Disk().WriteFile("/doc.txt", []byte("theirs!")))
	m.sync()
	_, err = m.Open(context.Background(), h.file.node, OpenFlags{Read: true})
	m.wantKind(err, remote.Changed) // the kernel would have meant the old name
	m.wantRead("/doc.txt", "theirs!")
	m.wantRead(m.Status().Conflicts[0].Copy, "OURS")
	_, err = h.WriteAt(context.Background(), []byte(" and more"), 4)
	m.must(err)
	m.must(h.Flush(context.Background()))
	h.Release()
	m.sync()
	all := m.Status().Conflicts
	if len(all) != 1 || len(store.Disk().Paths()) != 2 {
		t.Fatalf("conflicts %+v and files %q, want one copy", all, store.Disk().Paths())
	}
	m.onServer(all[0].Copy, "OURS and more")
	m.onServer("/doc.txt", "theirs!")
	m.must(m.remove(all[0].Copy)) // somebody has looked
	if all := m.Status().Conflicts; len(all) != 0 {
		t.Errorf("after our copy was removed: %+v", all)
	}
}

// The kernel may keep the old name for our inode for a while. Whatever is looked up
// meanwhile, and be it the copy, what is opened through that inode is not taken for
// theirs: nobody had it open, so that the copy is another inode.
func TestTheOldNameDoesNotOpenTheConflictCopy(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/doc.txt", []byte("base")))
	h, err := m.openAt("/doc.txt", OpenFlags{Read: true, Write: true})
	m.must(err)
	old := h.file.node
	m.Ref(old)
	defer m.Forget(old)
	_, err = h.WriteAt(context.Background(), []byte("OURS"), 0)
	m.must(err)
	m.must(h.Flush(context.Background()))
	m.must(store.Disk().WriteFile("/doc.txt", []byte("theirs!")))
	h.Release()
	m.sync()
	m.wantRead(m.Status().Conflicts[0].Copy, "OURS")
	m.wantRead("/doc.txt", "theirs!")
	_, err = m.Open(context.Background(), old, OpenFlags{Read: true})
	m.wantKind(err, remote.Changed)
	m.wantRead(m.Status().Conflicts[0].Copy, "OURS")
}

// Somebody made a file of the same size in the same second, ours was refused therefore, and
// then the link broke, or the daemon died: theirs is not taken for ours, whose answer was
// lost.
func TestTheirsIsNotTakenForOursAfterARefusal(t *testing.T) {
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := mem.New(mem.Options{})
			m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Second })
			m.names("/")
			m.must(m.write("/f", []byte("ours")))
			m.must(store.Disk().WriteFile("/f", []byte("them")))
			var refused atomic.Bool
			store.Hook(func(op, p string) error {
				switch {
				case op == mem.OpPublish:
					refused.Store(true)
				case refused.Load():
					return &remote.Error{Kind: remote.Down}
				}
				return nil
			})
			m.waitFailed("/f")
			if killed {
				m.crash()
			}
			store.Hook(nil)
			time.Sleep(time.Minute)
			m.sync()
			m.onServer("/f", "them")
			if p := store.Disk().Paths(); len(p) != 2 {
				t.Errorf("the server has %q; want theirs, and ours beside it", p)
			}
		})
	}
}

// The server cannot set times, so that only what the temporary file has tells a file that
// was published without an answer from somebody else's. Where that cannot be asked just
// now, nothing is published before it can.
func TestALostAnswerIsNoConflictWhereTimesCannotBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{NoTimes: true})
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = 3 * time.Second })
		m.names("/")
		var asked, lost atomic.Bool
		store.Hook(func(op, p string) error {
			if op == mem.OpStat && isTemp(p[1:]) && !asked.Swap(true) {
				return &remote.Error{Kind: remote.Temporary}
			}
			return nil
		})
		store.HookAfter(func(op, _ string) error {
			if op == mem.OpPublish && !lost.Swap(true) {
				return &remote.Error{Kind: remote.Timeout}
			}
			return nil
		})
		m.must(m.write("/f", []byte("first")))
		time.Sleep(10 * time.Second)
		m.must(m.write("/f", []byte("the second")))
		time.Sleep(time.Minute)
		m.sync()
		if !asked.Load() || !lost.Load() {
			t.Fatalf("asked %v, lost %v: the faults were not met", asked.Load(), lost.Load())
		}
		m.onServer("/f", "the second")
		if p := store.Disk().Paths(); len(p) != 1 {
			t.Errorf("the server has %q, want /f alone", p)
		}
	})
}
