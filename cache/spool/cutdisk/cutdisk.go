// Package cutdisk says what a disk may hold when the power is cut: from a log of all
// that was done to it, for any prefix of that log. It is for tests, which make the log.
// It knows nothing of what the files mean.
package cutdisk

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// page is what a disk writes at once, if not a sector.
const page = 4096

// Event is one change.
type Event struct {
	Op       string // create, write, writeat, rename, remove, data, truncate, syncdata, syncdir, syncfs
	Path, To string
	Off      int64
	B        []byte
	Sync     bool // of write and writeat: on disk when it returned
}

// Variant is what a power cut makes of what had not been synced.
type Variant struct {
	Content string  // see Cut
	Names   float64 // how many of the changes of names since the last barrier are on disk; or Apart
}

// Variants of each prefix: everything dropped, everything kept, the names but not the
// bytes, the lengths but not the bytes, and pages as they happened to be written.
var Variants = []Variant{{"synced", 0}, {"synced", 1}, {"synced", 0.5}, {"hollow", 1}, {"hollow", 0.5}, {"live", 0}, {"live", 1}, {"mixed", 1}, {"mixed", 0.5}, {"synced", Apart}, {"live", Apart}, {"mixed", Apart}}

// NamesOf says how many of the first k events are on disk in v, as far as names go: what
// Cut takes for j.
func (v Variant) NamesOf(log []Event, k int) int {
	if v.Names == Apart {
		return Apart
	}
	j := Barrier(log, k)
	return j + int(v.Names*float64(k-j))
}

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
	pages := (len(out) + page - 1) / page
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
		v, off := version(), p*page
		part(v, off, off+page)
		if rnd.IntN(3) == 0 {
			v = version()
			for s := 0; s < page; s += 512 {
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

// Barrier returns how many of the first k events are on disk for certain, as far
// as names go: a directory's fsync commits the journal.
func Barrier(log []Event, k int) int {
	for i := k - 1; i >= 0; i-- {
		if op := log[i].Op; op == "syncdir" || op == "syncfs" {
			return i + 1
		}
	}
	return 0
}

// Apart, in place of j, is a disk without a journal: a directory's names are on disk as
// far as that directory was synced, whatever became of the others.
const Apart = -1

// onDisk says whether the i-th event's change of names is on disk after k events.
func onDisk(log []Event, i, k, j int) bool {
	if j != Apart {
		return i < j
	}
	for _, e := range log[i+1 : k] {
		if e.Op == "syncfs" || e.Op == "syncdir" && (e.Path == filepath.Dir(log[i].Path) || e.Path == filepath.Dir(log[i].To)) {
			return true
		}
	}
	return false
}

// Cut builds in dir what the disk that was at from holds when the power went after
// k events: names as of the first j of them (a journal keeps their order) or Apart,
// content as content says: "synced", "hollow", "live" or "mixed".
func Cut(log []Event, k, j int, content, from, dir string, rnd *rand.Rand) error {
	live, names, all := map[string]*inode{}, map[string]*inode{}, []*inode{}
	step := func(m map[string]*inode, e Event, n *inode) {
		switch e.Op {
		case "create", "write", "writeat":
			m[e.Path] = n
		case "rename":
			m[e.To] = n
			delete(m, e.Path)
		case "remove":
			delete(m, e.Path)
		}
	}
	for i, e := range log[:k] {
		n := live[e.Path]
		born := n == nil
		if born && (e.Op == "create" || e.Op == "write" || e.Op == "writeat") {
			n = &inode{}
			all = append(all, n)
		}
		switch e.Op {
		case "write":
			n.truncate(0)
			n.writeAt(e.B, 0)
			if e.Sync {
				n.sync()
			}
		case "data", "writeat":
			n.writeAt(e.B, e.Off)
			if e.Sync {
				n.sync()
			}
		case "truncate":
			n.truncate(e.Off)
		case "syncdata":
			n.sync()
		case "syncfs":
			for _, n := range all {
				n.sync()
			}
		}
		step(live, e, n)
		if (born || e.Op == "rename" || e.Op == "remove") && onDisk(log, i, k, j) {
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
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
