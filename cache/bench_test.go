package cache

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// BenchmarkNewFile is what a program waits for when it makes a small file: as cp
// does, and as rsync -a does, with its temporary name. The disk is the one under
// TMPDIR. Nothing is uploaded meanwhile.
func BenchmarkNewFile(b *testing.B) {
	for _, rsync := range []bool{false, true} {
		name := "cp"
		if rsync {
			name = "rsync"
		}
		b.Run(name, func(b *testing.B) {
			dir, ctx := b.TempDir(), context.Background()
			t, err := New(Config{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"), Identity: "mem",
				DirCacheTime: time.Hour, PublishDelay: time.Hour}, mem.New(mem.Options{}))
			if err != nil {
				b.Fatal(err)
			}
			data := make([]byte, 8<<10)
			start := cpuTime(b)
			i := 0
			for b.Loop() {
				i++
				if err := newFile(t, fmt.Sprintf("f%d", i), data, rsync); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
			gone, cancel := context.WithCancel(ctx)
			cancel()
			if err := t.Close(gone); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func newFile(t *Tree, name string, data []byte, rsync bool) error {
	ctx, dir := context.Background(), t.Root()
	made := name
	if rsync {
		made = "." + name + ".Xy12Zw"
	}
	n, h, _, err := t.Create(ctx, dir, made, 0o600, true, OpenFlags{Write: true})
	if err != nil {
		return err
	}
	defer t.Forget(n)
	_, err = h.WriteAt(ctx, data, 0)
	if err == nil {
		err = h.Flush(ctx)
	}
	h.Release()
	if err != nil || !rsync {
		return err
	}
	mtime, mode := time.Unix(1700000000, 0), uint32(0o644)
	if _, err = t.SetAttr(ctx, n, nil, Set{MTime: &mtime}); err != nil {
		return err
	}
	if _, err = t.SetAttr(ctx, n, nil, Set{Mode: &mode}); err != nil {
		return err
	}
	return t.Rename(ctx, dir, made, dir, name, false)
}

// cpuTime is what this process used so far, user and system.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
