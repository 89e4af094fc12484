package spool

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
	op       string // create, write, writeat, rename, remove, data, truncate, syncdata, syncdir, syncfs
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

func (r *recorder) WriteAt(path string, b []byte, off int64, sync bool) error {
	return r.note(event{op: "writeat", path: path, b: bytes.Clone(b), off: off, sync: sync}, r.disk.WriteAt(path, b, off, sync))
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

// inode is a file's content: as programs see it, as it was when last synced, as it
// is when the lengths reached the disk and the bytes did not, and all it was since
// it was last synced.
type inode struct {
	live, synced, hollow []byte
	since                [][]byte
}

func (n *inode) writeAt(b []byte, off int64) {
	n.live = grow(bytes.Clone(n.live), off+int64(len(b)))
	copy(n.live[off:], b)
	n.hollow = grow(n.hollow, int64(len(n.live)))
	n.since = append(n.since, n.live)
}

func (n *inode) truncate(size int64) {
	n.live, n.hollow = cutTo(n.live, size), cutTo(n.hollow, size)
	n.since = append(n.since, n.live)
}

func (n *inode) sync() {
	n.synced, n.hollow = bytes.Clone(n.live), bytes.Clone(n.live)
	n.since = [][]byte{n.live}
}

// mixed is what a disk may hold that writes pages when it likes: each as it was at
// some moment since the last sync, or not yet written, one of them torn between
// two sectors.
func (n *inode) mixed(rnd *rand.Rand) []byte {
	out := make([]byte, len(n.live))
	pages := (len(out) + slotUnit - 1) / slotUnit
	version := func() []byte {
		if i := rnd.IntN(len(n.since) + 1); i < len(n.since) {
			return n.since[i]
		}
		return n.hollow
	}
	part := func(from []byte, off, end int) {
		if end = min(end, len(out), len(from)); off < end {
			copy(out[off:end], from[off:end])
		}
	}
	for p := range pages {
		v, off := version(), p*slotUnit
		part(v, off, off+slotUnit)
		if rnd.IntN(3) == 0 {
			v = version()
			for s := 0; s < slotUnit; s += 512 {
				if rnd.IntN(2) == 0 {
					clear(out[min(off+s, len(out)):min(off+s+512, len(out))])
					part(v, off+s, off+s+512)
				}
			}
		}
	}
	return out
}

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

// apart, in place of j, is a disk without a journal: a directory's names are on disk as
// far as that directory was synced, whatever became of the others.
const apart = -1

// onDisk says whether the i-th event's change of names is on disk after k events.
func onDisk(log []event, i, k, j int) bool {
	if j != apart {
		return i < j
	}
	for _, e := range log[i+1 : k] {
		if e.op == "syncfs" || e.op == "syncdir" && (e.path == filepath.Dir(log[i].path) || e.path == filepath.Dir(log[i].to)) {
			return true
		}
	}
	return false
}

// cut builds in dir what the disk that was at from holds when the power went after
// k events: names as of the first j of them (a journal keeps their order) or apart,
// content as content says: "synced", "hollow", "live" or "mixed".
func cut(t *testing.T, log []event, k, j int, content, from, dir string, rnd *rand.Rand) {
	t.Helper()
	live, names, all := map[string]*inode{}, map[string]*inode{}, []*inode{}
	step := func(m map[string]*inode, e event, n *inode) {
		switch e.op {
		case "create", "write", "writeat":
			m[e.path] = n
		case "rename":
			m[e.to] = n
			delete(m, e.path)
		case "remove":
			delete(m, e.path)
		}
	}
	for i, e := range log[:k] {
		n := live[e.path]
		born := n == nil
		if born && (e.op == "create" || e.op == "write" || e.op == "writeat") {
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
		case "data", "writeat":
			n.writeAt(e.b, e.off)
			if e.sync {
				n.sync()
			}
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
		if (born || e.op == "rename" || e.op == "remove") && onDisk(log, i, k, j) {
			step(names, e, n)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(names)) { // the same at each run
		n := names[path]
		b := map[string][]byte{"synced": n.synced, "hollow": n.hollow, "live": n.live}[content]
		if content == "mixed" {
			b = n.mixed(rnd)
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
