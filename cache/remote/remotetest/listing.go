package remotetest

import (
	"fmt"
	"time"

	"ftpfs/cache/remote"
)

func (s *suite) list() {
	s.has("/")
	s.mkdirs("/empty", "/dir", "/dir/sub")
	s.put("/dir/one", content(1))
	s.put("/dir/.hidden", content(10))
	s.put("/dir/none", nil)
	s.put("/.top", content(3))
	s.has("/", "empty", "dir", ".top")
	s.has("/empty")
	list := s.has("/dir", "one", ".hidden", "none", "sub")
	sizes := map[string]int64{"one": 1, ".hidden": 10, "none": 0}
	for _, e := range list {
		size, isFile := sizes[e.Name]
		if isFile != (e.Type == remote.File) || !isFile && e.Type != remote.Dir {
			s.t.Errorf("%q is of type %v", e.Name, e.Type)
		}
		if isFile && e.Size != size {
			s.t.Errorf("%q has %d bytes, want %d", e.Name, e.Size, size)
		}
		if e.Mode&^0o7777 != 0 || !e.HasMode && e.Mode != 0 {
			s.t.Errorf("%q: mode %o, known: %v", e.Name, e.Mode, e.HasMode)
		}
	}
	// Errors leave no stale directory behind on the connection they used.
	for range 3 {
		_, err := s.Store.List(s.ctx, "/missing")
		s.fails(err, "list a missing directory", remote.NotExist)
		_, err = s.Store.List(s.ctx, "/missing/deeper")
		s.fails(err, "list below a missing directory", remote.NotExist)
		_, err = s.Store.List(s.ctx, "/dir/one")
		s.fails(err, "list a file", remote.NotDir)
		s.has("/empty")
		s.has("/dir/sub")
	}
	if s.Behind == nil {
		return
	}
	s.ok(s.Behind.WriteFile("/dir/theirs", content(7)), "write as another client")
	s.has("/dir", "one", ".hidden", "none", "sub", "theirs")
}

// listMany: a listing is whole, however long.
func (s *suite) listMany() {
	const n = 5000
	s.mkdirs("/many")
	var want []string
	for i := range n {
		name := fmt.Sprintf("entry %04d with a name of some length", i)
		want = append(want, name)
		if s.Behind == nil {
			s.put("/many/"+name, nil)
			continue
		}
		s.ok(s.Behind.WriteFile("/many/"+name, nil), "write %q as another client", name)
	}
	s.has("/many", want...)
	if e, err := s.Store.Stat(s.ctx, "/many/"+want[n/2]); err != nil || e.Name != want[n/2] {
		s.t.Errorf("stat one of %d: %+v, %v", n, e, err)
	}
	_, err := s.Store.Stat(s.ctx, "/many/none of them")
	s.fails(err, "stat a missing one among many", remote.NotExist)
}

func (s *suite) stat() {
	s.mkdirs("/dir")
	s.put("/dir/file", content(1234))
	e, err := s.Store.Stat(s.ctx, "/dir/file")
	if err != nil || e.Name != "file" || e.Type != remote.File || e.Size != 1234 {
		s.t.Errorf("stat a file: %+v, %v", e, err)
	}
	e, err = s.Store.Stat(s.ctx, "/dir")
	if err != nil || e.Name != "dir" || e.Type != remote.Dir {
		s.t.Errorf("stat a directory: %+v, %v", e, err)
	}
	e, err = s.Store.Stat(s.ctx, "/")
	if err != nil || e.Type != remote.Dir {
		s.t.Errorf("stat /: %+v, %v", e, err)
	}
	for range 2 {
		_, err = s.Store.Stat(s.ctx, "/missing")
		s.fails(err, "stat a missing name", remote.NotExist)
		_, err = s.Store.Stat(s.ctx, "/dir/missing")
		s.fails(err, "stat a missing name in a directory", remote.NotExist)
		_, err = s.Store.Stat(s.ctx, "/missing/file")
		s.fails(err, "stat in a missing directory", remote.NotExist)
		_, err = s.Store.Stat(s.ctx, "/dir/file/x")
		s.fails(err, "stat below a file", belowFile...)
	}
	if s.Behind == nil {
		return
	}
	// Listing and stat agree on a time, old or new, to their exactness.
	for _, at := range []time.Time{
		time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC),
		time.Now().Add(-30 * 24 * time.Hour).UTC().Truncate(time.Second),
		time.Now().UTC().Truncate(time.Second),
	} {
		s.ok(s.Behind.Chtimes("/dir/file", at), "set a time as another client")
		e, err := s.Store.Stat(s.ctx, "/dir/file")
		s.ok(err, "stat")
		s.told(e, at, "stat")
		for _, e := range s.has("/dir", "file") {
			s.told(e, at, "list")
		}
	}
}

func (s *suite) links() {
	if s.Behind == nil {
		s.t.Skip("no way to make a symlink on this server")
	}
	if s.Limits.NoLinks {
		s.t.Skip("by design: this server has no symlinks")
	}
	s.mkdirs("/dir")
	s.put("/dir/kept", content(5))
	s.put("/file", content(9))
	s.ok(s.Behind.Symlink("file", "/to file"), "symlink")
	s.ok(s.Behind.Symlink("dir", "/to dir"), "symlink")
	s.ok(s.Behind.Symlink("nothing", "/lost"), "symlink")
	names := []string{"dir", "file", "to file", "to dir"}
	if !s.Limits.HidesLost {
		names = append(names, "lost")
	}
	targets := map[string]string{"to file": "file", "to dir": "dir", "lost": "nothing"}
	for _, e := range s.has("/", names...) {
		target, isLink := targets[e.Name]
		if !isLink || s.Limits.FollowsLinks {
			continue
		}
		if e.Type != remote.Symlink || e.Target != "" && e.Target != target {
			s.t.Errorf("list: %q is of type %v, to %q", e.Name, e.Type, e.Target)
		}
	}
	if got, err := s.read(s.ctx, "/to file", 0); err != nil || len(got) != 9 {
		s.t.Errorf("read through a link: %d bytes, %v", len(got), err)
	}
	// Taking a link away takes nothing else.
	s.ok(s.Store.Remove(s.ctx, "/to file"), "remove a link to a file")
	err := s.Store.Rmdir(s.ctx, "/to dir")
	s.refused(err, "rmdir of a link to a directory")
	if err := s.Store.Remove(s.ctx, "/to dir"); err != nil {
		if !s.Limits.FollowsLinks {
			s.t.Errorf("remove a link to a directory: %v", err)
		}
	} else if _, there := s.Behind.Stat("/to dir"); there {
		s.t.Errorf("a link to a directory is still there after its removal")
	}
	s.holds("/file", content(9))
	s.holds("/dir/kept", content(5))
}
