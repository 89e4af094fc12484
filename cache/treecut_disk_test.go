package cache

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
	"ftpfs/cache/spool/cutdisk"
)

// bootDisk is the real disk during a boot of the test's choice.
type bootDisk struct {
	spool.FS
	boot string
}

func (d bootDisk) ReadFile(path string) ([]byte, error) {
	if strings.HasPrefix(path, "/proc/") {
		return []byte(d.boot + "\n"), nil
	}
	return d.FS.ReadFile(path)
}

// treeDisk logs all that a Tree does to its disk, and what the server holds meanwhile.
// The spool's steps come by way of spool.FS. What else there is — data files written
// through their descriptors and punched, marks, copies of tails, the list of conflicts,
// the cache — is looked at before and after each step, and when the test asks for it:
// what has changed since is a step of its own.
type treeDisk struct {
	bootDisk
	root   string // below it is all that is watched
	server *mem.Disk

	mu      sync.Mutex // guards what follows
	log     []cutdisk.Event
	servers []*mem.Disk // what the server held when the event had happened
	sum     uint64      // of the last of them
	seed    maphash.Seed
	seen    map[string][]byte // content of the watched files
}

func newTreeDisk(root string, server *mem.Disk) *treeDisk {
	return &treeDisk{bootDisk: bootDisk{spool.OS, "b1"}, root: root, server: server, seed: maphash.MakeSeed(), seen: map[string][]byte{}}
}

// watched says whether path is one of the files that are looked at.
func (d *treeDisk) watched(path string) bool {
	p, ok := strings.CutPrefix(path, d.root+"/")
	return ok && (!strings.HasPrefix(p, "state/spool/") || strings.HasPrefix(p, "state/spool/data/"))
}

func (d *treeDisk) appendLocked(e cutdisk.Event) {
	if sum := d.sumLocked(); len(d.servers) == 0 || sum != d.sum {
		d.servers, d.sum = append(d.servers, d.server.Clone()), sum
	} else {
		d.servers = append(d.servers, d.servers[len(d.servers)-1])
	}
	d.log = append(d.log, e)
}

// sumLocked is of all the server holds.
func (d *treeDisk) sumLocked() uint64 {
	h := maphash.Hash{}
	h.SetSeed(d.seed)
	for _, p := range d.server.Paths() {
		at, _ := d.server.Stat(p)
		b, _ := d.server.ReadFile(p)
		fmt.Fprintf(&h, "%q %d %v %v ", p, at.Size, at.MTime, at.Mode)
		h.Write(b)
	}
	return h.Sum64()
}

// lookLocked logs what has changed in the watched files.
func (d *treeDisk) lookLocked() {
	found := map[string]bool{}
	_ = filepath.WalkDir(d.root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if err == nil && path != filepath.Join(d.root, "state/spool") && filepath.Dir(path) == filepath.Join(d.root, "state/spool") && e.Name() != "data" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.watched(path) {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil // it is gone again
		}
		found[path] = true
		was, known := d.seen[path]
		if !known {
			d.appendLocked(cutdisk.Event{Op: "create", Path: path})
		}
		if len(b) < len(was) {
			d.appendLocked(cutdisk.Event{Op: "truncate", Path: path, Off: int64(len(b))})
			was = was[:len(b)]
		}
		if len(b) > len(was) && bytes.Equal(b[len(was):], make([]byte, len(b)-len(was))) { // a hole
			d.appendLocked(cutdisk.Event{Op: "truncate", Path: path, Off: int64(len(b))})
			was = append(bytes.Clone(was), b[len(was):]...)
		}
		from, to := 0, len(b)
		for from < len(was) && b[from] == was[from] {
			from++
		}
		for len(was) == len(b) && to > from && b[to-1] == was[to-1] {
			to--
		}
		if from < to {
			d.appendLocked(cutdisk.Event{Op: "data", Path: path, Off: int64(from), B: bytes.Clone(b[from:to])})
		}
		d.seen[path] = b
		return nil
	})
	for path := range d.seen {
		if !found[path] {
			d.appendLocked(cutdisk.Event{Op: "remove", Path: path})
			delete(d.seen, path)
		}
	}
}

// look logs what there is to log, and returns how much that is.
func (d *treeDisk) look() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookLocked()
	if len(d.log) == 0 || d.sumLocked() != d.sum {
		d.appendLocked(cutdisk.Event{Op: "server"})
	}
	return len(d.log)
}

// step does something to the disk, and logs it as e.
func (d *treeDisk) step(e cutdisk.Event, do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookLocked()
	if err := do(); err != nil {
		return err
	}
	switch e.Op {
	case "create":
		if _, known := d.seen[e.Path]; known {
			return nil
		}
		if d.watched(e.Path) {
			d.seen[e.Path] = nil
		}
	case "rename":
		if b, known := d.seen[e.Path]; known && d.watched(e.To) {
			d.seen[e.To] = b
		}
		delete(d.seen, e.Path)
	case "remove":
		delete(d.seen, e.Path)
	}
	d.appendLocked(e)
	return nil
}

func (d *treeDisk) OpenFile(path string, flag int) (f *os.File, err error) {
	if flag&os.O_CREATE == 0 || filepath.Base(path) == "lock" {
		return d.FS.OpenFile(path, flag)
	}
	err = d.step(cutdisk.Event{Op: "create", Path: path}, func() error {
		f, err = d.FS.OpenFile(path, flag)
		return err
	})
	return f, err
}

func (d *treeDisk) WriteFile(path string, b []byte, sync bool) error {
	return d.step(cutdisk.Event{Op: "write", Path: path, B: bytes.Clone(b), Sync: sync}, func() error { return d.FS.WriteFile(path, b, sync) })
}

func (d *treeDisk) WriteAt(path string, b []byte, off int64, sync bool) error {
	return d.step(cutdisk.Event{Op: "writeat", Path: path, B: bytes.Clone(b), Off: off, Sync: sync}, func() error { return d.FS.WriteAt(path, b, off, sync) })
}

func (d *treeDisk) Rename(from, to string) error {
	return d.step(cutdisk.Event{Op: "rename", Path: from, To: to}, func() error { return d.FS.Rename(from, to) })
}

func (d *treeDisk) Remove(path string) error {
	return d.step(cutdisk.Event{Op: "remove", Path: path}, func() error { return d.FS.Remove(path) })
}

// SyncData is of the file as it is called now: it may have come from the cache.
func (d *treeDisk) SyncData(f *os.File) error {
	path, err := os.Readlink(fmt.Sprint("/proc/self/fd/", f.Fd()))
	if err != nil {
		return err
	}
	return d.step(cutdisk.Event{Op: "syncdata", Path: path}, func() error { return d.FS.SyncData(f) })
}

func (d *treeDisk) SyncDir(path string) error {
	return d.step(cutdisk.Event{Op: "syncdir", Path: path}, func() error { return d.FS.SyncDir(path) })
}

func (d *treeDisk) SyncFS(f *os.File) error {
	return d.step(cutdisk.Event{Op: "syncfs"}, func() error { return d.FS.SyncFS(f) })
}
