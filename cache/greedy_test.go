package cache

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A Store may take all of a short file before it sends anything. That the file was taken
// is no progress: where nothing arrives the pauses grow.
func TestWhatWasOnlyTakenIsNoProgress(t *testing.T) {
	for _, size := range []int{10, 30 << 10} {
		synctest.Test(t, func(t *testing.T) {
			store := mem.New(mem.Options{Greedy: true})
			m := mountMem(t, store, nil)
			tries := 0
			store.Hook(func(op, _ string) error {
				if op != mem.OpWrite {
					return nil
				}
				tries++
				return &remote.Error{Kind: remote.Temporary, Text: "not now"}
			})
			m.must(m.write("/f", make([]byte, size)))
			time.Sleep(time.Minute)
			synctest.Wait()
			if tries < 3 || tries > 7 {
				t.Errorf("%d attempts in a minute, want pauses of 2, 4, 8, 16 seconds", tries)
			}
			if s := m.Status(); len(s.Owed) != 1 || s.Owed[0].Attempts != tries {
				t.Errorf("after %d attempts status says %+v", tries, s.Owed)
			}
			store.Hook(nil)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			m.onServer("/f", string(make([]byte, size)))
			m.stop()
		})
	}
}

// The server removed the directory of a file that is on its way. The directory is made again, and what was
// taken for nothing is sent all the same, at once.
func TestWhatWasTakenForARemovedDirectoryIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Greedy: true})
		m := mountMem(t, store, nil)
		m.must(m.mkdir("/d"))
		m.must(store.Disk().RemoveAll("/d"))
		m.must(m.write("/d/f", []byte("ours")))
		time.Sleep(time.Second) // the first pause after a failure is longer
		synctest.Wait()
		if n := store.Count(mem.OpWrite); n != 2 {
			t.Errorf("%d uploads, not one in vain and one to the new directory", n)
		}
		m.onServer("/d/f", "ours")
		m.stop()
	})
}

// What is sent to the directory made again is compared by its checksum as anything else.
func TestTheChecksumOfWhatIsSentToADirectoryMadeAgain(t *testing.T) {
	for _, greedy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := mem.New(mem.Options{Sums: "SHA-256", Greedy: greedy})
			m := mountMem(t, store, nil)
			m.must(m.mkdir("/d"))
			m.must(store.Disk().RemoveAll("/d"))
			var left atomic.Int32
			left.Store(1)
			flipping(store, &left)
			m.must(m.write("/d/f", []byte("ours")))
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := left.Load(); n > 0 {
				t.Fatal("nothing arrived corrupted: this shows nothing")
			}
			m.onServer("/d/f", "ours")
			m.stop()
		})
	}
}
