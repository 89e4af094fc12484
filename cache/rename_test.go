package cache

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
)

// An interrupted mv goes on; rm of the old name, given meanwhile, must not take the
// new one.
func TestUnlinkDuringAnInterruptedRenameNeverTakesTheNewName(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/a", []byte("precious")))
	m.wantRead("/a", "precious")
	hold := store.HoldOp(mem.OpRename, "/a")
	ctx, interrupt := context.WithCancel(context.Background())
	go func() { <-hold.Arrived(); interrupt() }()
	m.wantKind(m.Tree.Rename(ctx, m.Root(), "a", m.Root(), "b", false), remote.Canceled)
	removed := make(chan error, 1)
	go func() { removed <- m.remove("/a") }()
	f := m.fileAt("/a")
	for waiting := false; !waiting; { // until the removal has found the file and waits for it
		m.mu.Lock()
		waiting = f.node.refs > 2
		m.mu.Unlock()
	}
	hold.Release()
	if err := <-removed; err == nil {
		t.Error("removal of /a: got no error although it was renamed away")
	}
	m.onServer("/b", "precious")
	m.wantRead("/b", "precious")
}

func (m *mount) fileAt(p string) *File {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.findLocked(p)
	if n == nil || n.file == nil {
		m.t.Fatalf("no file at %s", p)
	}
	return n.file
}

// The daemon dies after it recorded the new name of some files below a renamed
// directory, and not of others.
func TestRestartInTheMiddleOfRelinkingKeepsAllFiles(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.mkdir("/a"))
	m.must(m.mkdir("/a/sub"))
	m.must(m.mkdir("/z"))
	m.must(m.mkdir("/z/sub"))
	m.must(m.write("/a/sub/one", []byte("1")))
	m.must(m.write("/a/three", []byte("3")))
	m.must(m.write("/z/sub/two", []byte("2")))
	m.stop()
	m.must(store.Disk().RemoveAll("/a"))
	sp, err := spool.Open(spool.OS, m.cfg.StateDir+"/spool", m.cfg.Identity, m.cfg.Log)
	m.must(err)
	m.must(sp.PutIntent(&spool.Intent{From: "/a", To: "/z", Dir: true, At: time.Now()}))
	m.must(sp.Close())
	m.open()
	m.sync()
	m.onServer("/z/sub/one", "1")
	m.onServer("/z/sub/two", "2")
	m.onServer("/z/three", "3")
	m.wantRead("/z/sub/one", "1")
	if got := m.names("/"); !slices.Equal(got, []string{"z"}) {
		t.Errorf("names %q, want only z", got)
	}
}

// The rename has reached the server; its answer is lost because we unmount.
func TestUnmountDuringARenameKeepsItsIntent(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.mkdir("/a"))
	m.must(m.write("/a/f", []byte("owed")))
	stopping := m.Tree.ctx.Done()
	moved := make(chan bool)
	store.HookAfter(func(op, path string) error {
		if op != mem.OpRename {
			return nil
		}
		close(moved)
		<-stopping
		return context.Canceled
	})
	done := make(chan error, 1)
	go func() { done <- m.rename("/a", "/b") }()
	<-moved
	m.stop()
	if err := <-done; err == nil {
		t.Error("a rename whose outcome is unknown succeeded")
	}
	store.HookAfter(nil)
	m.open()
	m.sync()
	m.onServer("/b/f", "owed")
	if got := store.Disk().Paths(); !slices.Equal(got, []string{"/b/", "/b/f"}) {
		t.Errorf("server has %q, want /b and /b/f", got)
	}
}

// The daemon dies when the server has renamed one file over another that was owed. The
// one that was renamed over is not a conflict with the other.
func TestRestartAfterARenameOverAnOwedFileMakesNoConflict(t *testing.T) {
	for _, what := range []string{"clean", "owed", "half sent", "half sent, and it goes on"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { renamedOverBeforeARestart(t, what) })
		})
	}
}

func renamedOverBeforeARestart(t *testing.T, what string) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.write("/a", []byte("theirs")))
	m.must(m.write("/b", []byte("old")))
	m.sync()
	m.stop()
	m.cfg.PublishDelay = time.Hour
	m.open()
	over := []byte("owed, and given up")
	halfSent := strings.HasPrefix(what, "half sent")
	if halfSent {
		over = pattern(3, 1<<20)
		cutAfter(store, 5, 1)
	}
	m.must(m.write("/b", over))
	if halfSent {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		m.Sync(ctx, "/", func(Progress) {})
		cancel()
		if left := m.tempsThere(); len(left) != 1 {
			t.Fatalf("temporary names after an upload was cut: %q, want one", left)
		}
		store.Hook(func(op, _ string) error {
			if op == mem.OpWrite || op == mem.OpData {
				return &remote.Error{Kind: remote.Temporary, Text: "cut"}
			}
			return nil
		})
	}
	if what == "owed" {
		m.must(m.write("/a", []byte("newer")))
	}
	stopping := m.Tree.ctx.Done()
	moved := make(chan bool)
	store.HookAfter(func(op, path string) error {
		if op != mem.OpRename {
			return nil
		}
		close(moved)
		<-stopping
		return context.Canceled
	})
	done := make(chan error, 1)
	go func() { done <- m.rename("/a", "/b") }()
	<-moved
	m.stop()
	<-done
	store.HookAfter(nil)
	store.Hook(nil)
	m.open()
	if what == "half sent" { // or else the sync sends more before the rename is settled
		synctest.Wait()
	}
	m.sync()
	want := map[string]string{"owed": "newer"}[what]
	if want == "" {
		want = "theirs"
	}
	m.onServer("/b", want)
	m.wantRead("/b", want)
	synctest.Wait() // temporary names are removed in the background
	if got := store.Disk().Paths(); !slices.Equal(got, []string{"/b"}) {
		t.Errorf("the server has %q, want /b", got)
	}
}

// The server will not say what lies under the names of a rename without an answer: that is
// said.
func TestRenameThatCannotBeSettledIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(m.write("/other", []byte("elsewhere")))
		m.sync()
		told := &lastLines{}
		m.stop()
		m.cfg.Log = slog.New(slog.NewTextHandler(told, nil))
		m.open()
		<-m.loaded
		in := &spool.Intent{From: "/a", To: "/b", At: time.Now()}
		m.must(m.spool.PutIntent(in))
		m.stop()
		refuse := func(op, p string) error {
			if op == mem.OpStat && (p == "/a" || p == "/b") {
				return &remote.Error{Kind: remote.Permission, Text: "by the test"}
			}
			return nil
		}
		store.Hook(refuse)
		m.open()
		m.must(m.write("/c", []byte("accepted")))
		synctest.Wait()
		if said := strings.Join(told.all(), "\n"); !strings.Contains(said, "whether a rename happened") || !strings.Contains(said, "by the test") {
			t.Errorf("the log says nothing of a rename that cannot be settled: %q", said)
		}
		m.wantRead("/other", "elsewhere")
		m.sync()
		m.onServer("/c", "accepted")
	})
}

// An interrupted rmdir goes on; a file made in the directory meanwhile was accepted.
func TestFileMadeDuringAnInterruptedRmdirArrives(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.mkdir("/d"))
	hold := store.HoldOp(mem.OpRmdir, "/d")
	ctx, interrupt := context.WithCancel(context.Background())
	go func() { <-hold.Arrived(); interrupt() }()
	m.wantKind(m.Tree.Rmdir(ctx, m.Root(), "d"), remote.Canceled)
	held := store.Hold(func(op, _ string) bool { return op == mem.OpWrite })
	m.must(m.write("/d/f", []byte("accepted")))
	hold.Release()
	held.Release()
	m.sync()
	m.onServer("/d/f", "accepted")
	m.wantRead("/d/f", "accepted")
}

// A program that has the file open writes its first bytes while the server renames it,
// and then the daemon dies: what it wrote belongs to the new name.
func TestFirstWriteDuringARenameIsFoundUnderTheNewName(t *testing.T) {
	for _, dir := range []bool{false, true} {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
		from, to, file := "/a", "/b", ""
		if dir {
			file = "/f"
			m.must(store.Disk().Mkdir("/a"))
		}
		m.must(store.Disk().WriteFile(from+file, []byte("base")))
		h, err := m.openAt(from+file, OpenFlags{Read: true, Write: true})
		m.must(err)
		stopping := m.Tree.ctx.Done()
		moved := make(chan bool)
		store.HookAfter(func(op, _ string) error {
			if op != mem.OpRename {
				return nil
			}
			close(moved)
			<-stopping
			return context.Canceled
		})
		done := make(chan error, 1)
		go func() { done <- m.rename(from, to) }()
		<-moved
		_, err = h.WriteAt(context.Background(), []byte("OURS"), 0)
		m.must(err)
		m.must(h.Flush(context.Background()))
		m.crash()
		<-done
		store.HookAfter(nil)
		m.sync()
		m.onServer(to+file, "OURS")
		want := []string{"/b"}
		if dir {
			want = []string{"/b/", "/b/f"}
		}
		if got := store.Disk().Paths(); !slices.Equal(got, want) {
			t.Errorf("server has %q, want %q", got, want)
		}
	}
}

// A record of the replaced file that is written while the new one takes its name must
// not win over it after a crash.
func TestRecordOfAReplacedFileNeverWins(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.write("/f", []byte("old")))
	m.must(m.write("/new", []byte("new")))
	old := m.fileAt("/f")
	old.rec.Lock() // as keepRecords does
	done := make(chan error, 1)
	go func() { done <- m.rename("/new", "/f") }()
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; { // time enough to go too far
		m.mu.Lock()
		moved := m.findLocked("/new") == nil
		m.mu.Unlock()
		if moved {
			break
		}
	}
	m.must(old.save(false, false))
	dir := t.TempDir()
	m.must(os.CopyFS(dir, os.DirFS(m.cfg.StateDir)))
	old.rec.Unlock()
	m.must(<-done)
	m.stop()
	m.cfg.StateDir = dir
	m.open()
	m.sync()
	for _, p := range []string{"/f", "/new"} {
		if got, err := m.read(p); err == nil && string(got) == "new" {
			return
		}
	}
	t.Errorf("what was renamed is gone; the server has %q", store.Disk().Paths())
}
