package cache

import (
	"context"
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
	synctest.Test(t, func(t *testing.T) {
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
	})
}

// An upload has begun when another file is renamed over what it sends, and it is known only
// later that this happened. Given up then, it leaves nothing behind, however far it is.
func TestUploadOfWhatWasRenamedOverLeavesNothing(t *testing.T) {
	for _, at := range []string{mem.OpWrite, mem.OpData} {
		synctest.Test(t, func(t *testing.T) {
			var end func()
			store, m := renamedUnheard(t, func(store *mem.Store, m *mount) {
				upload := store.Hold(func(op, p string) bool { return op == at && isTemp(path.Base(p)) })
				ctx, leave := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					m.Sync(ctx, "/b", func(Progress) {})
				}()
				<-upload.Arrived()
				end = func() {
					upload.Release()
					leave()
					<-ended
				}
			})
			store.Hook(nil)
			time.Sleep(time.Minute) // until it is looked at again
			end()
			synctest.Wait()
			m.wantMoved(store)
		})
	}
}

// The same found at the start: nothing is begun before it is known.
func TestNothingIsSentOfWhatMayHaveBeenRenamedOverBeforeARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := renamedUnheard(t, nil)
		m.stop()
		store.Hook(nil)
		looks := store.Hold(func(op, p string) bool { return op == mem.OpStat && p == "/a" })
		store.ResetCounts()
		m.open()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.Sync(t.Context(), "/", func(Progress) {})
		}()
		synctest.Wait()
		if n := store.Count(mem.OpWrite); n != 0 {
			t.Errorf("%d uploads began, want none", n)
		}
		looks.Release()
		<-ended
		synctest.Wait()
		m.wantMoved(store)
	})
}

// renamedUnheard is a mount in which /a was renamed over /b, of which a new version is owed.
// Nobody heard the answer, and nobody can ask. before is called when /b was written.
func renamedUnheard(t *testing.T, before func(*mem.Store, *mount)) (*mem.Store, *mount) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.write("/a", []byte("theirs")))
	m.must(m.write("/b", []byte("old")))
	m.sync()
	m.stop()
	m.cfg.PublishDelay = time.Hour
	m.open()
	m.must(m.write("/b", []byte("owed, and given up")))
	if before != nil {
		before(store, m)
	}
	store.HookAfter(func(op, _ string) error {
		if op == mem.OpRename {
			store.Hook(func(string, string) error { return &remote.Error{Kind: remote.Down} })
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	m.wantKind(m.rename("/a", "/b"), remote.Down)
	store.HookAfter(nil)
	return store, m
}

// wantMoved: what was owed of /b is given up, and nothing else is there than what was /a.
func (m *mount) wantMoved(store *mem.Store) {
	m.t.Helper()
	if got := store.Disk().Paths(); !slices.Equal(got, []string{"/b"}) {
		m.t.Errorf("the server has %q, want /b", got)
	}
	m.onServer("/b", "theirs")
	m.wantRead("/b", "theirs")
	m.wantClean()
	m.stop()
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
