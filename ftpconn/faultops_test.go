package ftpconn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// operation is a column of the fault matrix: one thing the cache asks of a Store, on
// the tree that plant makes.
type operation struct {
	name string
	do   func(ctx context.Context, s *ftpconn.Store) error
	// Of an operation that changes something: whether the server's tree has the
	// change, whole, or is as it was before. One that only asks checks its answer in
	// do, and has neither.
	done, before func(tree *ftpscript.Tree) bool
	// again does it after a failure; nil is do.
	again func(ctx context.Context, s *ftpconn.Store) error
	// delivers: it is for servers that take an upload with what is asked before the rename.
	delivers bool
}

var (
	small = content[:30_000]
	large = bytes.Repeat(content, 2)
	newer = bytes.Repeat([]byte("newer"), 7_000)
	stamp = time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
)

// plant makes the tree that every cell of the matrix begins with.
func plant(t *ftpscript.Tree) {
	t.Put("/f", small)
	t.Put("/large", large)
	t.Put("/old", []byte("old content"))
	t.Put("/dir/inside", small)
	t.MkdirAll("/empty")
	for i := range 30 {
		t.Put(fmt.Sprintf("/d/file %02d", i), content[:100*i])
	}
	for _, f := range t.All() {
		t.SetTime(f.Path, stamp)
	}
}

func holds(p string, want []byte) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool {
		got, there := t.Get(p)
		return there && bytes.Equal(got, want)
	}
}

func there(p string) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool { _, ok := t.Stat(p); return ok }
}

func gone(p string) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool { return !there(p)(t) }
}

func both(f, g func(*ftpscript.Tree) bool) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool { return f(t) && g(t) }
}

// wrong is an answer that is not true.
type wrong string

func (w wrong) Error() string { return string(w) }

func reads(p string, offset int64, want []byte) func(context.Context, *ftpconn.Store) error {
	return func(ctx context.Context, s *ftpconn.Store) error {
		r, err := s.Open(ctx, p, offset, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if !bytes.HasPrefix(want, got) {
			return wrong(fmt.Sprintf("%d bytes that are not the file's (error %v)", len(got), err))
		}
		if err == nil && len(got) < len(want) {
			return wrong(fmt.Sprintf("%d bytes of %d without an error", len(got), len(want)))
		}
		return err
	}
}

func stats(p string, typ remote.EntryType, size int64) func(context.Context, *ftpconn.Store) error {
	return func(ctx context.Context, s *ftpconn.Store) error {
		e, err := s.Stat(ctx, p)
		if err == nil && (e.Type != typ || typ == remote.File && e.Size >= 0 && e.Size != size) {
			return wrong(fmt.Sprintf("%+v", e))
		}
		return err
	}
}

func lists(ctx context.Context, s *ftpconn.Store) error {
	got, err := s.List(ctx, "/d")
	if err != nil {
		return err
	}
	if len(got) != 30 {
		return wrong(fmt.Sprintf("%d entries of 30 without an error", len(got)))
	}
	slices.SortFunc(got, func(a, b remote.Entry) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	for i, e := range got {
		if e.Name != fmt.Sprintf("file %02d", i) || e.Type != remote.File || e.Size != int64(100*i) ||
			e.MGrain == time.Second && !e.MTime.Equal(stamp) {
			return wrong(fmt.Sprintf("entry %d is %+v", i, e))
		}
	}
	return nil
}

// published uploads to a temporary name no other try has used, and publishes.
func published(p string, expect bool) func(context.Context, *ftpconn.Store) error {
	return func(ctx context.Context, s *ftpconn.Store) error {
		tmp := fmt.Sprintf("/.tag7-%d", s.Stats().Commands)
		if err := s.Write(ctx, tmp, bytes.NewReader(newer), 0, int64(len(newer))); err != nil {
			return err
		}
		mode := uint32(0o640)
		how := remote.Publish{Path: p, Size: int64(len(newer)), MTime: &stamp, Mode: &mode}
		if expect {
			how.Expect = &remote.Version{Size: int64(len("old content")), MTime: stamp, MGrain: time.Second}
		}
		_, err := s.Publish(ctx, tmp, how)
		return err
	}
}

// delivered uploads and publishes in one go.
func delivered(p string, expect *remote.Version) func(context.Context, *ftpconn.Store) error {
	return func(ctx context.Context, s *ftpconn.Store) error {
		tmp, body, mode := fmt.Sprintf("/.tag7-%d", s.Stats().Commands), newer[:20_000], uint32(0o640)
		how := remote.Publish{Path: p, Size: int64(len(body)), MTime: &stamp, Mode: &mode, Expect: expect}
		_, agreed, err := s.Deliver(ctx, tmp, bytes.NewReader(body), remote.Delivery{Foreseen: how,
			Ready: func() (context.Context, remote.Publish, bool) { return ctx, how, true }})
		if err == nil && !agreed {
			_, err = s.Publish(ctx, tmp, how)
		}
		return err
	}
}

func attr(a remote.Attr) func(context.Context, *ftpconn.Store) error {
	return func(ctx context.Context, s *ftpconn.Store) error { return s.SetAttr(ctx, "/f", a) }
}

var (
	otherTime = stamp.Add(1000 * time.Hour)
	otherMode = uint32(0o600)
)

var operations = []operation{
	{name: "lookup of a file", do: stats("/f", remote.File, int64(len(small)))},
	{name: "lookup of a directory", do: stats("/dir", remote.Dir, 0)},
	{name: "readdir", do: lists},
	{name: "read of a small file", do: reads("/f", 0, small)},
	{name: "read of a large file", do: reads("/large", 0, large)},
	{name: "read at an offset", do: reads("/large", 100_000, large[100_000:])},
	{name: "create", do: published("/new", false), done: holds("/new", newer), before: gone("/new")},
	{name: "overwrite", do: published("/old", true), done: holds("/old", newer), before: holds("/old", []byte("old content"))},
	{name: "deliver", delivers: true, do: delivered("/new", nil), done: holds("/new", newer[:20_000]), before: gone("/new")},
	{name: "deliver over", delivers: true, do: delivered("/old", &remote.Version{Size: int64(len("old content")), MTime: stamp, MGrain: time.Second}),
		done: holds("/old", newer[:20_000]), before: holds("/old", []byte("old content"))},
	{name: "append", do: func(ctx context.Context, s *ftpconn.Store) error {
		return s.Write(ctx, "/f", bytes.NewReader(newer), int64(len(small)), int64(len(newer)))
	}, again: func(ctx context.Context, s *ftpconn.Store) error { // from where the server is
		e, err := s.Stat(ctx, "/f")
		if err != nil {
			return err
		}
		rest := slices.Concat(small, newer)[e.Size:]
		return s.Write(ctx, "/f", bytes.NewReader(rest), e.Size, int64(len(rest)))
	}, done: holds("/f", slices.Concat(small, newer)), before: holds("/f", small)},
	{name: "mkdir", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Mkdir(ctx, "/made") }, done: there("/made"), before: gone("/made")},
	{name: "rmdir", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Rmdir(ctx, "/empty") }, done: gone("/empty"), before: there("/empty")},
	{name: "unlink", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Remove(ctx, "/f") }, done: gone("/f"), before: holds("/f", small)},
	{name: "rename", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Rename(ctx, "/f", "/g") },
		done: both(gone("/f"), holds("/g", small)), before: both(gone("/g"), holds("/f", small))},
	{name: "rename of a directory", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Rename(ctx, "/dir", "/there") },
		done: both(gone("/dir"), holds("/there/inside", small)), before: both(gone("/there"), holds("/dir/inside", small))},
	{name: "rename over", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Rename(ctx, "/f", "/old") },
		done: both(gone("/f"), holds("/old", small)), before: both(holds("/f", small), holds("/old", []byte("old content")))},
	{name: "utimens", do: attr(remote.Attr{MTime: &otherTime}),
		done:   func(t *ftpscript.Tree) bool { f, _ := t.Stat("/f"); return f.MTime.Equal(otherTime) },
		before: func(t *ftpscript.Tree) bool { f, _ := t.Stat("/f"); return f.MTime.Equal(stamp) }},
	{name: "chmod", do: attr(remote.Attr{Mode: &otherMode}),
		done:   func(t *ftpscript.Tree) bool { f, _ := t.Stat("/f"); return f.Mode == otherMode },
		before: func(t *ftpscript.Tree) bool { f, _ := t.Stat("/f"); return f.Mode == 0o644 }},
	{name: "statfs", do: func(ctx context.Context, s *ftpconn.Store) error {
		_, err := s.Statfs(ctx)
		if remote.Is(err, remote.Unsupported) { // the scripted server has neither AVBL nor SITE QUOTA
			return nil
		}
		return err
	}},
	{name: "mount", do: func(ctx context.Context, s *ftpconn.Store) error { return s.Connect(ctx) }},
}
