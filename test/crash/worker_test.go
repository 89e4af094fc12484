package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// workerEnv holds a job for this test binary, started once more as a program of its own.
const workerEnv = "FTPFS_CRASH_JOB"

// job is what a worker does: a random mixed load in Dir, each call noted in Journal.
type job struct {
	Dir     string // in the mount; the worker's alone
	Journal string // outside of it
	Seed    uint64
	First   int              // number of the first op, for the seeds of contents
	Files   map[string]int64 // what is there, with sizes
	Dirs    []string
	Calm    bool // nothing but content: the server is down
	Large   bool // a few files of megabytes
	Shuffle bool // above all renames of directories
}

// worker is the load: one process, one call at a time, a few files held open.
type worker struct {
	job
	rnd     *rand.Rand
	journal *os.File
	n       int
	dirs    map[string]bool
	files   map[string]int64
	open    map[string]*os.File
	doubt   []string // nobody knows what became of these: not used again
	failed  int
}

// work runs the load until the daemon is gone, and never returns.
func work(text string) {
	w := &worker{dirs: map[string]bool{}, open: map[string]*os.File{}}
	if err := json.Unmarshal([]byte(text), &w.job); err != nil {
		panic(err)
	}
	w.rnd, w.n, w.files = rand.New(rand.NewPCG(w.Seed, 5)), w.First, w.Files
	if w.files == nil {
		w.files = map[string]int64{}
	}
	for _, d := range w.Dirs {
		w.dirs[d] = true
	}
	var err error
	if w.journal, err = os.OpenFile(w.Journal, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		panic(err)
	}
	for {
		if w.failed < 4 {
			w.step()
		} else { // each failure doubles what may be true: enough
			w.rest()
		}
	}
}

func (w *worker) at(p string) string { return filepath.Join(w.Dir, p) }

// line is one write(2): in the file when it returns, whatever becomes of this process.
func (w *worker) line(o op) {
	b, err := json.Marshal(o)
	if err == nil {
		_, err = w.journal.Write(append(b, '\n'))
	}
	if err != nil {
		panic(err)
	}
}

// do journals a call around f. Without the daemon the worker ends, the call in flight.
// It says whether the call succeeded.
func (w *worker) do(o op, f func() error) bool {
	w.n++
	o.N, o.Seed = w.n, w.Seed<<20+uint64(w.n)
	w.line(o)
	err := f()
	if errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED) {
		os.Exit(0)
	}
	end := op{N: o.N, Done: err == nil}
	if err != nil {
		end.Err = err.Error()
		w.failed++
		w.doubt = append(w.doubt, o.Path)
		if o.To != "" {
			w.doubt = append(w.doubt, o.To)
		}
	}
	w.line(end)
	return err == nil
}

// below says whether p is, or lies below, top.
func below(p, top string) bool { return p == top || strings.HasPrefix(p, top+"/") }

func (w *worker) doubtful(p string) bool {
	return slices.ContainsFunc(w.doubt, func(d string) bool { return below(p, d) || below(d, p) })
}

// pick is a random one of those not in doubt; "" when there is none.
func pick[V any](w *worker, of map[string]V, ok func(string) bool) string {
	var all []string
	for _, p := range slices.Sorted(maps.Keys(of)) {
		if !w.doubtful(p) && (ok == nil || ok(p)) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[w.rnd.IntN(len(all))]
}

func (w *worker) closed(p string) bool { return w.open[p] == nil }

// fresh is a new name in some directory.
func (w *worker) fresh(kind string) string {
	dir := ""
	if w.rnd.IntN(3) > 0 {
		dir = pick(w, w.dirs, nil)
	}
	return path.Join(dir, fmt.Sprintf("%s%d", kind, w.n+1))
}

func (w *worker) size() int64 {
	switch {
	case w.Large && w.rnd.IntN(3) == 0:
		return 1<<18 + w.rnd.Int64N(1<<20)
	case w.rnd.IntN(4) == 0:
		return 1 + w.rnd.Int64N(60_000)
	}
	return 1 + w.rnd.Int64N(3000)
}

func (w *worker) step() {
	if p := pick(w, w.open, nil); p != "" && (len(w.open) > 2 || w.rnd.IntN(3) > 0) {
		w.inHand(p)
		return
	}
	switch n := w.rnd.IntN(100); {
	case w.Shuffle && n < 60:
		w.renameDir()
	case n < 45 && len(w.files) < 40:
		w.create()
	case n < 65:
		w.reopen()
	case n < 70:
		w.truncate()
	case w.Calm:
		w.create()
	case n < 82:
		w.rename()
	case n < 88:
		w.unlink()
	case n < 93:
		w.mkdir()
	case n < 95:
		w.rmdir()
	default:
		w.renameDir()
	}
}

// rest goes on with what is open, until the daemon is gone.
func (w *worker) rest() {
	if p := pick(w, w.open, nil); p != "" {
		w.inHand(p)
	} else if _, err := os.Lstat(w.Dir); errors.Is(err, syscall.ENOTCONN) {
		os.Exit(0)
	} else {
		<-time.After(5 * time.Millisecond)
	}
}

// inHand goes on with a file that is open.
func (w *worker) inHand(p string) {
	f := w.open[p]
	switch n := w.rnd.IntN(20); {
	case n < 9:
		size := w.size()
		off := w.files[p] // append
		if w.rnd.IntN(2) == 0 {
			off = w.rnd.Int64N(w.files[p] + 1) // in place
		}
		o := op{Kind: "write", Path: p, Off: off, Len: size}
		if w.do(o, func() error { _, err := f.WriteAt(w.content(size), off); return err }) {
			w.files[p] = max(w.files[p], off+size)
		}
	case n < 10:
		size := w.rnd.Int64N(w.files[p] + 5000)
		if w.do(op{Kind: "truncate", Path: p, Len: size}, func() error { return f.Truncate(size) }) {
			w.files[p] = size
		}
	case n < 12:
		w.do(op{Kind: "fsync", Path: p}, f.Sync)
	case n < 14 && w.files[p] > 0:
		w.mmap(p, f)
	default:
		delete(w.open, p)
		w.do(op{Kind: "close", Path: p}, f.Close)
	}
}

func (w *worker) content(n int64) []byte { return letters(w.Seed<<20+uint64(w.n), n) }

// mmap writes through shared pages and has the kernel send them.
func (w *worker) mmap(p string, f *os.File) {
	size := w.files[p]
	off := w.rnd.Int64N(size)
	n := min(1+w.rnd.Int64N(9000), size-off)
	w.do(op{Kind: "mmap", Path: p, Off: off, Len: n}, func() error {
		m, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		if err := touch(m[off:], w.content(n)); err != nil {
			return err
		}
		return errors.Join(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m))
	})
}

// touch writes through shared pages. Where there is no page to be had the kernel
// sends SIGBUS: the daemon is gone.
func touch(page, b []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = syscall.ENOTCONN
		}
	}()
	copy(page, b)
	return nil
}

func (w *worker) create() {
	p := w.fresh("f")
	w.do(op{Kind: "create", Path: p}, func() error {
		f, err := os.OpenFile(w.at(p), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			w.open[p], w.files[p] = f, 0
		}
		return err
	})
}

func (w *worker) reopen() {
	p := pick(w, w.files, w.closed)
	if p == "" {
		return
	}
	kind, flag := "open", os.O_RDWR
	if w.rnd.IntN(3) == 0 {
		kind, flag = "rewrite", os.O_RDWR|os.O_TRUNC
	}
	w.do(op{Kind: kind, Path: p}, func() error {
		f, err := os.OpenFile(w.at(p), flag, 0)
		if err == nil {
			w.open[p] = f
			if kind == "rewrite" {
				w.files[p] = 0
			}
		}
		return err
	})
}

func (w *worker) truncate() {
	if p := pick(w, w.files, w.closed); p != "" {
		size := w.rnd.Int64N(w.files[p] + 2000)
		if w.do(op{Kind: "truncate", Path: p, Len: size}, func() error { return os.Truncate(w.at(p), size) }) {
			w.files[p] = size
		}
	}
}

// rename moves a file, open or not, to a new name or over a file.
func (w *worker) rename() {
	p := pick(w, w.files, nil)
	if p == "" {
		return
	}
	to := w.fresh("r")
	if w.rnd.IntN(2) == 0 {
		if over := pick(w, w.files, w.closed); over != "" && over != p {
			to = over
		}
	}
	if w.do(op{Kind: "rename", Path: p, To: to}, func() error { return os.Rename(w.at(p), w.at(to)) }) {
		w.moved(p, to)
	}
}

func (w *worker) moved(from, to string) {
	move(w.files, from, to)
	move(w.dirs, from, to)
	move(w.open, from, to)
}

func move[V any](m map[string]V, from, to string) {
	for p, v := range maps.Clone(m) {
		if below(p, from) {
			delete(m, p)
			m[to+strings.TrimPrefix(p, from)] = v
		}
	}
}

func (w *worker) renameDir() {
	p := pick(w, w.dirs, nil)
	if p == "" {
		w.mkdir()
		return
	}
	to := w.fresh("m")
	if below(to, p) {
		to = path.Base(to)
	}
	if w.do(op{Kind: "rename", Path: p, To: to}, func() error { return os.Rename(w.at(p), w.at(to)) }) {
		w.moved(p, to)
	}
}

func (w *worker) unlink() {
	if p := pick(w, w.files, w.closed); p != "" {
		if w.do(op{Kind: "unlink", Path: p}, func() error { return os.Remove(w.at(p)) }) {
			delete(w.files, p)
		}
	}
}

func (w *worker) mkdir() {
	if len(w.dirs) > 6 {
		return
	}
	p := w.fresh("d")
	if w.do(op{Kind: "mkdir", Path: p}, func() error { return os.Mkdir(w.at(p), 0o755) }) {
		w.dirs[p] = true
	}
}

// rmdir empties a directory and removes it.
func (w *worker) rmdir() {
	d := pick(w, w.dirs, func(d string) bool {
		in := func(p string) bool { return p != d && below(p, d) }
		return !slices.ContainsFunc(slices.Collect(maps.Keys(w.dirs)), in) && !slices.ContainsFunc(slices.Collect(maps.Keys(w.open)), in)
	})
	if d == "" {
		return
	}
	for _, p := range slices.Sorted(maps.Keys(w.files)) {
		if below(p, d) {
			if !w.do(op{Kind: "unlink", Path: p}, func() error { return os.Remove(w.at(p)) }) {
				return
			}
			delete(w.files, p)
		}
	}
	if w.do(op{Kind: "rmdir", Path: d}, func() error { return syscall.Rmdir(w.at(d)) }) {
		delete(w.dirs, d)
	}
}
