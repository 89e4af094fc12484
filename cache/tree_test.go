package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

func TestWhatWasWrittenIsReadAtOnceAndArrives(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), nil)
	m.must(m.mkdir("/d"))
	m.must(m.write("/d/a", []byte("hello")))
	m.wantRead("/d/a", "hello")
	m.sync()
	m.onServer("/d/a", "hello")
	m.wantRead("/d/a", "hello")
	if n := m.store.Count("open"); n != 0 {
		t.Errorf("%d transfers to read what was just written, want 0", n)
	}
	m.must(m.write("/d/a", []byte("again, and longer")))
	m.wantRead("/d/a", "again, and longer")
	m.sync()
	m.onServer("/d/a", "again, and longer")
	if got := m.names("/d"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("names %q", got)
	}
	if got := m.store.Disk().Paths(); slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, ".ftpfs-") }) {
		t.Errorf("temporary names left on the server: %q", got)
	}
}

func TestPatchInTheMiddleKeepsTheRest(t *testing.T) {
	store := mem.New(mem.Options{})
	base := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/big", []byte(base)))
	h, err := m.openAt("/big", OpenFlags{Read: true, Write: true})
	m.must(err)
	_, err = h.WriteAt(context.Background(), []byte("PATCH"), 500_000)
	m.must(err)
	m.must(h.Flush(context.Background()))
	h.Release()
	want := base[:500_000] + "PATCH" + base[500_005:]
	m.wantRead("/big", want)
	m.sync()
	m.onServer("/big", want)
}

func TestTruncateCutsAndAddsZeros(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("0123456789")))
	h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
	m.must(err)
	m.must(h.Truncate(context.Background(), 4))
	m.must(h.Truncate(context.Background(), 8))
	_, err = h.WriteAt(context.Background(), []byte("x"), 9)
	m.must(err)
	m.must(h.Flush(context.Background()))
	h.Release()
	want := "0123\x00\x00\x00\x00\x00x"
	m.wantRead("/f", want)
	m.sync()
	m.onServer("/f", want)
}

func TestDirectoryCostsOneListing(t *testing.T) {
	store := mem.New(mem.Options{CostlyStat: true})
	for i := range 50 {
		if err := store.Disk().WriteFile(fmt.Sprintf("/f%02d", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	m := mountMem(t, store, nil)
	for range 3 {
		m.names("/")
		for i := range 50 {
			n, err := m.walk(fmt.Sprintf("/f%02d", i))
			m.must(err)
			_, err = m.GetAttr(context.Background(), n)
			m.must(err)
			m.Forget(n)
		}
		_, err := m.walk("/absent")
		m.wantKind(err, remote.NotExist)
	}
	if l, s := store.Count("list"), store.Count("stat"); l != 1 || s != 0 {
		t.Errorf("%d listings and %d stats, want 1 and 0", l, s)
	}
}

// What arrived between a reader's look at what is held and its turn to ask for the
// rest is not asked for again.
func TestWhatHasArrivedMeanwhileStartsNoTransfer(t *testing.T) {
	store := mem.New(mem.Options{})
	data := strings.Repeat("0123456789abcdef", 1<<16)
	if err := store.Disk().WriteFile("/f", []byte(data)); err != nil {
		t.Fatal(err)
	}
	m := mountMem(t, store, nil)
	m.wantRead("/f", data)
	before := store.Count("open")
	h, err := m.openAt("/f", OpenFlags{})
	m.must(err)
	defer h.Release()
	for _, off := range []int64{0, 1 << 19, int64(len(data)) - 1, int64(len(data))} {
		m.must(h.content().want(context.Background(), off, off+1, off+minAhead))
	}
	if n := store.Count("open") - before; n != 0 {
		t.Errorf("%d transfers for what is held, want none", n)
	}
}

func TestTemporaryNamesNeverReachTheServer(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/target", []byte("old")))
	m.names("/")
	m.must(m.write("/.target.Xyz", []byte("new")))
	m.must(m.rename("/.target.Xyz", "/target"))
	m.wantRead("/target", "new")
	if n := store.Count("rename") + store.Count("write"); n != 0 {
		t.Errorf("%d commands before anybody waits, want 0", n)
	}
	m.sync()
	m.onServer("/target", "new")
	if got := store.Disk().Paths(); !slices.Equal(got, []string{"/target"}) {
		t.Errorf("server has %q, want only /target", got)
	}
}

func TestUnlinkOfWhatWasNeverSentCostsNothing(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.write("/a", []byte("x")))
	m.must(m.remove("/a"))
	_, err := m.walk("/a")
	m.wantKind(err, remote.NotExist)
	m.sync()
	if got := store.Disk().Paths(); len(got) != 0 {
		t.Errorf("server has %q, want nothing", got)
	}
	if n := store.Count("remove"); n != 0 {
		t.Errorf("%d removals sent, want 0", n)
	}
}

func TestRestartPublishesWhatWasClosed(t *testing.T) {
	store := mem.New(mem.Options{})
	store.SetOnline(true)
	m := mountMem(t, store, nil)
	m.names("/")
	m.must(m.mkdir("/dir"))
	store.SetOnline(false)
	for i := range 20 {
		m.must(m.write(fmt.Sprintf("/dir/f%d", i), []byte(fmt.Sprint("content ", i))))
	}
	h, err := func() (*Handle, error) { // still open when the daemon ends
		var h *Handle
		err := m.with("/dir/open", func(d *Node, name string) error {
			n, o, _, err := m.Create(context.Background(), d, name, 0o600, true, OpenFlags{Write: true})
			if err == nil {
				m.Forget(n)
				h = o
			}
			return err
		})
		return h, err
	}()
	m.must(err)
	_, err = h.WriteAt(context.Background(), []byte("half"), 0)
	m.must(err)
	m.stop()
	m.open()
	m.wantRead("/dir/f7", "content 7")
	store.SetOnline(true)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if out, err := m.Sync(ctx, "/", func(Progress) {}); out != SomeParked || err != nil {
		t.Fatalf("Sync: %v, %v; want SomeParked for the file that was open", out, err)
	}
	for i := range 20 {
		m.onServer(fmt.Sprintf("/dir/f%d", i), fmt.Sprint("content ", i))
	}
	if _, ok := store.Disk().Stat("/dir/open"); ok {
		t.Error("a file that was being written was published")
	}
	if n, err := m.Retry("/"); n != 1 || err != nil {
		t.Fatalf("Retry: %d, %v", n, err)
	}
	m.sync()
	m.onServer("/dir/open", "half")
}

func TestServerDownAnswersFromMemoryNeverNotExist(t *testing.T) {
	store := mem.New(mem.Options{CostlyStat: true})
	m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond })
	m.must(store.Disk().Mkdir("/known"))
	m.must(store.Disk().Mkdir("/unknown"))
	m.must(store.Disk().WriteFile("/known/f", []byte("cached")))
	m.must(store.Disk().WriteFile("/unknown/g", []byte("not cached")))
	m.names("/known")
	m.wantRead("/known/f", "cached")
	store.SetOnline(false)
	m.wantRead("/known/f", "cached")
	if got := m.names("/known"); !slices.Equal(got, []string{"f"}) {
		t.Errorf("listing while down: %q", got)
	}
	if m.listDoubt("/known") == nil {
		t.Error("an old listing passes for the whole truth while the server is down")
	}
	_, err := m.read("/unknown/g")
	if !remote.KindOf(err).Offline() {
		t.Errorf("read of an unknown file while down: %v, want an offline error", err)
	}
	m.must(m.write("/known/new", []byte("later")))
	m.wantRead("/known/new", "later")
	store.SetOnline(true)
	if err := m.listDoubt("/known"); err != nil {
		t.Errorf("with the server back a listing is in doubt: %v", err)
	}
	m.sync()
	m.onServer("/known/new", "later")
}

// A login that is refused for a while is an outage: nothing that is known or written is
// refused for it.
func TestRefusedLoginIsAnOutage(t *testing.T) {
	store := mem.New(mem.Options{CostlyStat: true})
	m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond })
	m.must(store.Disk().Mkdir("/known"))
	m.must(store.Disk().WriteFile("/known/f", []byte("cached")))
	m.names("/known")
	m.wantRead("/known/f", "cached")
	store.Hook(func(string, string) error {
		return &remote.Error{Kind: remote.Auth, Code: 530, Text: "Login incorrect."}
	})
	m.wantRead("/known/f", "cached")
	if got := m.names("/known"); !slices.Equal(got, []string{"f"}) {
		t.Errorf("listing while the login is refused: %q", got)
	}
	if m.listDoubt("/known") == nil {
		t.Error("an old listing passes for the whole truth while the login is refused")
	}
	m.must(m.write("/known/new", []byte("later")))
	m.wantRead("/known/new", "later")
	m.until("an attempt was made", func() bool { s := m.Status(); return len(s.Owed) == 1 && s.Owed[0].Attempts > 0 })
	if s := m.Status(); s.Parked != 0 {
		t.Errorf("status %+v, want nothing parked", s)
	}
	store.Hook(nil)
	m.sync()
	m.onServer("/known/new", "later")
}

func TestRefusedForGoodIsParkedAndKept(t *testing.T) {
	store := mem.New(mem.Options{Quota: 10})
	m := mountMem(t, store, nil)
	m.must(m.write("/big", []byte("more than ten bytes")))
	ctx := context.Background()
	if out, err := m.Sync(ctx, "/", func(Progress) {}); out != SomeParked || err != nil {
		t.Fatalf("Sync: %v, %v", out, err)
	}
	s := m.Status()
	if s.Parked != 1 || s.Owed[0].State != "parked" {
		t.Fatalf("status %+v, want one parked", s)
	}
	m.wantRead("/big", "more than ten bytes")
	n, kept, err := m.Discard("/big")
	if n != 1 || err != nil {
		t.Fatalf("Discard: %d, %v", n, err)
	}
	found := false
	filepath.Walk(kept, func(p string, info os.FileInfo, err error) error {
		if b, _ := os.ReadFile(p); string(b) == "more than ten bytes" {
			found = true
		}
		return nil
	})
	if !found {
		t.Errorf("no copy of the discarded file in %s", kept)
	}
	_, err = m.walk("/big")
	m.wantKind(err, remote.NotExist)
	m.sync()
}

func TestRemoteEditIsNotOverwritten(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/doc.txt", []byte("base")))
	m.wantRead("/doc.txt", "base")
	m.must(m.write("/doc.txt", []byte("ours")))
	m.must(store.Disk().WriteFile("/doc.txt", []byte("theirs!")))
	m.sync()
	m.onServer("/doc.txt", "theirs!")
	copies := 0
	for _, p := range store.Disk().Paths() {
		if strings.HasPrefix(p, "/doc.conflict-") && strings.HasSuffix(p, ".txt") {
			copies++
			m.onServer(p, "ours")
		}
	}
	if copies != 1 {
		t.Errorf("%d conflict copies in %q, want 1", copies, store.Disk().Paths())
	}
	m.wantRead("/doc.txt", "theirs!")
}

func TestServerThatCannotReplaceGetsABackupDance(t *testing.T) {
	store := mem.New(mem.Options{NoReplace: true})
	m := mountMem(t, store, nil)
	m.must(m.write("/f", []byte("one")))
	m.sync()
	m.must(m.write("/f", []byte("two")))
	m.sync()
	m.onServer("/f", "two")
	m.must(m.write("/g", []byte("three")))
	m.sync()
	m.must(m.rename("/g", "/f"))
	m.onServer("/f", "three")
	if got := store.Disk().Paths(); !slices.Equal(got, []string{"/f"}) {
		t.Errorf("server has %q, want only /f", got)
	}
}

func TestDirectoryRemovedBySomebodyElseUnderOwedFilesIsMadeAgain(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond; c.PublishDelay = time.Hour })
	m.must(m.mkdir("/a"))
	m.must(m.mkdir("/a/b"))
	m.must(m.write("/a/b/f", []byte("ours")))
	m.must(store.Disk().RemoveAll("/a"))
	if got := m.names("/a/b"); !slices.Equal(got, []string{"f"}) {
		t.Errorf("listing of the removed directory: %q, want the owed file", got)
	}
	m.must(m.mkdir("/a/b/c"))
	m.must(m.write("/a/b/c/g", []byte("too")))
	m.sync()
	m.onServer("/a/b/f", "ours")
	m.onServer("/a/b/c/g", "too")
}

func TestNobodySeesHalfAFile(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	data := []byte(strings.Repeat("x", 300_000))
	bad := make(chan int64, 100)
	stop := store.Disk().Watch(func(p string, size int64) {
		if p == "/f" && size != int64(len(data)) {
			select {
			case bad <- size:
			default:
			}
		}
	})
	defer stop()
	for range 5 {
		m.must(m.write("/f", data))
		m.sync()
	}
	select {
	case n := <-bad:
		t.Errorf("somebody saw %d bytes of %d", n, len(data))
	default:
	}
}

func TestRenameOfADirectoryAboveOwedFiles(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.mkdir("/a"))
	m.must(m.mkdir("/a/b"))
	m.must(m.write("/a/b/f", []byte("owed")))
	m.must(m.rename("/a", "/z"))
	m.wantRead("/z/b/f", "owed")
	m.stop()
	m.open()
	m.wantRead("/z/b/f", "owed")
	m.sync()
	m.onServer("/z/b/f", "owed")
	_, err := m.walk("/a")
	m.wantKind(err, remote.NotExist)
}

func TestUnlinkedWhileOpenStaysReadable(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	data := strings.Repeat("y", 3<<20)
	m.must(store.Disk().WriteFile("/f", []byte(data)))
	h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
	m.must(err)
	defer h.Release()
	m.must(m.remove("/f"))
	got := make([]byte, len(data))
	n, err := h.ReadAt(context.Background(), got, 0)
	if err != nil || string(got[:n]) != data {
		t.Fatalf("read %d bytes, err %v", n, err)
	}
	_, err = h.WriteAt(context.Background(), []byte("more"), int64(len(data)))
	m.must(err)
	m.sync()
	if got := store.Disk().Paths(); len(got) != 0 {
		t.Errorf("server has %q, want nothing", got)
	}
}

func TestInodeNumbersStayAndAreNotShared(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), nil)
	ino := func(p string) uint64 {
		n, err := m.walk(p)
		m.must(err)
		defer m.Forget(n)
		return n.Ino()
	}
	m.must(m.write("/a", []byte("a")))
	m.sync()
	a := ino("/a")
	if again := ino("/a"); again != a {
		t.Errorf("inode of /a %d, then %d", a, again)
	}
	m.must(m.rename("/a", "/b"))
	if b := ino("/b"); b != a {
		t.Errorf("inode changed from %d to %d by a rename", a, b)
	}
	m.must(m.write("/a", []byte("new")))
	if n := ino("/a"); n == a {
		t.Errorf("new file has the inode %d of the one renamed away", n)
	}
	m.sync()
	if b := ino("/b"); b != a {
		t.Errorf("inode of /b changed from %d to %d", a, b)
	}
}

func TestWriteWaitsForSpoolAndThenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.SpoolSize = 100_000; c.Timeout = 100 * time.Millisecond })
		m.names("/")
		store.SetOnline(false)
		m.must(m.write("/a", make([]byte, 90_000)))
		err := m.write("/b", make([]byte, 90_000))
		m.wantKind(err, remote.NoSpace)
		m.wantRead("/a", string(make([]byte, 90_000)))
		store.SetOnline(true)
		m.sync()
		m.must(m.write("/c", make([]byte, 90_000)))
		m.sync()
		m.onServer("/a", string(make([]byte, 90_000)))
	})
}

func TestCleanContentIsEvicted(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.CacheSize = 1 << 20 })
	for i := range 8 {
		p := fmt.Sprintf("/f%d", i)
		m.must(store.Disk().WriteFile(p, make([]byte, 400_000)))
	}
	for i := range 8 {
		m.wantRead(fmt.Sprintf("/f%d", i), string(make([]byte, 400_000)))
	}
	if s := m.Status(); s.CacheUsed > 1<<20 {
		t.Errorf("cache holds %d bytes, bound %d", s.CacheUsed, 1<<20)
	}
}

func TestRemoteChangeBetweenReadsIsNeverMixed(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte(strings.Repeat("A", 40<<20))))
	h, err := m.openAt("/f", OpenFlags{Read: true})
	m.must(err)
	defer h.Release()
	p := make([]byte, 1000)
	if _, err := h.ReadAt(context.Background(), p, 0); err != nil {
		t.Fatal(err)
	}
	m.must(store.Disk().WriteFile("/f", []byte(strings.Repeat("B", 39<<20))))
	n, err := h.ReadAt(context.Background(), p, 38<<20)
	if err == nil && strings.Contains(string(p[:n]), "B") {
		t.Fatal("a handle that had read the old version was given bytes of the new one")
	}
	got, err := m.read("/f")
	if err != nil || strings.Trim(string(got), "B") != "" || len(got) != 39<<20 {
		t.Fatalf("after reopening: %d bytes, err %v", len(got), err)
	}
}
