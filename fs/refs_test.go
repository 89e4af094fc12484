package fs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
	"ftpfs/cache/remote/mem"
)

// unmounted is the file system as go-fuse would serve it, without a kernel.
func unmounted(t *testing.T) *kernel {
	t.Helper()
	dir := t.TempDir()
	store := mem.New(mem.Options{})
	if err := sample(store.Disk()); err != nil {
		t.Fatal(err)
	}
	tree, err := cache.New(cache.Config{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"),
		DirCacheTime: time.Minute, CacheSize: 1 << 20, SpoolSize: 1 << 20, MaxEntries: 1000, Timeout: time.Minute}, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if err := tree.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	m := newMount(Config{}.withDefaults(), tree)
	raw := gofs.NewNodeFS(&node{m: m, n: tree.Root()}, m.options())
	return &kernel{RawFileSystem: raw, m: m}
}

// told is what the kernel would know: how often it was told of each inode.
type told struct {
	mu sync.Mutex
	n  map[uint64]uint64
}

func (k *told) add(ino uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n[ino]++
}

// take takes some or all of the counts of one inode, to be forgotten.
func (k *told) take(all bool) (ino, n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for ino, n := range k.n {
		if !all {
			n = 1 + rand.Uint64N(n)
		}
		if k.n[ino] -= n; k.n[ino] == 0 {
			delete(k.n, ino)
		}
		return ino, n
	}
	return 0, 0
}

// Lookups and FORGETs of the same inodes in any order, with files coming and going
// under the same names, as a busy kernel short of memory sends them.
func TestForgetBalancesEveryAnswer(t *testing.T) {
	k := unmounted(t)
	known := &told{n: map[uint64]uint64{}}
	cancel := make(chan struct{})
	root := func() fuse.InHeader { return fuse.InHeader{NodeId: 1} }

	lookup := func(name string) {
		var out fuse.EntryOut
		h := root()
		st := k.Lookup(cancel, &h, name, &out)
		switch {
		case st == fuse.OK && out.NodeId != 0:
			if out.NodeId != out.Ino {
				t.Errorf("node %d has inode number %d", out.NodeId, out.Ino)
			}
			known.add(out.NodeId)
		case st != fuse.OK && st != fuse.ENOENT:
			t.Errorf("lookup %s: %v", name, st)
		}
	}
	create := func(name string) {
		in := fuse.CreateIn{InHeader: root(), Flags: syscall.O_CREAT | syscall.O_RDWR, Mode: 0o644}
		var out fuse.CreateOut
		if st := k.Create(cancel, &in, name, &out); st != fuse.OK {
			t.Errorf("create %s: %v", name, st)
			return
		}
		k.Release(cancel, &fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: out.NodeId}, Fh: out.Fh})
		known.add(out.NodeId) // not earlier: no kernel forgets a file that is open
	}

	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				mine := fmt.Sprintf("mine-%d-%d", w, i%3)
				switch rand.IntN(6) {
				case 0, 1:
					lookup("plain")
				case 2:
					lookup(mine)
				case 3:
					create(mine)
				case 4:
					h := root()
					if st := k.Unlink(cancel, &h, mine); st != fuse.OK && st != fuse.ENOENT {
						t.Errorf("unlink: %v", st)
					}
				case 5:
					if ino, n := known.take(false); n > 0 {
						k.Forget(ino, n)
					}
				}
			}
		})
	}
	wg.Wait()
	for ino, n := known.take(true); n > 0; ino, n = known.take(true) {
		if k.m.refs.node(ino) == nil {
			t.Errorf("inode %d is not held, though the kernel knows it", ino)
		}
		k.Forget(ino, n)
	}
	if left := k.m.refs.nodes; len(left) != 0 {
		t.Errorf("%d inodes still held, though the kernel forgot all", len(left))
	}
	if left := k.m.handles.set; len(left) != 0 {
		t.Errorf("%d handles left", len(left))
	}
}

// READDIRPLUS tells the kernel of every entry but the dots.
func TestReaddirPlusIsCounted(t *testing.T) {
	k := unmounted(t)
	cancel := make(chan struct{})
	var open fuse.OpenOut
	if st := k.OpenDir(cancel, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: 1}}, &open); st != fuse.OK {
		t.Fatal(st)
	}
	in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: 1}, Fh: open.Fh}
	for range 2 { // the second time as if the first answer had been interrupted
		in.Offset = 0
		list := fuse.NewDirEntryList(make([]byte, 16<<10), 0)
		if st := k.ReadDirPlus(cancel, in, list); st != fuse.OK {
			t.Fatal(st)
		}
	}
	if len(k.m.refs.nodes) != 7 { // what sample makes at the top
		t.Errorf("%d inodes held, want 7", len(k.m.refs.nodes))
	}
	for ino, h := range k.m.refs.nodes {
		if h.lookups != 2 {
			t.Errorf("inode %d: told %d times, want 2", ino, h.lookups)
		}
	}
	k.ReleaseDir(&fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: 1}, Fh: open.Fh})
	k.OnUnmount()
	if len(k.m.refs.nodes) != 0 {
		t.Errorf("%d inodes held after the unmount", len(k.m.refs.nodes))
	}
}

// The kernel must not remember that a name is not there: that could only be taken back by
// a message that waits for the directory's lock.
func TestAbsenceIsNotRemembered(t *testing.T) {
	k := unmounted(t)
	cancel := make(chan struct{})
	var open fuse.OpenOut
	if st := k.OpenDir(cancel, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: 1}}, &open); st != fuse.OK {
		t.Fatal(st)
	}
	defer k.ReleaseDir(&fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: 1}, Fh: open.Fh})
	var out fuse.EntryOut
	st := k.Lookup(cancel, &fuse.InHeader{NodeId: 1}, "absent", &out)
	if st != fuse.ENOENT || out.NodeId != 0 || out.EntryTimeout() != 0 {
		t.Errorf("got %v, node %d, valid for %v; want ENOENT and no more", st, out.NodeId, out.EntryTimeout())
	}
}

// At the end of the mount a file whose last descriptor was closed counts as
// closed, though its RELEASE never came; one that was not stays open, and is no
// business of the server's.
func TestEndOfMountReleasesWhatWasClosed(t *testing.T) {
	k := unmounted(t)
	cancel := make(chan struct{})
	for _, name := range []string{"closed", "open"} {
		in := fuse.CreateIn{InHeader: fuse.InHeader{NodeId: 1}, Flags: syscall.O_CREAT | syscall.O_WRONLY, Mode: 0o644}
		var out fuse.CreateOut
		if st := k.Create(cancel, &in, name, &out); st != fuse.OK {
			t.Fatal(st)
		}
		h := fuse.InHeader{NodeId: out.NodeId}
		flush := fuse.FlushIn{InHeader: h, Fh: out.Fh}
		if name == "open" { // a shell's redirection: closed once, then written on
			if st := k.Flush(cancel, &flush); st != fuse.OK {
				t.Fatal(st)
			}
		}
		if _, st := k.Writev(cancel, &fuse.WriteIn{InHeader: h, Fh: out.Fh}, [][]byte{[]byte("data")}); st != fuse.OK {
			t.Fatal(st)
		}
		if name == "closed" {
			if st := k.Flush(cancel, &flush); st != fuse.OK {
				t.Fatal(st)
			}
		}
	}
	k.OnUnmount()
	for _, f := range k.m.tree.Status().Owed {
		if (f.State == "open") != (f.Path == "/open") {
			t.Errorf("%s is %s", f.Path, f.State)
		}
	}
}
