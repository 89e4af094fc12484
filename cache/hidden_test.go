package cache

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// Where listings may leave out names that begin with a dot, such a name is not taken to be
// absent for that, and a file that was made here does not vanish.
func TestNamesThatAreNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{HidesDots: true, CostlyStat: true})
		m := mountMem(t, store, nil)
		m.must(store.Disk().WriteFile("/.theirs", []byte("theirs")))
		m.must(store.Disk().WriteFile("/plain", []byte("plain")))
		m.names("/")
		read := func(p, want string) {
			t.Helper()
			if b, err := m.read(p); err != nil || !bytes.Equal(b, []byte(want)) {
				t.Errorf("%s: %q, %v", p, b, err)
			}
		}
		read("/.theirs", "theirs")
		m.must(m.write("/.ours", []byte("ours")))
		m.sync()
		for range 3 {
			time.Sleep(2 * m.cfg.DirCacheTime)
			m.names("/")
			read("/.ours", "ours")
			read("/.theirs", "theirs")
		}
		if _, err := m.read("/.none"); !remote.Is(err, remote.NotExist) {
			t.Errorf("what is not there: %v", err)
		}
		before := store.Count(mem.OpList)
		m.read("/.none")
		m.read("/none")
		if n := store.Count(mem.OpList) - before; n != 0 {
			t.Errorf("a look at what is not there listed the directory %d times", n)
		}
		m.must(store.Disk().RemoveAll("/.theirs"))
		time.Sleep(2 * m.cfg.DirCacheTime)
		if _, err := m.read("/.theirs"); !remote.Is(err, remote.NotExist) {
			t.Errorf("what was removed: %v", err)
		}
		m.stop()
	})
}
