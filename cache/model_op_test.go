package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// op is one operation, with all that it needs to be done again.
type op struct {
	kind string
	p, q string
	n    int    // a size, or which handle
	seed uint64 // of what is random in it
}

func (o op) String() string {
	s := o.kind
	for _, p := range []string{o.p, o.q} {
		if p != "" {
			s += " " + p
		}
	}
	return fmt.Sprintf("%s n=%d seed=%d", s, o.n, o.seed)
}

// weights of the operations; those of the other client begin with "their".
var weights = []struct {
	kind   string
	weight int
}{
	{"write", 14}, {"edit", 10}, {"append", 9}, {"mkdir", 5}, {"unlink", 8}, {"rmdir", 3}, {"rename", 9}, {"renamedir", 3},
	{"utimens", 4}, {"chmod", 2}, {"read", 6}, {"list", 4}, {"absent", 1}, {"sleep", 6}, {"sync", 2},
	{"open", 5}, {"hwrite", 9}, {"hread", 4}, {"htruncate", 2}, {"hfsync", 2}, {"hclose", 5}, {"stream", 1},
	{"theirwrite", 5}, {"theirremove", 2}, {"theirrename", 2}, {"theirmkdir", 1}, {"theirrmtree", 1}, {"theirrenamedir", 1}, {"theirswap", 1},
}

// next makes up an operation on what there may be now.
func (w *world) next(r *rand.Rand) op {
	total := 0
	for _, c := range weights {
		total += c.weight
	}
	k := r.IntN(total)
	o := op{seed: r.Uint64(), n: r.IntN(1000)}
	for _, c := range weights {
		if k -= c.weight; k < 0 {
			o.kind = c.kind
			break
		}
	}
	file, dir := pick(w.paths(false), r), pick(w.paths(true), r)
	fresh := join(dir, fmt.Sprintf("n%d", r.IntN(9)))
	switch o.kind {
	case "write", "theirwrite", "open", "stream":
		o.p = fresh
		if r.IntN(3) == 0 && file != "" {
			o.p = file
		}
	case "mkdir", "theirmkdir":
		o.p = fresh
	case "rename", "theirrename":
		o.p, o.q = file, fresh
		if r.IntN(3) == 0 && file != "" {
			o.q = pick(w.paths(false), r)
		}
	case "renamedir", "theirrenamedir":
		o.p, o.q = dir, join(pick(w.paths(true), r), fmt.Sprintf("n%d", r.IntN(9)))
	case "rmdir", "list", "theirrmtree":
		o.p = dir
	case "theirswap":
		o.p = file
		if r.IntN(2) == 0 {
			o.p = dir
		}
	default:
		o.p = file
	}
	return o
}

// do performs o on the mount, or on the server's disk, and on the reference. An error
// is a difference between them. What makes no sense now is not done.
func (w *world) do(o op) error {
	r := rand.New(rand.NewPCG(o.seed, 7))
	if strings.HasPrefix(o.kind, "their") {
		return w.other(o, r)
	}
	ctx := context.Background()
	m := w.s.m
	pl := w.at(o.p)
	isDir := pl != nil && pl.dir
	switch o.kind {
	case "sleep":
		time.Sleep([]time.Duration{time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 40 * time.Second, m.cfg.DirCacheTime + time.Second}[o.n%5])
	case "sync":
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		m.Sync(ctx, "/", func(Progress) {})
	case "read":
		if o.p != "" {
			return w.counted(w.checkFile(o.p))
		}
	case "list":
		if isDir || o.p == w.top {
			return w.counted(w.checkDir(o.p))
		}
	case "absent":
		if _, err := m.walk(join(w.top, "certainly-absent")); !remote.Is(err, remote.NotExist) && !w.s.shaky.Load() {
			return fmt.Errorf("lookup of an absent name: %v", err)
		} else {
			w.answered = remote.Is(err, remote.NotExist)
			return w.counted(nil)
		}
	case "write":
		if isDir {
			return nil
		}
		return w.write(o.p, letters(r, size(o.n, r)))
	case "stream":
		if isDir || w.inWriting(o.p) {
			return nil
		}
		return w.stream(o.p, r)
	case "edit", "append":
		if pl != nil && pl.file != nil {
			return w.edit(o.p, o.kind == "append", r)
		}
	case "mkdir":
		if pl != nil || strings.Count(o.p, "/") > 4 {
			return nil
		}
		err := m.mkdir(o.p)
		if err == nil {
			w.ours(o.p, value{kind: 'd'}, nil)
			w.s.applied.Add(1)
			return nil
		}
		fail := w.failed("mkdir "+o.p, err, o.p)
		w.loosen(o.p)
		return fail
	case "rmdir":
		return w.rmdir(o.p)
	case "unlink":
		if pl == nil || isDir {
			return nil
		}
		follows := w.following(o.p)
		w.dies(o.p)
		if err := m.remove(o.p); err != nil {
			fail := w.failed("unlink "+o.p, err, o.p)
			w.maybe(o.p, absent)
			return fail
		}
		w.s.goneAt(o.p, follows)
		w.ours(o.p, absent, nil)
		w.s.applied.Add(1)
	case "rename":
		return w.rename(o.p, o.q)
	case "renamedir":
		return w.renameDir(o.p, o.q)
	case "utimens", "chmod":
		if pl == nil || pl.file == nil {
			return nil
		}
		return w.setAttr(o.p, o.kind, r)
	default:
		return w.onHandle(o, r)
	}
	return nil
}

// failed says whether an operation on certain paths may have ended so.
func (w *world) failed(what string, err error, ps ...string) error {
	lies := remote.Is(err, remote.NotExist) || remote.Is(err, remote.NotDir) || remote.Is(err, remote.IsDir)
	for _, p := range ps {
		if w.lax(p) {
			return nil
		}
	}
	if w.s.shaky.Load() && !lies {
		return nil
	}
	for _, p := range ps {
		if !w.certain(p) {
			return nil
		}
	}
	return fmt.Errorf("%s: %v", what, err)
}
