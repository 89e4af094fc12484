package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// scale is how large the trees are.
type scale struct {
	dirs, perDir int   // of the walk
	flat         int   // files of the large directory
	medium       int64 // bytes of the file that is read or written whole
	large        int64 // bytes of the file that is read in places
	small        int   // small files, in four directories
	jumps        int   // reads at random
}

var (
	inFull  = scale{dirs: 100, perDir: 100, flat: 50_000, medium: 256 << 20, large: 1 << 30, small: 1000, jumps: 100}
	inSmall = scale{dirs: 5, perDir: 10, flat: 300, medium: 2 << 20, large: 8 << 20, small: 40, jumps: 5}
)

const smallFile = 8 << 10 // bytes

// workload is a row of the table.
type workload struct {
	name string
	aim  float64 // seconds on a line of 20 ms and 200 Mbit/s; 0: none was set
	// limit is what the line alone costs, in round trips one after the other and
	// bytes in one direction.
	trips float64
	bytes func(s scale) int64
	// before prepares a mount that then is not empty any more; nil: nothing.
	before func(r *run)
	// work is what is timed.
	work func(r *run)
	// later is timed too, from the beginning of work, in a row of its own.
	later    func(r *run)
	laterIs  string
	laterAim float64
}

func none(scale) int64       { return 0 }
func medium(s scale) int64   { return s.medium }
func allSmall(s scale) int64 { return int64(s.small) * smallFile }

// workloads in the order of the table.
var workloads = []workload{
	{name: "find over directories in a directory", aim: 1.0, trips: 2, bytes: none,
		work: func(r *run) { r.lines(r.s.dirs*(r.s.perDir+1)+1, "find", r.path("walk")) }},
	{name: "the same with size and time of each", aim: 1.0, trips: 2, bytes: none,
		work: func(r *run) {
			r.lines(r.s.dirs*(r.s.perDir+1)+1, "find", r.path("walk"), "-printf", "%p %s %T@\n")
		}},
	{name: "ls -l of one large directory", aim: 1.2, trips: 2, bytes: none,
		work: func(r *run) { r.lines(r.s.flat+1, "ls", "-l", r.path("flat")) }},
	{name: "read a file", aim: 11.5, trips: 2, bytes: medium,
		work: func(r *run) { r.read("medium", r.s.medium) }},
	{name: "read it again", aim: 0.08, bytes: none,
		before: func(r *run) { r.read("medium", r.s.medium) },
		work:   func(r *run) { r.read("medium", r.s.medium) }},
	{name: "read it again, not from the kernel's pages", aim: 0.25, bytes: none,
		before: func(r *run) { r.read("medium", r.s.medium); r.dropPages("medium") },
		work:   func(r *run) { r.read("medium", r.s.medium) }},
	{name: "first 64 KiB of a large file", aim: 0.12, trips: 2, bytes: func(scale) int64 { return 64 << 10 },
		work: func(r *run) { r.reads("large", 0) }},
	{name: "head, tail, head of a large file", aim: 0.4, trips: 4, bytes: func(scale) int64 { return 128 << 10 },
		work: func(r *run) { r.reads("large", 0, r.s.large-piece, 0) }},
	{name: "reads of 64 KiB at random in a large file", aim: 7.5, trips: 2, bytes: func(s scale) int64 { return int64(s.jumps) * piece },
		work: func(r *run) { r.reads("large", r.jumps()...) }},
	{name: "cp -r out of small files", aim: 6.5, trips: 2, bytes: allSmall,
		work: func(r *run) { r.run("cp", "-r", r.path("small"), r.local("out")); r.same("out") }},
	{name: "grep -r over them", aim: 6.5, trips: 2, bytes: allSmall,
		work: func(r *run) { r.lines(r.s.small, "grep", "-rl", "needle", r.path("small")) }},
	{name: "four readers, a quarter each", aim: 6.5, trips: 2, bytes: allSmall,
		work: func(r *run) { r.readers() }},
	{name: "cp of a file in, until it is on the server", aim: 11.9, trips: 4, bytes: medium,
		work: func(r *run) { r.run("cp", r.local("medium"), r.path("in")); r.arrived("in", r.s.medium) }},
	{name: "cp -r in of small files", aim: 0.5, bytes: none,
		work:    func(r *run) { r.run("cp", "-r", r.local("small"), r.path("in")) },
		laterIs: "… and all are on the server", laterAim: 8, trips: 3,
		later: func(r *run) { r.allArrived("in") }},
	{name: "rsync -a of unchanged small files", aim: 0.3, bytes: none,
		before: func(r *run) { r.run("rsync", "-a", r.local("small")+"/", r.path("in")+"/"); r.allArrived("in") },
		work: func(r *run) {
			if out := r.run("rsync", "-ai", r.local("small")+"/", r.path("in")+"/"); strings.Contains(out, "<f") || strings.Contains(out, ">f") {
				r.fail("%s: rsync sent again: %.300s", r.who, out)
			}
		}},
	{name: "rm -r of small files", aim: 21, bytes: none,
		work: func(r *run) { r.run("rm", "-r", r.path("small")); r.gone("small") }},
}

const piece = 64 << 10 // bytes of one read

// jumps are the places of the reads at random, the same in each run.
func (r *run) jumps() []int64 {
	rnd := rand.New(rand.NewPCG(1, 2))
	at := make([]int64, r.s.jumps)
	for i := range at {
		at[i] = rnd.Int64N(r.s.large/piece) * piece
	}
	return at
}

// read reads a whole file of the mount as cp does.
func (r *run) read(name string, size int64) {
	f, err := os.Open(r.path(name))
	if err != nil {
		r.fail("%s: %v", r.who, err)
		return
	}
	defer f.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err != nil || n != size {
		r.fail("%s: read %d of %d bytes of %s: %v", r.who, n, size, name, err)
	}
}

// reads reads a piece at each of the places, and compares it.
func (r *run) reads(name string, at ...int64) {
	f, err := os.Open(r.path(name))
	if err != nil {
		r.fail("%s: %v", r.who, err)
		return
	}
	defer f.Close()
	theirs, err := os.Open(r.remote(name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer theirs.Close()
	got, want := make([]byte, piece), make([]byte, piece)
	for _, off := range at {
		_, err := f.ReadAt(got, off)
		if _, terr := theirs.ReadAt(want, off); err != nil || terr != nil || string(got) != string(want) {
			r.fail("%s: 64 KiB at %d of %s: %v, or not what the server has", r.who, off, name, err)
			return
		}
	}
}

// readers reads the four directories of small files side by side.
func (r *run) readers() {
	var all sync.WaitGroup
	var n atomic.Int64
	for i := range 4 {
		all.Go(func() {
			dir := r.path("small", fmt.Sprint(i))
			entries, err := os.ReadDir(dir)
			if err != nil {
				r.fail("%s: %v", r.who, err)
			}
			for _, e := range entries {
				b, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					r.fail("%s: %v", r.who, err)
					return
				}
				n.Add(int64(len(b)))
			}
		})
	}
	all.Wait()
	if n.Load() != allSmall(r.s) {
		r.fail("%s: read %d bytes, want %d", r.who, n.Load(), allSmall(r.s))
	}
}

// dropPages has the kernel forget its pages of a file.
func (r *run) dropPages(name string) {
	f, err := os.Open(r.path(name))
	if err != nil {
		r.fail("%s: %v", r.who, err)
		return
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		r.fail("%s: drop the pages of %s: %v", r.who, name, err)
	}
}

// lines runs a program that must print so many lines.
func (r *run) lines(want int, name string, args ...string) {
	if got := strings.Count(r.run(name, args...), "\n"); got != want {
		r.fail("%s: %s printed %d lines, want %d", r.who, name, got, want)
	}
}

// same compares what was copied out with what the server has.
func (r *run) same(name string) {
	r.run("diff", "-r", r.remote("small"), r.local(name))
}

// arrived waits until the server has a file of size bytes under its name.
func (r *run) arrived(name string, size int64) {
	r.wait(name+" on the server", func() bool {
		info, err := os.Stat(r.remote(name))
		return err == nil && info.Size() == size
	})
}

// allArrived waits until the server has all small files, whole.
func (r *run) allArrived(name string) {
	r.wait("all small files on the server", func() bool {
		n := 0
		_ = filepath.WalkDir(r.remote(name), func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "f") {
				if info, err := d.Info(); err == nil && info.Size() == smallFile {
					n++
				}
			}
			return nil
		})
		return n == r.s.small
	})
}

// gone waits until the server has nothing under a name.
func (r *run) gone(name string) {
	r.wait(name+" gone from the server", func() bool {
		_, err := os.Lstat(r.remote(name))
		return os.IsNotExist(err)
	})
}

// wait looks at the server's disk, where no event can be had, until ok.
func (r *run) wait(what string, ok func() bool) {
	for deadline := time.Now().Add(r.patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.fail("%s: no %s within %v", r.who, what, r.patience)
			return
		}
	}
}
