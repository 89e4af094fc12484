package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// On a server that tells of plain files by name, and of the rest in listings only,
// somebody makes a link to nothing, or a device, under the name of a file that was born
// here: it is not replaced if the listing is old when the file is sent, or shows it.
func TestABirthDoesNotReplaceWhatOnlyListingsTell(t *testing.T) {
	for _, kind := range []remote.EntryType{remote.Symlink, remote.Other} {
		for _, when := range []string{"listing old", "listed since", "over a restart"} {
			t.Run(when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := mem.New(mem.Options{Blind: true, ListModes: true, CostlyStat: true})
					m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
					m.must(m.write("/doc.txt", []byte("ours")))
					if kind == remote.Symlink {
						m.must(store.Disk().Symlink("nowhere", "/doc.txt"))
					} else {
						m.must(store.Disk().Mknod("/doc.txt"))
					}
					switch when {
					case "listing old":
						time.Sleep(m.cfg.DirCacheTime)
					case "listed since":
						m.mu.Lock()
						m.doubtLocked(m.root)
						m.mu.Unlock()
						m.names("/")
					case "over a restart":
						m.crash()
					}
					m.sync()
					if e, there := store.Disk().Stat("/doc.txt"); !there || e.Type != kind {
						t.Errorf("theirs is %+v (there: %v)", e, there)
					}
					m.wantConflict(TheirsReplaced)
					m.stop()
				})
			})
		}
	}
}

// Where the listing is of late, nothing more is asked.
func TestABirthInAListedDirectoryAsksNothingMore(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{CostlyStat: true}), nil)
	m.must(m.write("/f", nil))
	f := m.fileAt("/f")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unlistedLocked(f.node) {
		t.Error("the name of a file just made counts as not listed")
	}
	m.root.list.fetched = time.Now().Add(-m.cfg.DirCacheTime)
	if !m.unlistedLocked(f.node) {
		t.Error("an old listing counts")
	}
}
