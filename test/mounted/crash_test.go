package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"ftpfs/test/mount"
)

// The daemon is killed in the middle of 200 files being copied in; mounted again,
// every file whose close had returned arrives, byte for byte, by itself.
func TestKillNineLosesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		const files = 200
		content := func(i int) []byte { return noise(uint64(i), 1000+i*i*7%60_000) }
		m := w.Mount
		for _, killAfter := range []int{1, 60, 150} {
			dir := fmt.Sprintf("round %d", killAfter)
			must(t, os.Mkdir(m.Path(dir), 0o755))
			var mu sync.Mutex
			closed := map[int]bool{}
			enough := make(chan struct{})
			copied := make(chan struct{})
			go func() {
				defer close(copied)
				for i := range files {
					// Stop at the first error: the daemon has gone.
					if os.WriteFile(m.Path(dir, fmt.Sprintf("file %d", i)), content(i), 0o644) != nil {
						return
					}
					mu.Lock()
					closed[i] = true
					if len(closed) == killAfter {
						close(enough)
					}
					mu.Unlock()
				}
			}()
			select {
			case <-enough:
			case <-copied:
				t.Fatal("copying ended before the kill")
			}
			m.Kill()
			<-copied
			m = m.Again(mount.Options{Password: w.srv.Password})
			// At once, through the mount, and in the end on the server.
			for i := range closed {
				holds(t, m.Path(dir, fmt.Sprintf("file %d", i)), content(i))
			}
			// The file that was open at the kill is kept, and waits for its owner; none
			// whose close had returned does.
			for _, f := range m.Status().Cache.Files {
				if f.State != "interrupted" {
					continue
				}
				var i int
				if _, err := fmt.Sscanf(filepath.Base(f.Path), "file %d", &i); err != nil || closed[i] {
					t.Errorf("killed after %d closes: %s had been closed, and is interrupted", killAfter, f.Path)
				}
				if r := mount.Ftpfs(t, "retry", m.Path(f.Path)); r.Code != 0 {
					t.Errorf("ftpfs retry: %+v", r)
				}
			}
			syncNow(t, m)
			for i := range closed {
				holds(t, filepath.Join(w.srv.Root, dir, fmt.Sprintf("file %d", i)), content(i))
			}
			t.Logf("killed after %d closes: %d files had been closed, all arrived", killAfter, len(closed))
		}
		if s := m.Status(); s.Cache.Owed != 0 || s.Cache.Quarantined != 0 {
			t.Errorf("status after all: %d owed, %d quarantined, want none", s.Cache.Owed, s.Cache.Quarantined)
		}
	})
}

// A patch to a large file survives the kill as well as a new file does: also what
// was written but not closed is kept, though not published.
func TestKillNineKeepsAPatch(t *testing.T) {
	w := on(t, "proftpd")
	data := noise(1, 5<<20)
	w.srv.Put("image", data)
	f, err := os.OpenFile(w.Path("image"), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("patched"), 3<<20)
	must(t, err)
	must(t, f.Close())
	w.srv.Stop() // it cannot arrive before the kill
	w.Kill()
	w.srv.Restart()
	m := w.Again(mount.Options{Password: w.srv.Password})
	copy(data[3<<20:], "patched")
	syncNow(t, m)
	holds(t, filepath.Join(w.srv.Root, "image"), data)
}
