package cache

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// The bytes of a session that died in the middle of an upload reach the server's disk
// late, after the file was written over behind what was there: they are not mixed with
// the new ones.
func TestLateBytesOfADeadSessionAreNotMixedWithNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		old := pattern(1, 1<<20)
		data := bytes.Clone(old)
		var cut atomic.Bool
		var n atomic.Int32
		cut.Store(true)
		store.Hook(func(op, _ string) error {
			if op == mem.OpData && n.Add(1) > 6 && cut.Load() {
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.must(m.write("/f", old))
		m.waitFailed("/f")
		temp := m.tempsThere()[0]
		there, _ := store.Disk().Stat(temp)
		h, err := m.openAt("/f", OpenFlags{Write: true})
		m.must(err)
		at := there.Size // not there yet, but on its way
		m.writeAt(h, []byte("written over"), at)
		copy(data[at:], "written over")
		m.closeFile(h)
		hold := store.HoldOp(mem.OpPublish, "/f") // when everything new is there
		cut.Store(false)
		f := m.fileAt("/f")
		m.retryNow(f)
		select {
		case <-hold.Arrived():
		case <-time.After(20 * time.Second):
			t.Fatal("not sent again")
		}
		if now, err := store.Disk().ReadFile(temp); err == nil { // as the ghost writes, at its own offset
			copy(now[at:], old[at:at+100])
			m.must(store.Disk().WriteFile(temp, now))
		}
		hold.Release()
		m.sync()
		m.holdsNow("/f", data)
	})
}
