package cache

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
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
		w.dies(o.p)
		if err := m.remove(o.p); err != nil {
			fail := w.failed("unlink "+o.p, err, o.p)
			w.maybe(o.p, absent)
			return fail
		}
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

func (w *world) write(p, data string) error {
	before, was, may := w.look(p), w.certain(p), w.may(p)
	w.s.know(data, "")
	err := w.s.m.write(p, []byte(data))
	if err != nil {
		w.s.partly(p, before, was, err)
		fail := w.failed("write "+p, err, p)
		w.maybe(p, value{'f', data}, value{'f', ""})
		return fail
	}
	w.s.overwritten(p, before, was)
	var ino *inode
	if pl := w.at(p); pl != nil {
		ino = pl.file
	}
	w.ours(p, value{'f', data}, ino)
	w.built(p, was, may)
	w.s.acknowledged(data, p)
	w.s.applied.Add(1)
	return nil
}

// built keeps what p might have been when an operation began, which may have ended after
// the other client's change was to be seen.
func (w *world) built(p string, certain bool, may []value) {
	if !certain {
		w.maybe(p, may...)
	}
}

// stream writes a larger file front to back in pieces, with pauses.
func (w *world) stream(p string, r *rand.Rand) error {
	ctx := context.Background()
	before, may := w.look(p), w.may(p)
	was := w.certain(p)
	data := []byte(letters(r, 200_000+r.IntN(400_000)))
	w.s.know(string(data), "")
	err := w.s.m.with(p, func(dir *Node, name string) error {
		n, h, _, err := w.s.m.Create(ctx, dir, name, 0o644, false, OpenFlags{Write: true, Truncate: true})
		if err != nil {
			return err
		}
		defer w.s.m.Forget(n)
		defer h.Release()
		w.s.overwritten(p, before, was) // before a Sync publishes what there is so far
		for at := 0; at < len(data); {
			end := min(len(data), at+1+r.IntN(90_000))
			if _, err := h.WriteAt(ctx, data[at:end], int64(at)); err != nil {
				return err
			}
			w.s.know(string(data[:end]))
			at = end
			if r.IntN(4) == 0 {
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			}
			if r.IntN(6) == 0 {
				if err := h.Fsync(ctx); err != nil && int64(len(data)) < w.s.m.cfg.SpoolSize {
					return err // what is larger than the spool has no other place than the server
				}
			}
		}
		return h.Flush(ctx)
	})
	if err != nil {
		err = fmt.Errorf("stream %s of %d: %w", p, len(data), err)
		w.s.partly(p, before, was, err)
		if was && w.failed("", err, p) != nil && !remote.Is(err, remote.NoSpace) {
			return err
		}
		w.maybe(p)
		w.loosen(p)
		return nil
	}
	var ino *inode
	if pl := w.at(p); pl != nil {
		ino = pl.file
	}
	w.ours(p, value{'f', string(data)}, ino)
	w.built(p, was, may)
	w.s.acknowledged(string(data), p)
	w.s.applied.Add(1)
	return nil
}

// edit opens a file and writes, cuts or appends in it.
func (w *world) edit(p string, appends bool, r *rand.Rand) error {
	ctx := context.Background()
	before, pl, was, may := w.look(p), w.at(p), w.certain(p), w.may(p)
	h, err := w.s.m.openAt(p, OpenFlags{Read: true, Write: true})
	if err != nil {
		return w.failed("open "+p, err, p)
	}
	defer h.Release()
	data := slices.Clone(pl.file.data)
	if !was {
		if data, err = io.ReadAll(io.NewSectionReader(readerAt{h}, 0, 1<<40)); err != nil {
			return nil
		}
		if err := w.s.checkWhole("open "+p, string(data)); err != nil {
			return err
		}
	}
	for k := range 1 + r.IntN(3) {
		if data, err = w.change(h, data, appends, r); err != nil {
			if k > 0 { // what was written before may be on the server by now
				w.s.overwritten(p, before, was)
			} else {
				w.s.partly(p, before, was, err)
			}
			fail := w.failed("edit "+p, err, p)
			w.maybe(p)
			w.loosen(p)
			if remote.Is(err, remote.NoSpace) {
				return nil
			}
			return fail
		}
	}
	if err := h.Flush(ctx); err != nil {
		fail := w.failed("close "+p, err, p)
		w.maybe(p)
		w.loosen(p)
		return fail
	}
	w.s.overwritten(p, before, was)
	w.ours(p, value{'f', string(data)}, pl.file)
	w.built(p, was, may)
	w.s.applied.Add(1)
	if was {
		w.s.acknowledged(string(data), p)
	}
	return nil
}

// change writes or cuts at random, and returns what the file holds then.
func (w *world) change(h *Handle, data []byte, appends bool, r *rand.Rand) ([]byte, error) {
	ctx := context.Background()
	if !appends && r.IntN(3) == 0 {
		n := r.IntN(2*len(data) + 100)
		next := append(slices.Clone(data[:min(n, len(data))]), make([]byte, max(0, n-len(data)))...)
		w.s.know(string(next))
		return next, h.Truncate(ctx, int64(n))
	}
	off, piece := len(data), letters(r, 1+size(r.IntN(1000), r))
	if !appends {
		off = r.IntN(len(data) + 50)
	}
	next := append(slices.Clone(data), make([]byte, max(0, off+len(piece)-len(data)))...)
	copy(next[off:], piece)
	w.s.know(string(next))
	_, err := h.WriteAt(ctx, []byte(piece), int64(off))
	return next, err
}

func (w *world) rmdir(p string) error {
	if pl := w.at(p); p == w.top || pl == nil || !pl.dir {
		return nil
	}
	err := w.s.m.rmdir(p)
	if err == nil {
		w.s.applied.Add(1)
	}
	if w.lax(p) || !w.certain(p) {
		w.loosen(p)
		return nil
	}
	empty, sure := true, true
	for q := range w.places {
		if path.Dir(q) == p {
			may := w.may(q)
			empty = empty && !slices.ContainsFunc(may, func(v value) bool { return v != absent })
			sure = sure && len(may) == 1 && !w.lax(q)
		}
	}
	switch {
	case err == nil && (empty || !sure || w.s.torn(p)):
		w.ours(p, absent, nil)
		for q := range w.places {
			if strings.HasPrefix(q, p+"/") {
				w.loosen(q)
			}
		}
		w.loosen(p)
		return nil
	case err == nil:
		return fmt.Errorf("rmdir %s succeeded; there is something in it", p)
	case !empty || !sure:
		if w.s.shaky.Load() {
			w.loosen(p)
		}
		return nil
	}
	fail := w.failed("rmdir "+p, err, p)
	w.loosen(p)
	if remote.Is(err, remote.NotEmpty) { // a conflict copy, or a file of another state
		return nil
	}
	return fail
}

func (w *world) rename(p, q string) error {
	src, dst := w.at(p), w.at(q)
	if src == nil || src.file == nil || p == q || dst != nil && dst.dir {
		return nil
	}
	was, wasTo := w.certain(p), w.certain(q)
	w.dies(q)
	err := w.s.m.rename(p, q)
	if err != nil {
		v := src.value()
		fail := w.failed("rename "+p+" "+q, err, p, q)
		if fail != nil && (!was || !wasTo) {
			fail = nil
		}
		w.maybe(p, absent)
		w.maybe(q, v)
		if w.s.opts.NoReplace { // it stepped aside, and is put back at the next start
			w.maybe(q, absent)
		}
		return fail
	}
	w.s.applied.Add(1)
	w.s.followed(p, q)
	w.laxIfGone(dst)
	alts := append([]value{}, w.others(src)...)
	torn, ino := src.torn || !was || len(alts) > 0, src.file
	w.ours(q, value{'f', string(ino.data)}, ino)
	if torn {
		w.maybe(q, append(alts, absent)...)
	}
	w.ours(p, absent, nil)
	return nil
}

// laxIfGone: what handles have of a replaced file is what they had.
func (w *world) laxIfGone(pl *place) {
	if pl != nil {
		w.laxHandles(pl.file)
	}
}

func (w *world) renameDir(p, q string) error {
	src, dst := w.at(p), w.at(q)
	if p == w.top || src == nil || !src.dir || strings.HasPrefix(q+"/", p+"/") || dst != nil && dst.file != nil || strings.HasPrefix(p+"/", q+"/") {
		return nil
	}
	was := w.certain(p) && w.certain(q)
	err := w.s.m.rename(p, q)
	if err != nil {
		if remote.Is(err, remote.NotEmpty) && dst != nil {
			return nil
		}
		fail := w.failed("rename "+p+" "+q, err, p, q)
		w.loosen(p, q)
		if was {
			return fail
		}
		w.s.diesOnServer(q) // if the other client did just that rename, ours goes there, over what it is based on
		return nil
	}
	w.s.applied.Add(1)
	w.s.followed(p, q)
	if dst != nil { // it was empty, or whatever was in it is not below it now
		for k := range w.places {
			if strings.HasPrefix(k, q+"/") {
				delete(w.places, k)
			}
		}
	}
	w.moved(p, q)
	if !was || dst != nil {
		w.loosen(p, q)
	}
	return nil
}

func (w *world) setAttr(p, kind string, r *rand.Rand) error {
	n, err := w.s.m.walk(p)
	if err != nil {
		return w.failed("walk "+p, err, p)
	}
	defer w.s.m.Forget(n)
	at, mode := time.Unix(1_000_000_000+r.Int64N(1e8), 0), uint32(0o600+r.IntN(0o100))
	s := Set{MTime: &at}
	if kind == "chmod" {
		s = Set{Mode: &mode}
	}
	a, err := w.s.m.SetAttr(context.Background(), n, nil, s)
	if err == nil {
		w.s.applied.Add(1)
	}
	switch {
	case err != nil:
		fail := w.failed(kind+" "+p, err, p)
		w.maybe(p) // it may have another time, and what is written to it go beside it
		return fail
	case !w.certain(p):
	case s.MTime != nil && !a.MTime.Equal(at), s.Mode != nil && a.Mode != mode, a.Size != int64(len(w.at(p).file.data)):
		return fmt.Errorf("%s %s: time %v mode %o size %d; want %v %o %d", kind, p, a.MTime, a.Mode, a.Size, at, mode, len(w.at(p).file.data))
	}
	return nil
}

// size is mostly small.
func size(n int, r *rand.Rand) int {
	if n%10 == 0 {
		return r.IntN(60_000)
	}
	return 30 + r.IntN(200)
}

func letters(r *rand.Rand, n int) string {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('a' + r.IntN(26))
	}
	return string(p)
}
