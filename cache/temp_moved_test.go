package cache

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// The upload of a file that passes through the spool was cut, the file moved to another
// directory, and then the one in which the upload lies, with the only copy of the
// beginning, renamed. It is found there, whatever the daemon dies of.
func TestUploadIsFoundInADirectoryThatWasRenamed(t *testing.T) {
	for name, then := range map[string]func(m *mount, killed string){
		"killed afterwards": func(m *mount, _ string) { m.crash() },
		"killed before it is on record": func(m *mount, killed string) {
			m.stop()
			m.cfg.StateDir = killed
			m.open()
		},
		"not killed": func(m *mount, _ string) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{})
				for _, d := range []string{"/a", "/b"} {
					if err := store.Disk().Mkdir(d); err != nil {
						t.Fatal(err)
					}
				}
				m := mountMem(t, store, func(c *Config) { smallSpool(c); c.Timeout, c.pauseAfter = 3*time.Second, 20*time.Millisecond })
				data := pattern(3, 2<<20)
				h := m.make("/a/big")
				m.writeAt(h, data, 0)
				f := m.fileAt("/a/big")
				m.until("it waits for more", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.ship == nil })
				killed := filepath.Join(t.TempDir(), "state")
				store.Hook(func(op, _ string) error {
					if op == mem.OpWrite || op == mem.OpPublish {
						return &remote.Error{Kind: remote.Temporary, Text: "cut"}
					}
					return nil
				})
				store.HookAfter(func(op, _ string) error {
					if op == mem.OpRename {
						return os.CopyFS(killed, os.DirFS(m.cfg.StateDir))
					}
					return nil
				})
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				h.Flush(ctx)
				h.Release()
				m.must(m.rename("/a/big", "/b/big"))
				m.mu.Lock()
				for _, n := range m.root.eachKid() { // as if much else had been listed since
					if n.list != nil {
						m.lists.dropLocked(n)
					}
					m.releaseLocked(n)
				}
				m.mu.Unlock()
				m.must(m.rename("/a", "/a2"))
				store.HookAfter(nil)
				then(m, killed)
				store.Hook(nil)
				<-m.loaded
				m.until("it arrives", func() bool {
					m.retryNow(m.fileAt("/b/big"))
					s := m.Status()
					if s.Parked > 0 {
						t.Fatalf("status %+v", s)
					}
					return len(s.Owed) == 0
				})
				m.holdsNow("/b/big", data)
				if left := m.tempsThere(); len(left) > 0 {
					t.Errorf("left on the server: %q", left)
				}
			})
		})
	}
}
