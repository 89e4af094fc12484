package cache

import (
	"context"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// A mode that is set while somebody begins to write the file is not undone by what is
// published then, and is seen at once.
func TestAModeSetBesideTheFirstWriteStays(t *testing.T) {
	for _, published := range []bool{false, true} {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(store.Disk().WriteFile("/f", []byte("theirs")))
		m.must(store.Disk().Chmod("/f", 0o644))
		m.wantRead("/f", "theirs")
		h, err := m.openAt("/f", OpenFlags{Write: true})
		m.must(err)
		setting := store.HoldOp(mem.OpSetAttr, "/f")
		set := make(chan error, 1)
		mode := uint32(0o600)
		go func() {
			_, err := m.SetAttr(context.Background(), h.file.node, nil, Set{Mode: &mode})
			set <- err
		}()
		<-setting.Arrived()
		m.writeAt(h, []byte("ours is new"), 0)
		synced := make(chan bool)
		if published { // or about to be
			m.must(h.Flush(context.Background()))
			go func() { defer close(synced); m.sync() }()
			m.until("its publication has come as far as it can", func() bool {
				e, _ := store.Disk().Stat("/f")
				return e.Size == 11 || len(h.file.pub) == 0 && len(m.tempsThere()) == 1
			})
		}
		setting.Release()
		m.must(<-set)
		m.wantMode("while it is open", "/f", mode)
		if published {
			<-synced
		}
		m.closeFile(h)
		m.sync()
		m.wantMode("in the end", "/f", mode)
		if e, _ := store.Disk().Stat("/f"); e.Mode != mode {
			t.Errorf("published %v: the server's file has mode %o, want %o", published, e.Mode, mode)
		}
	}
}

// A write that comes between the server's setting of a file's time and its answer replaces
// the file as it is then, also if somebody has listed it meanwhile: nobody else has changed it.
func TestATimeSetBesideTheFirstWriteIsNoConflict(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("theirs")))
	m.wantRead("/f", "theirs")
	h, err := m.openAt("/f", OpenFlags{Write: true})
	m.must(err)
	store.HookAfter(func(op, _ string) error {
		if op == mem.OpSetAttr {
			store.HookAfter(nil)
			m.writeAt(h, []byte("ours is new"), 0)
			m.mu.Lock()
			m.doubtLocked(m.root)
			m.mu.Unlock()
			m.names("/")
		}
		return nil
	})
	at := time.Unix(1e9, 0)
	_, err = m.SetAttr(context.Background(), h.file.node, nil, Set{MTime: &at})
	m.must(err)
	m.closeFile(h)
	m.sync()
	m.onServer("/f", "ours is new")
	if s := m.Status(); len(s.Conflicts) > 0 {
		t.Errorf("conflicts with nobody: %+v", s.Conflicts)
	}
}

// Nor is it somebody else's change where it is listed before the server's answer is heard:
// who has the file open goes on.
func TestATimeSetBesideAListingIsNoChange(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("theirs")))
	h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
	m.must(err)
	defer h.Release()
	m.wantRead("/f", "theirs")
	store.HookAfter(func(op, _ string) error {
		if op == mem.OpSetAttr {
			store.HookAfter(nil)
			m.mu.Lock()
			m.doubtLocked(m.root)
			m.mu.Unlock()
			m.names("/")
		}
		return nil
	})
	at := time.Unix(1e9, 0)
	_, err = m.SetAttr(context.Background(), h.file.node, nil, Set{MTime: &at})
	m.must(err)
	if _, err := h.WriteAt(context.Background(), []byte("ours"), 0); err != nil {
		t.Errorf("write: %v", err)
	}
	m.mu.Lock()
	m.doubtLocked(m.root)
	m.mu.Unlock()
	m.names("/")
	m.wantRead("/f", "oursrs")
}
