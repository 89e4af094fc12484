package cache

import (
	"bytes"
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// Somebody replaces a file that is being read here: the open handle has the old
// version or an error, a new one the new version, and they are two inodes, since the
// kernel would mix the pages of one.
func TestAReplacedFileThatIsOpenIsAnInodeOfItsOwn(t *testing.T) {
	for _, costly := range []bool{false, true} {
		store := mem.New(mem.Options{CostlyStat: costly})
		m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond })
		before, after := bytes.Repeat([]byte("a"), 8<<20), bytes.Repeat([]byte("b"), 8<<20)
		m.must(store.Disk().WriteFile("/f", before))
		h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
		m.must(err)
		ctx := context.Background()
		p := make([]byte, 64<<10)
		_, err = h.ReadAt(ctx, p, 0)
		m.must(err)
		old := m.ino("/f")

		m.must(store.Disk().WriteFile("/f", after))
		m.must(store.Disk().Chtimes("/f", time.Now().Add(time.Hour)))
		m.names("/")
		m.wantRead("/f", string(after))
		if now := m.ino("/f"); now == old {
			t.Errorf("costly stat %v: both versions are inode %d", costly, now)
		}
		a, err := m.GetAttr(ctx, h.file.node)
		if err != nil || a.Ino != old || a.Size != int64(len(before)) {
			t.Errorf("the old file through its handle: %+v, %v", a, err)
		}
		for off := int64(0); off < int64(len(before)); off += int64(len(p)) {
			n, err := h.ReadAt(ctx, p, off)
			if err == nil && n == 0 || bytes.ContainsRune(p[:n], 'b') {
				t.Fatalf("at %d the old handle reads %d bytes of another version, or an end: %v", off, n, err)
			}
			if err != nil && !remote.Is(err, remote.Changed) {
				t.Fatalf("at %d: %v, want ESTALE", off, err)
			}
		}
		_, err = h.WriteAt(ctx, []byte("lost"), 0)
		m.wantKind(err, remote.Changed)
		m.wantKind(h.Truncate(ctx, 0), remote.Changed)
		_, err = m.Open(ctx, h.file.node, OpenFlags{Read: true})
		m.wantKind(err, remote.Changed) // the kernel asks for the name again
		h.Release()
		m.wantRead("/f", string(after))
	}
}

// What is written to a file that somebody else removed would go nowhere: it is refused.
func TestWriteToAFileRemovedOnTheServerIsRefused(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond })
	m.must(store.Disk().WriteFile("/log", []byte("one\n")))
	h, err := m.openAt("/log", OpenFlags{Write: true, Append: true})
	m.must(err)
	defer h.Release()
	m.must(store.Disk().RemoveAll("/log"))
	m.names("/") // notices
	_, err = h.WriteAt(context.Background(), []byte("two\n"), 4)
	m.wantKind(err, remote.Changed)
	m.must(m.write("/log", []byte("new")))
	m.sync()
	m.onServer("/log", "new")
}

func (m *mount) ino(p string) uint64 {
	m.t.Helper()
	n, err := m.walk(p)
	m.must(err)
	defer m.Forget(n)
	return n.Ino()
}

// A large file that somebody reads is removed, or replaced: that does not wait for all
// of it to be fetched. The reader has what is held and then ESTALE, never an early end.
func TestRemovingALargeOpenFileDoesNotFetchIt(t *testing.T) {
	for _, how := range []string{"remove", "rename over"} {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		size := int64(4 * keepBelow)
		m.must(store.Disk().WriteFile("/f", make([]byte, size)))
		m.must(store.Disk().WriteFile("/small", []byte("kept whole")))
		m.must(store.Disk().WriteFile("/other", []byte("other")))
		h, err := m.openAt("/f", OpenFlags{Read: true})
		m.must(err)
		p := make([]byte, 4096)
		_, err = h.ReadAt(context.Background(), p, 0)
		m.must(err)
		if how == "remove" {
			m.must(m.remove("/f"))
		} else {
			m.must(m.rename("/other", "/f"))
		}
		if got, _ := store.Bytes(); got > size/2 {
			t.Errorf("%s fetched %d bytes of %d", how, got, size)
		}
		_, err = h.ReadAt(context.Background(), p, 0)
		m.must(err)
		_, err = h.ReadAt(context.Background(), p, size-4096)
		m.wantKind(err, remote.Changed)
		if a, err := m.GetAttr(context.Background(), h.file.node); err != nil || a.Size != size {
			t.Errorf("%s: attributes of the open file: %+v, %v", how, a, err)
		}
		h.Release()

		small, err := m.openAt("/small", OpenFlags{Read: true})
		m.must(err)
		m.must(m.remove("/small"))
		n, err := small.ReadAt(context.Background(), p, 0)
		if err != nil || string(p[:n]) != "kept whole" {
			t.Errorf("a small file that was open: %q, %v", p[:n], err)
		}
		small.Release()
	}
}

// A file on the server is renamed over one that somebody has just changed there.
func TestRenameOverAChangedFileIsRefusedOnce(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/mine", []byte("mine")))
	m.must(store.Disk().WriteFile("/doc", []byte("old")))
	m.wantRead("/mine", "mine")
	m.wantRead("/doc", "old")
	m.must(store.Disk().WriteFile("/doc", []byte("their change")))
	if err := m.rename("/mine", "/doc"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("rename over a change that was never seen: %v, want EBUSY", err)
	}
	m.onServer("/doc", "their change")
	m.onServer("/mine", "mine")
	m.wantRead("/doc", "their change")
	m.must(m.rename("/mine", "/doc"))
	m.onServer("/doc", "mine")
}

// The same where nothing was listed under the name, where what is replaced is owed and
// somebody has changed it on the server, and for a directory; on any server.
func TestRenameOverWhatNobodyHereHasSeenIsRefused(t *testing.T) {
	for _, o := range []mem.Options{{}, {NoReplace: true}} {
		store := mem.New(o)
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(store.Disk().WriteFile("/mine", []byte("mine")))
		m.must(store.Disk().Mkdir("/dir"))
		m.must(store.Disk().WriteFile("/doc", []byte("old")))
		m.names("/")
		m.must(m.write("/doc", []byte("edited here")))
		m.must(store.Disk().WriteFile("/doc", []byte("edited there")))
		m.must(store.Disk().WriteFile("/new", []byte("made there")))
		for _, c := range []struct{ from, to, has string }{{"/mine", "/new", "made there"}, {"/dir", "/new", "made there"}, {"/mine", "/doc", "edited there"}} {
			m.mu.Lock()
			if l := m.Root().list; l != nil { // what was listed is what it was
				l.fetched = time.Now()
				l.ents.remove("new")
			}
			m.mu.Unlock()
			if err := m.rename(c.from, c.to); !errors.Is(err, syscall.EBUSY) {
				t.Errorf("%+v: rename of %s over %s, which nobody here has seen: %v, want EBUSY", o, c.from, c.to, err)
			}
			m.onServer(c.to, c.has)
		}
		m.onServer("/mine", "mine")
		m.must(m.rename("/mine", "/new"))
		m.onServer("/new", "mine")
	}
}

// A directory with an open file in it is removed on the server.
func TestWriteBelowARemovedDirectoryIsRefused(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.DirCacheTime = time.Nanosecond })
	m.must(store.Disk().Mkdir("/d"))
	m.must(store.Disk().WriteFile("/d/f", []byte("one")))
	h, err := m.openAt("/d/f", OpenFlags{Write: true})
	m.must(err)
	defer h.Release()
	m.must(store.Disk().RemoveAll("/d"))
	m.names("/")
	_, err = h.WriteAt(context.Background(), []byte("two"), 0)
	m.wantKind(err, remote.Changed)
}
