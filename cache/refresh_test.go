package cache

import (
	"context"
	"testing"
	"testing/synctest"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A listing is dropped, for others that are wanted more, before who waited for it has
// looked: the name alone is asked for then.
func TestALookupWhoseListingIsEvictedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(store.Disk().Mkdir("/d"))
		m.must(store.Disk().WriteFile("/d/f", []byte("there")))
		d, err := m.walk("/d")
		m.must(err)
		defer m.Forget(d)
		for name, want := range map[string]remote.Kind{"f": remote.Unknown, "absent": remote.NotExist} {
			f := &fetch{done: make(chan struct{}), changes: map[string]change{}}
			m.Tree.mu.Lock()
			d.fetch = f
			m.Tree.mu.Unlock()
			answer := make(chan error, 1)
			go func() {
				n, err := m.ask(context.Background(), d, name)
				if n != nil {
					m.Forget(n)
				}
				answer <- err
			}()
			synctest.Wait()
			m.Tree.mu.Lock()
			d.fetch, d.list = nil, nil
			close(f.done)
			m.Tree.mu.Unlock()
			if err := <-answer; (err != nil) != (want == remote.NotExist) || err != nil && !remote.Is(err, want) {
				t.Errorf("lookup of %s: %v", name, err)
			}
		}
	})
}
