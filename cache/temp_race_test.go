package cache

import (
	"path"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// The upload of a file that passes through the spool is about to go on when the directory in
// which its beginning lies, the only copy, is renamed on the server: under the old name, which
// is not known to be old yet, nothing is there. That is no reason to give the file up.
func TestUploadGoesOnThoughItsDirectoryIsJustBeingRenamed(t *testing.T) {
	for name, lost := range map[string]bool{"answered": false, "its answer lost": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				if err := store.Disk().Mkdir("/a"); err != nil {
					t.Fatal(err)
				}
				m := mountMem(t, store, func(c *Config) {
					smallSpool(c)
					c.StateDir, c.CacheDir = path.Join(dir, "state"), path.Join(dir, "cache")
				})
				data, more := pattern(3, 2<<20), pattern(4, 2<<20) // more than can be written without it
				h := m.make("/a/big")
				m.writeAt(h, data, 0)
				f := m.fileAt("/a/big")
				time.Sleep(time.Minute) // the upload waits for more
				if m.mu.Lock(); !f.throughLocked() || f.ship != nil {
					t.Fatal("nothing of the file is gone, or its upload still under way")
				}
				m.mu.Unlock()

				hold := store.Hold(func(op, p string) bool { return op == mem.OpWrite && isTemp(path.Base(p)) })
				written := make(chan error, 1)
				go func() {
					var err error
					for off := 0; off < len(more) && err == nil; off += 128 << 10 {
						_, err = h.WriteAt(t.Context(), more[off:off+128<<10], int64(len(data)+off))
					}
					written <- err
				}()
				<-hold.Arrived() // it goes on, under the old name
				store.HookAfter(func(op, _ string) error {
					if op != mem.OpRename {
						return nil
					}
					store.HookAfter(nil)
					hold.Release()
					time.Sleep(time.Second) // and finds nothing there
					if lost {
						return &remote.Error{Kind: remote.Temporary, Text: "by the test"}
					}
					return nil
				})
				if err := m.rename("/a", "/a2"); (err != nil) != lost {
					t.Errorf("rename: %v", err)
				}
				if err := <-written; err != nil {
					t.Errorf("write: %v; parked %d", err, m.Status().Parked)
				}
				m.must(h.Flush(t.Context()))
				h.Release()
				m.sync()
				m.holdsNow("/a2/big", append(data, more...))
				if left := m.tempsThere(); len(left) > 0 {
					t.Errorf("left on the server: %q", left)
				}
			})
		})
	}
}
