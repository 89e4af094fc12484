package cache

import (
	"sync/atomic"
	"testing"

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
