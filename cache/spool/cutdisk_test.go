package spool

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder notes every change to the disk, so that cut can say what a power cut
// may leave of it.
type recorder struct {
	*disk
	log []event
}

type event struct {
	op       string // create, write, rename, remove, data, truncate, syncdata, syncdir, syncfs
	path, to string
	off      int64
	b        []byte
	sync     bool
}

func (r *recorder) note(e event, err error) error {
	if err == nil {
		r.log = append(r.log, e)
	}
	return err
}

func (r *recorder) OpenFile(path string, flag int) (*os.File, error) {
	_, err := os.Stat(path)
	f, oerr := r.disk.OpenFile(path, flag)
	if flag&os.O_CREATE != 0 && errors.Is(err, fs.ErrNotExist) {
		oerr = r.note(event{op: "create", path: path}, oerr)
	}
	return f, oerr
}

func (r *recorder) WriteFile(path string, b []byte, sync bool) error {
	return r.note(event{op: "write", path: path, b: bytes.Clone(b), sync: sync}, r.disk.WriteFile(path, b, sync))
}

func (r *recorder) Rename(from, to string) error {
	return r.note(event{op: "rename", path: from, to: to}, r.disk.Rename(from, to))
}

func (r *recorder) Remove(path string) error {
	return r.note(event{op: "remove", path: path}, r.disk.Remove(path))
}

func (r *recorder) SyncData(f *os.File) error {
	return r.note(event{op: "syncdata", path: f.Name()}, r.disk.SyncData(f))
}

func (r *recorder) SyncDir(path string) error {
	return r.note(event{op: "syncdir", path: path}, r.disk.SyncDir(path))
}

func (r *recorder) SyncFS(f *os.File) error { return r.note(event{op: "syncfs"}, r.disk.SyncFS(f)) }

// inode is a file's content: as programs see it, as it was when last synced, and
// as it is when the lengths reached the disk and the bytes did not.
type inode struct{ live, synced, hollow []byte }

func (n *inode) writeAt(b []byte, off int64) {
	n.live = grow(n.live, off+int64(len(b)))
	copy(n.live[off:], b)
	n.hollow = grow(n.hollow, int64(len(n.live)))
}

func (n *inode) truncate(size int64) {
	n.live, n.hollow = cutTo(n.live, size), cutTo(n.hollow, size)
}

func (n *inode) sync() { n.synced, n.hollow = bytes.Clone(n.live), bytes.Clone(n.live) }

func grow(b []byte, n int64) []byte {
	if int64(len(b)) < n {
		b = append(bytes.Clone(b), make([]byte, n-int64(len(b)))...)
	}
	return b
}

func cutTo(b []byte, n int64) []byte { return bytes.Clone(grow(b, n)[:n]) }

// barrier returns how many of the first k events are on disk for certain, as far
// as names go: a directory's fsync commits the journal.
func barrier(log []event, k int) int {
	for i := k - 1; i >= 0; i-- {
		if op := log[i].op; op == "syncdir" || op == "syncfs" {
			return i + 1
		}
	}
	return 0
}

// cut builds in dir what the disk that was at from holds when the power went after
// k events: names as of the first j of them (a journal keeps their order), content
// as content says: "synced", "hollow" or "live".
func cut(t *testing.T, log []event, k, j int, content, from, dir string) {
	t.Helper()
	live, names, all := map[string]*inode{}, map[string]*inode{}, []*inode{}
	step := func(m map[string]*inode, e event, n *inode) {
		switch e.op {
		case "create", "write":
			m[e.path] = n
		case "rename":
			m[e.to] = m[e.path]
			delete(m, e.path)
		case "remove":
			delete(m, e.path)
		}
	}
	for i, e := range log[:k] {
		n := live[e.path]
		if n == nil && (e.op == "create" || e.op == "write") {
			n = &inode{}
			all = append(all, n)
		}
		switch e.op {
		case "write":
			n.truncate(0)
			n.writeAt(e.b, 0)
			if e.sync {
				n.sync()
			}
		case "data":
			n.writeAt(e.b, e.off)
		case "truncate":
			n.truncate(e.off)
		case "syncdata":
			n.sync()
		case "syncfs":
			for _, n := range all {
				n.sync()
			}
		}
		step(live, e, n)
		if i < j {
			step(names, e, n)
		}
	}
	for path, n := range names {
		b := map[string][]byte{"synced": n.synced, "hollow": n.hollow, "live": n.live}[content]
		to := filepath.Join(dir, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
