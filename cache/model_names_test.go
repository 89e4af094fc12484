package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

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
	follows := w.following(q)
	w.replaced(q)
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
	w.s.goneAt(q, follows)
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
	if !was {
		w.replaced(q) // either may be a file
	}
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
