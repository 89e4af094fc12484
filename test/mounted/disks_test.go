package mounted

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/mount"
)

// A disk of its own for a cache or a spool, small or to be broken.

// tmpfsAt mounts a small disk at dir until the test ends.
func tmpfsAt(t *testing.T, dir, options string) {
	t.Helper()
	needRoot(t, "a disk of its own")
	must(t, os.MkdirAll(dir, 0o700))
	must(t, syscall.Mount("ftpfs-test", dir, "tmpfs", 0, "mode=700,"+options))
	t.Cleanup(func() { unmountDisk(t, dir) })
}

// ext4At mounts a disk at dir that can be made to fail, until the test ends.
func ext4At(t *testing.T, dir, size string) {
	t.Helper()
	needRoot(t, "a disk of its own")
	mount.Need(t, "mkfs.ext4", "truncate")
	image := filepath.Join(mount.TempDir(t), "disk")
	mount.Run(t, "/", "truncate", "-s", size, image)
	mount.Run(t, "/", "mkfs.ext4", "-q", image)
	must(t, os.MkdirAll(dir, 0o700))
	if r := (mount.Command{}).Do(t, "mount", "-o", "loop", image, dir); r.Code != 0 {
		if os.Getenv("FTPFS_REQUIRE_ALL") == "1" {
			t.Fatalf("no loop device, and FTPFS_REQUIRE_ALL=1: %s", r.Err)
		}
		t.Skipf("SKIPPED loop device: %s", strings.TrimSpace(r.Err))
	}
	t.Cleanup(func() { unmountDisk(t, dir) })
	must(t, os.Chmod(dir, 0o700))
}

// breakDisk makes an ext4 do what it does when its device fails: it becomes
// read-only under those who write.
func breakDisk(t *testing.T, dir string) {
	t.Helper()
	mount.Run(t, "/", "mount", "-o", "remount,abort", dir)
}

// loseDisk takes a disk away from the directory tree, as an impatient
// administrator does; what is open stays open.
func loseDisk(t *testing.T, dir string) {
	t.Helper()
	must(t, syscall.Unmount(dir, syscall.MNT_DETACH))
}

func unmountDisk(t *testing.T, dir string) {
	if err := syscall.Unmount(dir, 0); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("unmount the disk at %s: %v", dir, err)
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
	}
}

func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("FTPFS_REQUIRE_ALL") == "1" {
		t.Fatalf("%s needs root, and FTPFS_REQUIRE_ALL=1", what)
	}
	t.Skipf("SKIPPED %s: it needs root", what)
}

// hog fills a disk to the last block, as some other program would. free gives the
// space back.
func hog(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "somebody else's")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for _, n := range []int{1 << 20, 4096} {
		for block := make([]byte, n); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("fill the disk at %s: %v", dir, err)
		}
		err = nil
	}
	return func() { must(t, os.Remove(name)) }
}
