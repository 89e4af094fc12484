package cache

import (
	"context"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A question about a file is answered by the server before the file is removed or renamed
// here, and heard after: the old name is not there any more.
func TestAnAnswerFromBeforeARemovalBringsNothingBack(t *testing.T) {
	for _, away := range []string{"removed", "renamed"} {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(store.Disk().WriteFile("/f", []byte("x")))
		m.names("/")
		n, err := m.walk("/f")
		m.must(err)
		m.mu.Lock()
		m.doubtLocked(m.root)
		m.root.asked = false
		m.mu.Unlock()
		told, goOn := make(chan bool), make(chan bool)
		store.HookAfter(func(op, p string) error {
			if op == mem.OpStat {
				store.HookAfter(nil)
				close(told)
				<-goOn
			}
			return nil
		})
		asked := make(chan error)
		go func() {
			_, err := m.GetAttr(context.Background(), n)
			asked <- err
		}()
		<-told
		if away == "removed" {
			m.must(m.remove("/f"))
		} else {
			m.must(m.rename("/f", "/g"))
		}
		close(goOn)
		<-asked
		if _, err := m.walk("/f"); !remote.Is(err, remote.NotExist) {
			t.Errorf("%s, /f is there: %v", away, err)
		}
		m.mu.Lock()
		m.root.list.fetched = time.Now() // as after a listing
		_, ghost := m.root.list.ents.get("f")
		m.mu.Unlock()
		if ghost {
			t.Errorf("%s, /f is listed", away)
		}
		m.Forget(n)
	}
}
