package cache

import (
	"context"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// While the server has renamed a directory and its answer is under way, what lies
// below is on the server under neither of the names we could ask for with certainty.
func TestNothingVanishesWhileADirectoryIsRenamed(t *testing.T) {
	for _, costly := range []bool{false, true} {
		store := mem.New(mem.Options{CostlyStat: costly})
		m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond })
		m.must(store.Disk().Mkdir("/a"))
		m.must(store.Disk().Mkdir("/a/d"))
		m.must(store.Disk().WriteFile("/a/d/f", []byte("x")))
		dir, err := m.walk("/a/d")
		m.must(err)
		moved, goOn := make(chan bool), make(chan bool)
		store.HookAfter(func(op, path string) error {
			if op == mem.OpRename {
				close(moved)
				<-goOn
			}
			return nil
		})
		renamed, found, listed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { renamed <- m.rename("/a", "/b") }()
		<-moved
		asked := make(chan bool, 100)
		store.Hook(func(op, path string) error { asked <- true; return nil })
		go func() {
			n, _, err := m.Lookup(context.Background(), dir, "f")
			if err == nil {
				m.Forget(n)
			}
			found <- err
		}()
		<-asked
		go func() {
			_, err := m.OpenDir(context.Background(), dir)
			listed <- err
		}()
		if !costly {
			<-asked
		}
		close(goOn)
		m.must(<-renamed)
		store.HookAfter(nil)
		store.Hook(nil)
		if err := <-found; err != nil {
			t.Errorf("costly stat %v: lookup below a directory being renamed: %v", costly, err)
		}
		if err := <-listed; err != nil {
			t.Errorf("costly stat %v: listing below a directory being renamed: %v", costly, err)
		}
		m.Forget(dir)
		m.wantRead("/b/d/f", "x")
	}
}
