package cache

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A file of which only a part was written here is removed on the server before the rest
// is known, and renamed here. The rest is not taken from what lies at the new name, nor
// made up of zeros, also not by the daemon that finds the record: what is held is kept.
func TestARenamedPatchIsNotCompletedFromAnotherFile(t *testing.T) {
	for _, size := range []int{1000, large} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, over another: %v", size, over), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { patchRenamed(t, size, over) })
			})
		}
	}
}

func patchRenamed(t *testing.T, size int, over bool) {
	store, m, _ := logs(t, size, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
	other := ""
	if over {
		other = string(pattern(7, size+10))
		m.must(store.Disk().WriteFile("/other", []byte(other)))
	}
	h, err := m.openAt("/log", OpenFlags{Read: true, Write: true})
	m.must(err)
	_, err = h.ReadAt(t.Context(), make([]byte, 500), 0) // what is fetched is not confirmed
	m.must(err)
	m.must(store.Disk().RemoveAll("/log"))
	_, err = h.WriteAt(t.Context(), []byte("appended here"), int64(size))
	m.must(err)
	m.closeFile(h)
	if err := m.rename("/log", "/other"); !remote.Is(err, remote.Temporary) {
		t.Errorf("rename: %v; want an error, as most of the file is nowhere", err)
	}
	m.stop()
	m.open()
	m.must(m.wait(t.Context(), "test", nil))
	out, err := m.Sync(context.Background(), "/", func(Progress) {})
	if s := m.Status(); err != nil || out != SomeParked || s.Parked != 1 {
		t.Errorf("Sync: outcome %v, err %v, status %+v; want one file parked", out, err, s)
	}
	if over {
		m.onServer("/other", other)
	} else if p := store.Disk().Paths(); len(p) != 0 {
		t.Errorf("the server has %q", p)
	}
}
