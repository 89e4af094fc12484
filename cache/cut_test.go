package cache

import (
	"context"
	"testing"

	"ftpfs/cache/remote/mem"
)

// An upload that gets through between the moment in which a cut has begun and the one in
// which it is made leaves the file clean: the cut must be owed all the same.
func TestACutBesideAPublicationIsOwed(t *testing.T) {
	for _, size := range []int64{3, 100} {
		ctx := context.Background()
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		h := m.make("/f")
		m.writeAt(h, []byte("0123456789"), 0)
		m.must(h.Flush(ctx))
		f := m.fileAt("/f")

		reached, goOn := make(chan struct{}), make(chan struct{})
		store.Hook(func(op, _ string) error {
			if op == mem.OpPublish {
				close(reached)
				<-goOn
			}
			return nil
		})
		synced := make(chan error)
		go func() { // publishes the open file as it stands
			m.mu.Lock()
			changes := f.changes
			m.mu.Unlock()
			synced <- m.publishNow(ctx, f, changes)
		}()
		<-reached
		store.Hook(nil)

		c := f.cur
		c.io.Lock() // the cut gets as far as this
		cut := make(chan error)
		go func() { cut <- h.Truncate(ctx, size) }()
		m.until("the cut has begun", func() bool {
			free := f.rec.TryLock()
			if free {
				f.rec.Unlock()
			}
			return !free
		})
		close(goOn)
		m.until("the publication waits for it", f.recWanted)
		c.io.Unlock()
		m.must(<-cut)
		m.must(<-synced)
		h.Release()
		m.sync()
		want := append([]byte("0123456789"), make([]byte, 90)...)[:size]
		if got, err := store.Disk().ReadFile("/f"); err != nil || string(got) != string(want) {
			t.Errorf("cut to %d bytes while it was published, the server has %q, %v; want %q", size, got, err, want)
		}
	}
}

// A writer that begins while an fsync waits for the record is at work when the fsync is
// recorded: a crash then publishes nothing half.
func TestFsyncDoesNotEndAWriter(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), nil)
	h := m.make("/f")
	m.writeAt(h, []byte("0123456789"), 0)
	m.must(h.Flush(context.Background()))
	f := m.fileAt("/f")
	f.rec.RLock()
	synced := make(chan error)
	go func() { synced <- h.Fsync(context.Background()) }()
	m.until("the fsync waits", f.recWanted)
	m.must(f.save(true, false)) // as a writer does first
	f.rec.RUnlock()
	m.must(<-synced)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !f.savedOpen {
		t.Fatal("the record says that the file is closed")
	}
}

// A handle whose content was given up, as the disk refused the record of a first write, does
// not write into it on behalf of another one that was luckier.
func TestAWriteToAContentThatWasGivenUpIsStale(t *testing.T) {
	ctx := context.Background()
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("0123456789")))
	h1, err := m.openAt("/f", OpenFlags{Write: true})
	m.must(err)
	defer h1.Release()
	f := m.fileAt("/f")
	c := h1.content()
	m.mu.Lock()
	f.cur = nil
	m.mu.Unlock()
	c.retire()
	h2, err := m.openAt("/f", OpenFlags{Write: true})
	m.must(err)
	defer h2.Release()
	m.writeAt(h2, []byte("ab"), 0)
	if err := f.beginWrite(ctx, c, 0); err == nil { // the write had found nothing stale before
		f.rec.RUnlock()
		t.Fatal("a write to what nobody will publish is accepted")
	}
}

// recWanted says that somebody holds f.rec exclusively, or waits for that.
func (f *File) recWanted() bool {
	if f.rec.TryRLock() {
		f.rec.RUnlock()
		return false
	}
	return true
}
