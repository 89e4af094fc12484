package cache

import (
	"path"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A new file is renamed over one whose publication, of a new version, went without an
// answer: nobody else changed anything, so there is no conflict.
func TestRenameOverAFileWhosePublicationIsInDoubt(t *testing.T) {
	for _, there := range []bool{true, false} {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(m.write("/f", []byte("first")))
		m.sync()
		var lost, stop atomic.Bool
		refuse := func(op, p string) error {
			if op == mem.OpPublish && lost.CompareAndSwap(false, true) {
				stop.Store(true)
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		}
		store.Hook(func(op, p string) error {
			if op == mem.OpWrite && stop.Load() {
				return &remote.Error{Kind: remote.Down}
			}
			if !there {
				return refuse(op, p)
			}
			return nil
		})
		if there {
			store.HookAfter(refuse)
		}
		m.must(m.write("/f", []byte("the second")))
		m.waitFailed("/f")
		m.must(m.write("/new", []byte("the third one")))
		m.must(m.rename("/new", "/f"))
		stop.Store(false)
		m.sync()
		m.onServer("/f", "the third one")
		m.wantClean()
	}
}

// At the start an upload begins, as somebody waits for it, before it is known that a
// rename had put another file in its place. Given up then, it leaves nothing behind,
// however far it is.
func TestUploadOfWhatWasRenamedOverBeforeARestartLeavesNothing(t *testing.T) {
	for _, at := range []string{mem.OpWrite, mem.OpData} {
		synctest.Test(t, func(t *testing.T) {
			store := mem.New(mem.Options{})
			m := mountMem(t, store, nil)
			m.must(m.write("/a", []byte("theirs")))
			m.must(m.write("/b", []byte("old")))
			m.sync()
			m.stop()
			m.cfg.PublishDelay = time.Hour
			m.open()
			m.must(m.write("/b", []byte("owed, and given up")))
			store.HookAfter(func(op, _ string) error { // the answer is lost, and nobody can look
				if op == mem.OpRename {
					store.Hook(func(string, string) error { return &remote.Error{Kind: remote.Down} })
					return &remote.Error{Kind: remote.Down}
				}
				return nil
			})
			m.wantKind(m.rename("/a", "/b"), remote.Down)
			m.stop()
			store.Hook(nil)
			store.HookAfter(nil)

			looks := store.Hold(func(op, p string) bool { return op == mem.OpStat && p == "/a" })
			upload := store.Hold(func(op, p string) bool { return op == at && isTemp(path.Base(p)) })
			m.open()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				m.Sync(t.Context(), "/", func(Progress) {})
			}()
			synctest.Wait()
			if n := len(upload.Arrived()); n != 1 {
				t.Fatalf("%s: %d uploads began; want one", at, n)
			}
			looks.Release()
			synctest.Wait()
			upload.Release()
			<-ended
			synctest.Wait()
			if got := store.Disk().Paths(); !slices.Equal(got, []string{"/b"}) {
				t.Errorf("%s: the server has %q, want /b", at, got)
			}
			m.onServer("/b", "theirs")
			m.wantRead("/b", "theirs")
			m.wantClean()
			m.stop()
		})
	}
}

// A rename that never reached the server is not taken for done at the next start, because
// another client has removed the one file meanwhile and the other was there before: what is
// owed of both arrives.
func TestAfterARestartARenameThatWasNotIsNotTakenForDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(m.write("/to", []byte("the target, before")))
		m.must(m.write("/from", []byte("the source")))
		m.sync()
		m.must(m.write("/from", []byte("the source, edited")))
		m.must(m.write("/to", []byte("the target, edited")))
		store.Hook(func(op, _ string) error {
			if op == mem.OpRename || op == mem.OpStat {
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.wantKind(m.rename("/from", "/to"), remote.Down)
		m.stop()
		m.must(store.Disk().RemoveAll("/from"))
		store.Hook(nil)
		m.open()
		m.sync()
		m.onServer("/to", "the target, edited")
		found := 0
		for _, p := range store.Disk().Paths() {
			if data, err := store.Disk().ReadFile(p); err == nil && string(data) == "the source, edited" {
				found++
			}
		}
		if found != 1 {
			t.Errorf("what was owed of the source is on the server %d times; it has %q", found, store.Disk().Paths())
		}
		m.wantClean()
	})
}
