package spool

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// BenchmarkLoad100k starts with 100,000 owed files, as they stand in the page cache; with
// -short 1,000.
func BenchmarkLoad100k(b *testing.B) {
	dir := b.TempDir()
	s := mustOpen(b, newDisk("b1"), dir)
	if _, _, err := s.Load(context.Background()); err != nil {
		b.Fatal(err)
	}
	files := 100_000
	if testing.Short() {
		files = 1000
	}
	for i := range files {
		r := file(b, s, fmt.Sprintf("/some/directory/of/the/tree/%d/file-%d.txt", i/1000, i), 3)
		put(b, s, r)
	}
	s.Close()
	for b.Loop() {
		s := mustOpen(b, newDisk("b1"), dir)
		if recs := mustLoad(b, s); len(recs) != files {
			b.Fatal(len(recs))
		}
		s.Close()
	}
}

func BenchmarkPut(b *testing.B) {
	s := mustOpen(b, OS, b.TempDir())
	r := file(b, s, "/some/directory/of/the/tree/file.txt", 3)
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			put(b, s, r)
		}
	})
	b.Run("synced", func(b *testing.B) {
		f, err := os.OpenFile(s.data(r.ID), os.O_RDWR, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for b.Loop() {
			if err := s.Sync(r, f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
