package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// FS is every touch of the disk that the spool makes, so that a test can record
// the sequence, stop it anywhere, or let one step fail. Paths are as given to
// Open, with the spool's own names appended. Errors are those of package os:
// errors.Is works with fs.ErrNotExist and errno values.
type FS interface {
	MkdirAll(dir string) error                                 // 0700
	OpenFile(path string, flag int) (*os.File, error)          // new files 0600
	ReadFile(path string) ([]byte, error)                      // all of it
	WriteFile(path string, b []byte, sync bool) error          // replace the content; sync: on disk when it returns
	WriteAt(path string, b []byte, off int64, sync bool) error // overwrite a part, in a new file if there is none
	ReadDir(dir string) ([]string, error)                      // names in any order, without "." and ".."
	Size(path string) (int64, error)                           // of a regular file
	Rename(from, to string) error                              // atomic, of a file; EXDEV across file systems
	Remove(path string) error                                  // of a file
	SyncData(f *os.File) error                                 // fdatasync
	SyncDir(dir string) error                                  // names in dir are on disk when it returns
	SyncFS(f *os.File) error                                   // all of the file system that f is on
}

// OS is the real disk.
var OS FS = osFS{}

type osFS struct{}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osFS) OpenFile(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag, 0o600)
}

func (osFS) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (osFS) WriteFile(path string, b []byte, sync bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// WriteAt is on the way of every write and close of a program: three system calls,
// where an os.File makes eight.
func (osFS) WriteAt(path string, b []byte, off int64, sync bool) error {
	var fd int
	err := uninterrupted(func() (err error) {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	for len(b) > 0 && err == nil {
		var n int
		err = uninterrupted(func() (err error) {
			n, err = unix.Pwrite(fd, b, off)
			return err
		})
		if err == nil {
			b, off = b[n:], off+int64(n)
		}
	}
	if err == nil && sync {
		err = uninterrupted(func() error { return unix.Fsync(fd) })
	}
	if cerr := unix.Close(fd); err == nil && cerr != unix.EINTR { // EINTR: it is closed
		err = cerr
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func uninterrupted(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

func (osFS) ReadDir(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (osFS) Size(path string) (int64, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !fi.Mode().IsRegular() {
		return 0, &os.PathError{Op: "stat", Path: path, Err: unix.EINVAL}
	}
	return fi.Size(), nil
}

// Rename does not look at the target first as os.Rename does.
func (osFS) Rename(from, to string) error {
	if err := uninterrupted(func() error { return unix.Rename(from, to) }); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Remove does not fall back on rmdir as os.Remove does.
func (osFS) Remove(path string) error {
	if err := unix.Unlink(path); err != nil {
		return &os.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

func (osFS) SyncData(f *os.File) error {
	return syncing("fdatasync", f, unix.Fdatasync)
}

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (osFS) SyncFS(f *os.File) error {
	return syncing("syncfs", f, unix.Syncfs)
}

// syncing calls fn on f's descriptor, again when a signal interrupted it.
func syncing(op string, f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := c.Control(func(fd uintptr) {
		err = uninterrupted(func() error { return fn(int(fd)) })
	})
	if cerr != nil {
		return cerr
	}
	if err != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: err}
	}
	return nil
}

// writeAtomic replaces path by b, whole and on disk or not at all. Nothing but
// the caller may write path at the same time.
func writeAtomic(fs FS, dir, path string, b []byte) error {
	tmp := path + ".tmp"
	err := fs.WriteFile(tmp, b, true)
	if err == nil {
		if err = fs.Rename(tmp, path); err == nil {
			return fs.SyncDir(dir)
		}
	}
	// What is left of the temporary file is overwritten next time; freeing the
	// space now matters on a full disk.
	_ = fs.Remove(tmp)
	return err
}
