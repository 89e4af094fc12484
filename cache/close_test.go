package cache

import (
	"context"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// Calls that come while the tree closes end, although nothing is begun any more.
func TestCallsDuringCloseEnd(t *testing.T) {
	store := mem.New(mem.Options{CostlyStat: true})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("x")))
	h, err := m.openAt("/f", OpenFlags{Read: true})
	m.must(err)
	m.cancel()
	m.mu.Lock()
	m.doubtLocked(m.Root())
	m.mu.Unlock()
	ended := make(chan error, 2)
	go func() {
		_, err := m.OpenDir(context.Background(), m.Root())
		ended <- err
	}()
	go func() {
		_, err := h.ReadAt(context.Background(), make([]byte, 1), 0)
		ended <- err
	}()
	for range 2 {
		m.wantKind(<-ended, remote.Canceled)
	}
	h.Release()
}

// fsync through a descriptor that wrote nothing, of a file that waits for a person.
func TestFsyncOfAnInterruptedFileDoesNotWaitForEver(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.FsyncServer = true })
	m.names("/")
	store.SetOnline(false)
	n, h, _, err := m.Create(context.Background(), m.Root(), "f", 0o644, true, OpenFlags{Write: true})
	m.must(err)
	m.Forget(n)
	_, err = h.WriteAt(context.Background(), []byte("half"), 0)
	m.must(err)
	m.stop()
	m.open()
	store.SetOnline(true)
	g, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
	m.must(err)
	defer g.Release()
	if err := g.Fsync(context.Background()); err == nil {
		t.Error("fsync said that an interrupted file is on the server")
	}
}

// The directory's time is unknown to the server, and what was owed in it is removed.
func TestSyncEndsWhenTheLastOwedFileOfADatedDirectoryIsRemoved(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.mkdir("/d"))
	m.must(m.write("/d/f", []byte("x")))
	d, err := m.walk("/d")
	m.must(err)
	at := time.Unix(1_000_000_000, 0)
	_, err = m.SetAttr(context.Background(), d, nil, Set{MTime: &at})
	m.must(err)
	m.Forget(d)
	m.stop()
	store.SetOnline(false)
	m.open()
	m.must(m.wait(context.Background(), "test", nil))
	m.mu.Lock()
	dir := m.findLocked("/d")
	m.mu.Unlock()
	m.must(m.Unlink(context.Background(), dir, "f"))
	store.SetOnline(true)
	m.sync()
}

// utimens that reaches the server while a write makes the file owed.
func TestTimeSetWhileAWriteBeginsIsNoConflict(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/f", []byte("base")))
	m.wantRead("/f", "base")
	n, err := m.walk("/f")
	m.must(err)
	defer m.Forget(n)
	hold := store.HoldOp(mem.OpSetAttr, "/f")
	set := make(chan error, 1)
	at := time.Unix(1_000_000_000, 0)
	go func() {
		_, err := m.SetAttr(context.Background(), n, nil, Set{MTime: &at})
		set <- err
	}()
	<-hold.Arrived()
	m.must(m.write("/f", []byte("written")))
	hold.Release()
	m.must(<-set)
	m.sync()
	m.onServer("/f", "written")
	if got := store.Disk().Paths(); len(got) != 1 {
		t.Errorf("server has %q, want /f alone", got)
	}
}

// The end of a mount publishes what is closed, and not half of what is being copied:
// that waits for its owner at the next start. Sync, which a person asks for, sends it.
func TestTheEndPublishesNothingThatIsOpen(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.write("/closed", []byte("whole")))
	n, h, _, err := m.Create(context.Background(), m.Root(), "open", 0o644, true, OpenFlags{Write: true})
	m.must(err)
	m.Forget(n)
	_, err = h.WriteAt(context.Background(), []byte("half"), 0)
	m.must(err)
	if s := m.Status(); s.OwedFiles != 2 || s.Open != 1 {
		t.Errorf("status: %d owed, %d of them open; want 2 and 1", s.OwedFiles, s.Open)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.must(m.Tree.Close(ctx)) // would wait for the minute if it waited for the open file
	if ctx.Err() != nil {
		t.Error("Close waited for a file that nobody will close")
	}
	h.Release()
	m.onServer("/closed", "whole")
	if _, err := store.Disk().ReadFile("/open"); err == nil {
		t.Error("a file that was being written was published at the end")
	}
	m.open()
	m.names("/") // waits for the records
	if s := m.Status(); len(s.Owed) != 1 || s.Owed[0].State != "interrupted" || s.Owed[0].Size != 4 {
		t.Errorf("at the next start: %+v, want one file interrupted with 4 bytes", s.Owed)
	}
}

// A file that was born here and never closed is sent as it stands, too.
func TestANewFileThatStaysOpenIsSentAsItStands(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.MaxDirtyAge = time.Millisecond })
	arrived := make(chan struct{}, 100)
	store.Hook(func(op, p string) error {
		if op == "publish" && p == "/log" {
			arrived <- struct{}{}
		}
		return nil
	})
	n, h, _, err := m.Create(context.Background(), m.Root(), "log", 0o644, true, OpenFlags{Write: true})
	m.must(err)
	m.Forget(n)
	defer h.Release()
	_, err = h.WriteAt(context.Background(), []byte("first"), 0)
	m.must(err)
	select {
	case <-arrived:
	case <-time.After(time.Minute):
		t.Fatal("it was not published while it was open")
	}
}
