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

// inWriting says whether a handle of this world may change p's content.
func (w *world) inWriting(p string) bool {
	pl := w.at(p)
	return slices.ContainsFunc(w.handles, func(o *opened) bool {
		return o.write && (o.path == p || pl != nil && pl.file == o.ino)
	})
}

// onHandle opens a file and keeps it open, or uses one that is.
func (w *world) onHandle(o op, r *rand.Rand) error {
	if o.kind == "open" {
		return w.open(o.p, r)
	}
	if len(w.handles) == 0 {
		return nil
	}
	i := o.n % len(w.handles)
	f := w.handles[i]
	ctx := context.Background()
	path := w.s.m.PathOf(f.h.file.node)
	switch {
	case o.kind == "hclose":
		w.handles = slices.Delete(w.handles, i, i+1)
		return w.closeHandle(f)
	case o.kind == "hread":
		return w.readHandle(f)
	case !f.write || f.lax:
		return nil
	case o.kind == "hfsync":
		if err := f.h.Fsync(ctx); err != nil {
			return w.failed("fsync "+path, err, path)
		}
		w.s.applied.Add(1)
	case o.kind == "hwrite" || o.kind == "htruncate":
		before, linked := w.look(path), w.linked(f)
		was := linked && w.certain(path)
		next, err := w.change(f.h, f.ino.data, o.kind == "hwrite" && o.n%3 > 0, r)
		if err != nil {
			fail := w.failed("write "+path, err, path)
			f.lax = true
			if linked {
				w.s.partly(path, before, was, err)
				w.maybe(path, value{'f', string(next)})
			}
			if !was || remote.Is(err, remote.NoSpace) {
				return nil
			}
			return fail
		}
		w.s.applied.Add(1)
		if linked || w.beside(f) {
			w.s.overwritten(path, before, was)
		}
		if linked {
			if !was {
				w.ours(path, value{'f', string(next)}, f.ino)
			}
		}
		f.ino.data = next
		for _, g := range w.handles {
			if g.ino == f.ino && g != f && !was && linked {
				g.lax = true
			}
		}
	}
	return nil
}

// beside says whether the open file is a conflict copy by now, a name that this world does
// not know: what is written to it takes the place of what it was.
func (w *world) beside(f *opened) bool {
	t, n := w.s.m.Tree, f.h.file.node
	t.mu.Lock()
	defer t.mu.Unlock()
	p := n.pathLocked()
	return strings.Contains(path.Base(p), ".conflict-") && t.findLocked(p) == n
}

// linked says whether the open file still has a name that this world knows.
func (w *world) linked(f *opened) bool {
	pl := w.at(w.s.m.PathOf(f.h.file.node))
	return pl != nil && pl.file == f.ino
}

func (w *world) open(p string, r *rand.Rand) error {
	pl := w.at(p)
	if len(w.handles) >= 4 || pl != nil && pl.dir {
		return nil
	}
	ctx := context.Background()
	f := &opened{path: p, write: r.IntN(3) > 0}
	if pl != nil && pl.file != nil {
		h, err := w.s.m.openAt(p, OpenFlags{Read: true, Write: f.write})
		if err != nil {
			return w.failed("open "+p, err, p)
		}
		f.h, f.ino, f.lax = h, pl.file, !w.certain(p)
		w.handles = append(w.handles, f)
		w.s.applied.Add(1)
		return nil
	}
	f.write = true
	was := w.certain(p)
	w.s.know("")
	before := w.look(p)
	err := w.s.m.with(p, func(dir *Node, name string) error {
		n, h, _, err := w.s.m.Create(ctx, dir, name, 0o644, true, OpenFlags{Read: true, Write: true})
		if err == nil {
			w.s.m.Forget(n)
			f.h = h
		}
		return err
	})
	if err != nil {
		if remote.Is(err, remote.Exist) && !was {
			return nil
		}
		fail := w.failed("create "+p, err, p)
		w.maybe(p, value{'f', ""})
		if !was {
			return nil
		}
		return fail
	}
	w.s.overwritten(p, before, was)
	f.ino = &inode{}
	w.ours(p, value{kind: 'f'}, f.ino)
	f.lax = !was
	w.handles = append(w.handles, f)
	w.s.applied.Add(1)
	return nil
}

// readHandle reads all of an open file: what it holds, as one version of it.
func (w *world) readHandle(f *opened) error {
	if !f.h.fl.Read {
		return nil
	}
	got, err := io.ReadAll(io.NewSectionReader(readerAt{f.h}, 0, 1<<40))
	if err == nil {
		w.s.applied.Add(1)
	}
	certain := !f.lax && w.linked(f) && w.certain(w.s.m.PathOf(f.h.file.node))
	switch {
	case err != nil && (w.s.shaky.Load() || !certain):
		return nil
	case err != nil:
		return fmt.Errorf("read open %s: %v", f.path, err)
	case !certain:
		return w.s.checkWhole("read open "+f.path, string(got))
	case string(got) != string(f.ino.data):
		return fmt.Errorf("read open %s: %v; want %v", f.path, value{'f', string(got)}, value{'f', string(f.ino.data)})
	}
	return nil
}

func (w *world) closeHandle(f *opened) error {
	defer f.h.Release()
	path := w.s.m.PathOf(f.h.file.node)
	err := f.h.Flush(context.Background())
	if err == nil {
		w.s.applied.Add(1)
	}
	if !f.write || f.lax || !w.linked(f) {
		return nil
	}
	if err != nil {
		return w.failed("close "+path, err, path)
	}
	w.s.m.mu.Lock()
	wrote := f.h.wrote
	w.s.m.mu.Unlock()
	if wrote && w.certain(path) {
		w.s.acknowledged(string(f.ino.data), path)
	}
	return nil
}

// closeAll closes what is open, or what of it is open for writing.
func (w *world) closeAll() error {
	for len(w.handles) > 0 {
		f := w.handles[0]
		w.handles = w.handles[1:]
		if err := w.closeHandle(f); err != nil {
			return err
		}
	}
	return nil
}

// cutOff takes in that the daemon was killed, or ended, with files open: what was
// written is kept. Before a crash nothing acknowledges it, so either may come back.
func (w *world) cutOff() {
	for _, f := range w.handles {
		f.h.Release()
	}
	w.handles = nil
	time.Sleep(time.Millisecond)
}
