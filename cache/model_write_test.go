package cache

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"ftpfs/cache/remote"
)

func (w *world) write(p, data string) error {
	before, was, may := w.look(p), w.certain(p), w.may(p)
	w.s.know(data, "")
	ctx := context.Background()
	err := w.s.m.with(p, func(dir *Node, name string) error {
		n, h, _, err := w.s.m.Create(ctx, dir, name, 0o644, false, OpenFlags{Write: true, Truncate: true})
		if err != nil {
			return err
		}
		defer w.s.m.Forget(n)
		defer h.Release()
		w.s.overwritten(p, before, was) // before a Sync publishes what there is so far
		if _, err := h.WriteAt(ctx, []byte(data), 0); err != nil {
			return err
		}
		return h.Flush(ctx)
	})
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
		if k == 0 {
			w.s.overwritten(p, before, was) // before a Sync publishes what there is so far
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
