package remotetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ftpfs/cache/remote"
)

// Behind is the server's directory as another of its clients has it. Paths are
// those of the Store. A *mem.Disk is one.
type Behind interface {
	ReadFile(path string) ([]byte, error)
	WriteFile(path string, data []byte) error
	Mkdir(path string) error
	Symlink(target, path string) error
	Mknod(path string) error // of type Other
	Chtimes(path string, t time.Time) error
	Chmod(path string, mode fs.FileMode) error
	// Stat tells of the name itself, not of what a link points to.
	Stat(path string) (remote.Entry, bool)
}

// OnDisk is the Behind of a server whose top directory is root on this machine.
// own is called with each local path made, so that the server may change it;
// nil where that needs nothing.
func OnDisk(root string, own func(local string)) Behind {
	if own == nil {
		own = func(string) {}
	}
	return onDisk{root, own}
}

type onDisk struct {
	root string
	own  func(string)
}

func (d onDisk) at(path string) string { return filepath.Join(d.root, path) }

func (d onDisk) ReadFile(path string) ([]byte, error) { return os.ReadFile(d.at(path)) }

func (d onDisk) WriteFile(path string, data []byte) error {
	err := os.WriteFile(d.at(path), data, 0o644)
	d.own(d.at(path))
	return err
}

func (d onDisk) Mkdir(path string) error {
	err := os.Mkdir(d.at(path), 0o755)
	d.own(d.at(path))
	return err
}

func (d onDisk) Symlink(target, path string) error {
	err := os.Symlink(target, d.at(path))
	d.own(d.at(path))
	return err
}

func (d onDisk) Chtimes(path string, t time.Time) error { return os.Chtimes(d.at(path), t, t) }

func (d onDisk) Mknod(path string) error { return syscall.Mkfifo(d.at(path), 0o644) }

func (d onDisk) Chmod(path string, mode fs.FileMode) error { return os.Chmod(d.at(path), mode) }

func (d onDisk) Stat(path string) (remote.Entry, bool) {
	info, err := os.Lstat(d.at(path))
	if err != nil {
		return remote.Entry{}, false
	}
	e := remote.Entry{Name: info.Name(), Type: remote.Other, Size: info.Size(), MTime: info.ModTime().UTC().Truncate(time.Second),
		MGrain: time.Second, Mode: uint32(info.Mode().Perm()), HasMode: true}
	switch {
	case info.IsDir():
		e.Type = remote.Dir
	case info.Mode().IsRegular():
		e.Type = remote.File
	case info.Mode()&os.ModeSymlink != 0:
		e.Type = remote.Symlink
		e.Target, _ = os.Readlink(d.at(path))
	}
	return e, true
}
