package spool

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"ftpfs/cache/spool/cutdisk"
)

// recorder notes every change to the disk, so that cutdisk.Cut can say what a power cut
// may leave of it.
type recorder struct {
	*disk
	log []cutdisk.Event
}

func (r *recorder) note(e cutdisk.Event, err error) error {
	if err == nil {
		r.log = append(r.log, e)
	}
	return err
}

func (r *recorder) OpenFile(path string, flag int) (*os.File, error) {
	_, err := os.Stat(path)
	f, oerr := r.disk.OpenFile(path, flag)
	if flag&os.O_CREATE != 0 && errors.Is(err, fs.ErrNotExist) {
		oerr = r.note(cutdisk.Event{Op: "create", Path: path}, oerr)
	}
	return f, oerr
}

func (r *recorder) WriteFile(path string, b []byte, sync bool) error {
	return r.note(cutdisk.Event{Op: "write", Path: path, B: bytes.Clone(b), Sync: sync}, r.disk.WriteFile(path, b, sync))
}

func (r *recorder) WriteAt(path string, b []byte, off int64, sync bool) error {
	return r.note(cutdisk.Event{Op: "writeat", Path: path, B: bytes.Clone(b), Off: off, Sync: sync}, r.disk.WriteAt(path, b, off, sync))
}

func (r *recorder) Rename(from, to string) error {
	return r.note(cutdisk.Event{Op: "rename", Path: from, To: to}, r.disk.Rename(from, to))
}

func (r *recorder) Remove(path string) error {
	return r.note(cutdisk.Event{Op: "remove", Path: path}, r.disk.Remove(path))
}

func (r *recorder) SyncData(f *os.File) error {
	return r.note(cutdisk.Event{Op: "syncdata", Path: f.Name()}, r.disk.SyncData(f))
}

func (r *recorder) SyncDir(path string) error {
	return r.note(cutdisk.Event{Op: "syncdir", Path: path}, r.disk.SyncDir(path))
}

func (r *recorder) SyncFS(f *os.File) error {
	return r.note(cutdisk.Event{Op: "syncfs"}, r.disk.SyncFS(f))
}
