package fs

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
	"ftpfs/cache/remote/mem"
)

// Requests as they come from the kernel, answered without a kernel and from what is known: what
// ls, stat and cat of something known cost in the daemon.

const benchNames, benchSize = 1000, 16 << 20

// benched is a directory of a thousand files, and a large one that is held whole.
func benched(b *testing.B) *kernel {
	dir := b.TempDir()
	store := mem.New(mem.Options{})
	for i := range benchNames {
		if err := store.Disk().WriteFile(fmt.Sprintf("/photo %05d.jpg", i), []byte("x")); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Disk().WriteFile("/~large", make([]byte, benchSize)); err != nil {
		b.Fatal(err)
	}
	tree, err := cache.New(cache.Config{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"), DirCacheTime: time.Hour}, store)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if err := tree.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	m := newMount(Config{}.withDefaults(), tree)
	return &kernel{RawFileSystem: gofs.NewNodeFS(&node{m: m, n: tree.Root()}, m.options()), m: m}
}

func (k *kernel) ok(b *testing.B, what string, s fuse.Status) {
	b.Helper()
	if !s.Ok() {
		b.Fatalf("%s: %v", what, s)
	}
}

// readDirPlus reads the root as ls -l does, in buffers of 128 KiB, and returns how many entries there were.
func (k *kernel) readDirPlus(b *testing.B, buf []byte) int {
	root := fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}
	var opened fuse.OpenOut
	k.ok(b, "OPENDIR", k.OpenDir(nil, &fuse.OpenIn{InHeader: root}, &opened))
	defer k.ReleaseDir(&fuse.ReleaseIn{InHeader: root, Fh: opened.Fh})
	off, n := uint64(0), 0
	for {
		out := fuse.NewDirEntryList(buf, off)
		k.ok(b, "READDIRPLUS", k.ReadDirPlus(nil, &fuse.ReadIn{InHeader: root, Fh: opened.Fh, Offset: off, Size: uint32(len(buf))}, out))
		if out.Offset == off {
			return n
		}
		n += int(out.Offset - off) // offsets are indexes
		off = out.Offset
	}
}

// BenchmarkReadDirPlus tells the kernel of a thousand files that it does not know, or knows already.
func BenchmarkReadDirPlus(b *testing.B) {
	for _, known := range []bool{false, true} {
		name := "new"
		if known {
			name = "known"
		}
		b.Run(name, func(b *testing.B) {
			k := benched(b)
			buf := make([]byte, 128<<10)
			k.readDirPlus(b, buf)
			b.ReportAllocs()
			for b.Loop() {
				if n := k.readDirPlus(b, buf); n != benchNames+1+dots {
					b.Fatalf("%d entries", n)
				}
				if known {
					continue
				}
				b.StopTimer()
				for ino, n := range k.counts() {
					k.Forget(ino, n)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchNames), "ns/entry")
		})
	}
}

// counts are how often the kernel was told of each inode.
func (k *kernel) counts() map[uint64]uint64 {
	k.m.refs.mu.Lock()
	defer k.m.refs.mu.Unlock()
	all := make(map[uint64]uint64, len(k.m.refs.nodes))
	for ino, h := range k.m.refs.nodes {
		all[ino] = h.lookups
	}
	return all
}

// BenchmarkKernelLookup is LOOKUP and FORGET of a file in a known directory.
func BenchmarkKernelLookup(b *testing.B) {
	k := benched(b)
	root := fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}
	names := make([]string, benchNames)
	for i := range names {
		names[i] = fmt.Sprintf("photo %05d.jpg", i)
	}
	k.readDirPlus(b, make([]byte, 128<<10))
	for ino, n := range k.counts() {
		k.Forget(ino, n)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var out fuse.EntryOut
		k.ok(b, "LOOKUP", k.Lookup(nil, &root, names[i%benchNames], &out))
		k.Forget(out.NodeId, 1)
	}
}

// BenchmarkKernelRead is READ of what is held, in requests as the kernel makes them, with the bytes put where
// it would have them.
func BenchmarkKernelRead(b *testing.B) {
	for _, size := range []int{4 << 10, 128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			k := benched(b)
			root := fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}
			var out fuse.EntryOut
			k.ok(b, "LOOKUP", k.Lookup(nil, &root, "~large", &out))
			var opened fuse.OpenOut
			file := fuse.InHeader{NodeId: out.NodeId}
			k.ok(b, "OPEN", k.Open(nil, &fuse.OpenIn{InHeader: file}, &opened))
			defer k.Release(nil, &fuse.ReleaseIn{InHeader: file, Fh: opened.Fh})
			buf := make([]byte, size)
			read := func(off int) {
				res, s := k.Read(nil, &fuse.ReadIn{InHeader: file, Fh: opened.Fh, Offset: uint64(off), Size: uint32(size)}, buf)
				k.ok(b, "READ", s)
				p, s := res.Bytes(buf)
				k.ok(b, "READ", s)
				if len(p) != size {
					b.Fatalf("%d bytes", len(p))
				}
				res.Done()
			}
			for off := 0; off < benchSize; off += size {
				read(off)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				read(i * size % benchSize)
			}
		})
	}
}
