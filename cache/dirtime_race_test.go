package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// A directory is renamed while its time is on the way to the server: it has it under its
// new name, and no other gets it.
func TestADirectorysTimeFollowsItsRename(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.mkdir("/d"))
	sending := store.HoldOp(mem.OpPublish, "/d/f")
	m.must(m.write("/d/f", []byte("x")))
	<-sending.Arrived()
	n, err := m.walk("/d")
	m.must(err)
	defer m.Forget(n)
	at := time.Unix(1e9, 0)
	_, err = m.SetAttr(context.Background(), n, nil, Set{MTime: &at})
	m.must(err)
	setting := store.HoldOp(mem.OpSetAttr, "/d")
	sending.Release()
	<-setting.Arrived()
	renamed := make(chan error, 1)
	rename := func() { renamed <- m.rename("/d", "/e") }
	if m.gate.TryAcquire(gateAll) { // nothing keeps it from being renamed at once
		m.gate.Release(gateAll)
		rename()
	} else {
		go rename()
	}
	setting.Release()
	m.must(<-renamed)
	m.sync()
	m.until("nothing is owed to it", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return n.owesAt == nil
	})
	if e, _ := store.Disk().Stat("/e"); !e.MTime.Equal(at) {
		t.Errorf("the directory has the time %v, want %v", e.MTime, at)
	}
}

// A directory's time is given up, since the directory changed, while it is being recorded:
// the next start does not set it.
func TestADirectorysTimeThatWasGivenUpIsNotRecorded(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.mkdir("/d"))
	sending := store.HoldOp(mem.OpPublish, "/d/f")
	defer sending.Release()
	m.must(m.write("/d/f", []byte("x")))
	<-sending.Arrived()
	n, err := m.walk("/d")
	m.must(err)
	at := time.Unix(1e9, 0)
	_, err = m.SetAttr(context.Background(), n, nil, Set{MTime: &at})
	m.must(err)
	rec := filepath.Join(m.cfg.StateDir, "spool", "rec", fmt.Sprintf("%d.json", n.owesID))
	if _, err := os.Stat(rec); err != nil {
		t.Fatalf("nothing was recorded: %v", err)
	}
	m.must(m.write("/d/g", []byte("y")))
	m.until("its record is dropped", func() bool {
		m.dirTimesDisk.Lock()
		defer m.dirTimesDisk.Unlock()
		_, err := os.Stat(rec)
		return os.IsNotExist(err)
	})
	m.must(m.saveDirTime(n)) // the setter comes to it only now
	m.Forget(n)
	if _, err := os.Stat(rec); err == nil {
		t.Error("the next start will set a time that was given up")
	}
}
