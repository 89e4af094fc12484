package cache

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

var (
	modelOps  = flag.Int("model.ops", 3000, "operations of the model test")
	modelSeed = flag.Uint64("model.seed", 0, "seed of the model test; 0: another each time")
)

// model is the reference: what a local file system would hold.
type model struct {
	files map[string][]byte
	dirs  map[string]bool
}

// TestModel runs random operations on a Tree and on the reference, compares after
// each, and at the end compares the server.
func TestModel(t *testing.T) {
	for _, c := range []struct {
		name  string
		store mem.Options
		cfg   func(*Config)
	}{
		{"defaults", mem.Options{}, nil},
		{"costly stat, no replace", mem.Options{CostlyStat: true, NoReplace: true}, nil},
		{"nothing cached for long", mem.Options{MGrain: time.Minute}, func(c *Config) { c.DirCacheTime = time.Nanosecond; c.CacheSize = 50_000 }},
		{"tails of anything", mem.Options{}, appendAll},
		{"tails found out not to do", mem.Options{NoAppend: true, LateNo: true}, appendAll},
		{"uploads that follow their writers", mem.Options{}, func(c *Config) { c.earlyStep = 1; c.pauseAfter = time.Millisecond }},
		{"and snapshots", mem.Options{NoAppend: true}, func(c *Config) { c.earlyStep = 500; c.pauseAfter = time.Millisecond; c.MaxDirtyAge = time.Millisecond }},
		{"all fetched ahead", mem.Options{Ahead: 3}, func(c *Config) { c.eager = true }},
		{"late publication", mem.Options{NoTimes: true, NoModes: true}, func(c *Config) { c.PublishDelay = 20 * time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := *modelSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("repeat with -model.seed=%d", seed)
			runModel(t, mountMem(t, mem.New(c.store), c.cfg), rand.New(rand.NewPCG(seed, 1)), *modelOps)
		})
	}
}

// appendAll has everything that only grew appended, in small pieces.
func appendAll(c *Config) { c.tailAbove, c.leanAbove, c.maxTail = 0, 100, 1000 }

func runModel(t *testing.T, m *mount, r *rand.Rand, ops int) { runModelUntil(t, m, r, ops, func() {}) }

// runModelUntil calls calm after the last operation, before all is to be in order.
func runModelUntil(t *testing.T, m *mount, r *rand.Rand, ops int, calm func()) {
	ref := &model{files: map[string][]byte{}, dirs: map[string]bool{"/": true}}
	var log []string
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s\nafter:\n  %s", fmt.Sprintf(format, args...), strings.Join(log[max(0, len(log)-25):], "\n  "))
	}
	for range ops {
		op, err := ref.step(m, r)
		log = append(log, op)
		if err != nil {
			fail("%v", err)
		}
		if p := ref.anyFile(r); p != "" {
			if got, err := m.read(p); err != nil || !bytes.Equal(got, ref.files[p]) {
				fail("read %s: %d bytes %.40q, err %v; want %d bytes %.40q", p, len(got), got, err, len(ref.files[p]), ref.files[p])
			}
		}
		d := ref.anyDir(r)
		if got, want := m.names(d), ref.names(d); !slices.Equal(got, want) {
			fail("list %s: got %q, want %q", d, got, want)
		}
	}
	calm()
	m.sync()
	for p, want := range ref.files {
		if got, err := m.store.Disk().ReadFile(p); err != nil || !bytes.Equal(got, want) {
			fail("server's %s: %d bytes, err %v; want %d bytes", p, len(got), err, len(want))
		}
	}
	m.sweep(ref)
	if got, want := len(m.store.Disk().Paths()), len(ref.files)+len(ref.dirs)-1; got != want {
		fail("the server has %d names %q, want %d", got, m.store.Disk().Paths(), want)
	}
	if s := m.Status(); s.SpoolUsed != 0 || s.OwedFiles != 0 {
		fail("at the end %d bytes of spool in use, %d files owed; want none", s.SpoolUsed, s.OwedFiles)
	}
}

// step does one operation on both, and says which.
func (ref *model) step(m *mount, r *rand.Rand) (string, error) {
	ctx := context.Background()
	switch k := r.IntN(100); {
	case k < 25:
		p, data := ref.newPath(r), randomBytes(r)
		if ref.dirs[p] {
			p = ref.anyFile(r)
		}
		if p == "" {
			return "nothing", nil
		}
		ref.files[p] = data
		return fmt.Sprintf("write %s %d", p, len(data)), m.write(p, data)
	case k < 45:
		p := ref.anyFile(r)
		if p == "" {
			return "nothing", nil
		}
		return ref.edit(m, r, p)
	case k < 55:
		p := ref.newPath(r)
		if ref.dirs[p] || ref.files[p] != nil || strings.Count(p, "/") > 3 {
			return "nothing", nil
		}
		ref.dirs[p] = true
		return "mkdir " + p, m.mkdir(p)
	case k < 68:
		p := ref.anyFile(r)
		if p == "" {
			return "nothing", nil
		}
		delete(ref.files, p)
		return "unlink " + p, m.remove(p)
	case k < 72:
		p := ref.anyDir(r)
		if p == "/" {
			return "nothing", nil
		}
		err := m.rmdir(p)
		if len(ref.names(p)) > 0 {
			if !remote.Is(err, remote.NotEmpty) {
				return "rmdir " + p, fmt.Errorf("rmdir of %s, which is not empty: %v", p, err)
			}
			return "rmdir (not empty) " + p, nil
		}
		delete(ref.dirs, p)
		return "rmdir " + p, err
	case k < 88:
		return ref.rename(m, r)
	case k < 91:
		m.queue.Kick()
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond) // uploads may be failing
		defer cancel()
		if out, err := m.Sync(ctx, "/", func(Progress) {}); out == SomeParked || err != nil {
			return "sync", fmt.Errorf("sync: outcome %v, %v", out, err)
		}
		return "sync", nil
	case k < 93:
		m.stop()
		m.open()
		return "restart", nil
	case k < 96:
		_, err := m.walk("/certainly/absent")
		if !remote.Is(err, remote.NotExist) {
			return "lookup", fmt.Errorf("lookup of an absent name: %v", err)
		}
		return "lookup of nothing", nil
	default:
		p := ref.anyFile(r)
		if p == "" {
			return "nothing", nil
		}
		n, err := m.walk(p)
		if err != nil {
			return "stat " + p, err
		}
		defer m.Forget(n)
		at := time.Unix(1_000_000_000+r.Int64N(1e8), 0)
		if _, err := m.SetAttr(ctx, n, nil, Set{MTime: &at}); err != nil {
			return "utimens " + p, err
		}
		a, err := m.GetAttr(ctx, n)
		if err == nil && (!a.MTime.Equal(at) || a.Size != int64(len(ref.files[p]))) {
			err = fmt.Errorf("stat %s: time %v size %d, want %v, %d", p, a.MTime, a.Size, at, len(ref.files[p]))
		}
		return "utimens " + p, err
	}
}

// edit opens a file and writes, cuts or appends in it.
func (ref *model) edit(m *mount, r *rand.Rand, p string) (string, error) {
	ctx := context.Background()
	h, err := m.openAt(p, OpenFlags{Read: true, Write: true})
	if err != nil {
		return "open " + p, err
	}
	defer h.Release()
	op := "edit " + p
	data := slices.Clone(ref.files[p])
	grows := r.IntN(3) == 0 // as a log does
	for range 1 + r.IntN(3) {
		if !grows && r.IntN(3) == 0 {
			size := r.IntN(2*len(data) + 100)
			op += fmt.Sprintf(" truncate %d", size)
			if err := h.Truncate(ctx, int64(size)); err != nil {
				return op, err
			}
			data = append(data[:min(size, len(data))], make([]byte, max(0, size-len(data)))...)
			continue
		}
		off, piece := r.IntN(len(data)+50), randomBytes(r)
		if grows {
			off = len(data)
		}
		op += fmt.Sprintf(" write %d at %d", len(piece), off)
		if _, err := h.WriteAt(ctx, piece, int64(off)); err != nil {
			return op, err
		}
		if len(piece) > 0 {
			data = append(data, make([]byte, max(0, off+len(piece)-len(data)))...)
			copy(data[off:], piece)
		}
	}
	ref.files[p] = data
	return op, h.Flush(ctx)
}

func (ref *model) rename(m *mount, r *rand.Rand) (string, error) {
	from, to := ref.anyFile(r), ref.newPath(r)
	if r.IntN(4) == 0 {
		from = ref.anyDir(r)
	}
	if from == "" || from == "/" || from == to || strings.HasPrefix(to+"/", from+"/") || ref.dirs[to] {
		return "nothing", nil
	}
	op := "rename " + from + " " + to
	err := m.rename(from, to)
	if ref.dirs[from] {
		if ref.files[to] != nil {
			if !remote.Is(err, remote.NotDir) {
				return op, fmt.Errorf("rename of directory %s over file %s: %v", from, to, err)
			}
			return op + " (refused)", nil
		}
		for p, data := range ref.files {
			if strings.HasPrefix(p, from+"/") {
				delete(ref.files, p)
				ref.files[to+p[len(from):]] = data
			}
		}
		for p := range ref.dirs {
			if p == from || strings.HasPrefix(p, from+"/") {
				delete(ref.dirs, p)
				ref.dirs[to+p[len(from):]] = true
			}
		}
		return op, err
	}
	ref.files[to] = ref.files[from]
	delete(ref.files, from)
	return op, err
}

func randomBytes(r *rand.Rand) []byte {
	n := r.IntN(200)
	if r.IntN(10) == 0 {
		n = r.IntN(100_000)
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('a' + r.IntN(26))
	}
	return p
}

func (ref *model) anyFile(r *rand.Rand) string {
	all := make([]string, 0, len(ref.files))
	for p := range ref.files {
		all = append(all, p)
	}
	return pick(all, r)
}

func (ref *model) anyDir(r *rand.Rand) string {
	all := make([]string, 0, len(ref.dirs))
	for p := range ref.dirs {
		all = append(all, p)
	}
	return pick(all, r)
}

func pick(all []string, r *rand.Rand) string {
	if len(all) == 0 {
		return ""
	}
	sort.Strings(all)
	return all[r.IntN(len(all))]
}

// newPath is a name, perhaps taken, in a directory that exists.
func (ref *model) newPath(r *rand.Rand) string {
	return join(ref.anyDir(r), fmt.Sprintf("n%d", r.IntN(12)))
}

func (ref *model) names(dir string) []string {
	out := []string{}
	for p := range ref.files {
		if path.Dir(p) == dir {
			out = append(out, path.Base(p))
		}
	}
	for p := range ref.dirs {
		if p != "/" && path.Dir(p) == dir {
			out = append(out, path.Base(p))
		}
	}
	sort.Strings(out)
	return out
}
