package cache

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// benchTree is a Tree over a server in memory, whose listings stay fresh.
func benchTree(b *testing.B, fill func(d *mem.Disk) error) *Tree {
	dir := b.TempDir()
	store := mem.New(mem.Options{})
	if err := fill(store.Disk()); err != nil {
		b.Fatal(err)
	}
	t, err := New(Config{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"), Identity: "mem", DirCacheTime: time.Hour}, store)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		if err := t.Close(gone); err != nil {
			b.Error(err)
		}
	})
	return t
}

func benchName(i int) string { return fmt.Sprintf("photo %05d.jpg", i) }

// told is a listing of n names, as a server tells it.
func told(n int) []remote.Entry {
	all := make([]remote.Entry, n)
	for i := range all {
		all[i] = remote.Entry{Name: benchName(i), Type: remote.File, Size: int64(i), MTime: time.Unix(1700000000, 0), MGrain: time.Second,
			Mode: 0o644, HasMode: true, Unique: fmt.Sprintf("803U%xA", i)}
	}
	return all
}

// BenchmarkKeepListing takes in a listing of a thousand names that the server told.
func BenchmarkKeepListing(b *testing.B) {
	t := benchTree(b, func(*mem.Disk) error { return nil })
	ents := told(1000)
	b.ReportAllocs()
	for b.Loop() {
		t.mu.Lock()
		t.installLocked(t.root, newFetch(), ents, time.Now())
		t.mu.Unlock()
	}
}

// BenchmarkDirectoriesUsed is the order in which directories were used last, of a hundred thousand: one is
// used again, and one is new and drives the longest unused one out.
func BenchmarkDirectoriesUsed(b *testing.B) {
	const dirs = 100_000
	of := func(names int) *Node {
		n := &Node{list: &listing{ents: newEntries(names)}}
		for i := range names {
			n.list.put(benchName(i), entry{})
		}
		return n
	}
	fill := func() (*listings, []*Node) {
		ls := newListings(dirs*5, func(*Node) {})
		nodes := make([]*Node, dirs)
		for i := range nodes {
			nodes[i] = of(1)
			ls.touchLocked(nodes[i])
		}
		return ls, nodes
	}
	b.Run("again", func(b *testing.B) {
		ls, nodes := fill()
		rnd := rand.New(rand.NewPCG(1, 2))
		b.ReportAllocs()
		for b.Loop() {
			ls.touchLocked(nodes[rnd.IntN(dirs)])
		}
	})
	b.Run("new", func(b *testing.B) {
		ls, nodes := fill()
		l := of(1).list
		b.ReportAllocs()
		i := 0
		for b.Loop() { // each is the longest unused one when it is new again
			n := nodes[i%dirs]
			i++
			n.list = l
			ls.touchLocked(n)
			ls.touchLocked(&Node{list: l})
		}
	})
}

// BenchmarkOpenDir is opendir of a directory that is known, by its size.
func BenchmarkOpenDir(b *testing.B) {
	for _, names := range []int{10, 1000, 50_000} {
		b.Run(fmt.Sprint(names), func(b *testing.B) {
			t := benchTree(b, func(*mem.Disk) error { return nil })
			t.mu.Lock()
			t.installLocked(t.root, newFetch(), told(names), time.Now())
			t.mu.Unlock()
			b.ReportAllocs()
			for b.Loop() {
				if d, err := t.OpenDir(context.Background(), t.root); err != nil || d.Len() != names {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*names), "ns/name")
		})
	}
}

// BenchmarkLookup is stat of names in a directory of a thousand that is known: one that is there, which the
// kernel does not know or knows already, and one that is not.
func BenchmarkLookup(b *testing.B) {
	const names = 1000
	ctx := context.Background()
	known := func(b *testing.B) *Tree {
		t := benchTree(b, func(*mem.Disk) error { return nil })
		t.mu.Lock()
		t.installLocked(t.root, newFetch(), told(names), time.Now())
		t.mu.Unlock()
		b.ReportAllocs()
		b.ResetTimer()
		return t
	}
	lookUp := func(b *testing.B, t *Tree, i int) *Node {
		n, _, err := t.Lookup(ctx, t.root, benchName(i%names))
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	b.Run("new", func(b *testing.B) {
		t := known(b)
		for i := 0; b.Loop(); i++ {
			t.Forget(lookUp(b, t, i))
		}
	})
	b.Run("known", func(b *testing.B) {
		t := known(b)
		for i := range names {
			lookUp(b, t, i)
		}
		for i := 0; b.Loop(); i++ {
			t.Forget(lookUp(b, t, i))
		}
	})
	b.Run("absent", func(b *testing.B) {
		t := known(b)
		for b.Loop() {
			if _, _, err := t.Lookup(ctx, t.root, "not there"); !remote.Is(err, remote.NotExist) {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReadHeld reads a file that is held whole, as the kernel asks for it.
func BenchmarkReadHeld(b *testing.B) {
	const size = 16 << 20
	for _, at := range []int{4 << 10, 128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", at>>10), func(b *testing.B) {
			t := benchTree(b, func(d *mem.Disk) error { return d.WriteFile("/large", make([]byte, size)) })
			n, _, err := t.Lookup(b.Context(), t.root, "large")
			if err != nil {
				b.Fatal(err)
			}
			h, err := t.Open(b.Context(), n, OpenFlags{Read: true})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Release()
			p := make([]byte, at)
			read := func(off int64) {
				if n, err := h.ReadAt(context.Background(), p, off); n != at || err != nil && err != io.EOF {
					b.Fatal(n, err)
				}
			}
			for off := int64(0); off < size; off += int64(at) {
				read(off)
			}
			b.SetBytes(int64(at))
			b.ReportAllocs()
			b.ResetTimer()
			for i := int64(0); b.Loop(); i++ {
				read(i * int64(at) % size)
			}
		})
	}
}
