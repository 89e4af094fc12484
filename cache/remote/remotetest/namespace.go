package remotetest

import "ftpfs/cache/remote"

// belowFile are the kinds for a path with a file where a directory should be:
// servers say little about it, and none of these claims too much.
var belowFile = []remote.Kind{remote.NotExist, remote.NotDir, remote.Unknown, remote.BadName, remote.Permission}

func (s *suite) remove() {
	s.mkdirs("/empty", "/full")
	s.put("/full/kept", content(3))
	s.put("/file", content(3))
	s.put("/.hidden", nil)
	s.ok(s.Store.Remove(s.ctx, "/file"), "remove a file")
	s.gone("/file")
	s.ok(s.Store.Remove(s.ctx, "/.hidden"), "remove a hidden file")
	s.fails(s.Store.Remove(s.ctx, "/file"), "remove it again", remote.NotExist)
	s.fails(s.Store.Remove(s.ctx, "/missing/file"), "remove in a missing directory", remote.NotExist)
	s.fails(s.Store.Remove(s.ctx, "/empty"), "remove an empty directory", remote.IsDir)
	s.fails(s.Store.Remove(s.ctx, "/full"), "remove a full directory", remote.IsDir)
	s.is("/empty", remote.Dir)
	s.holds("/full/kept", content(3))
}

func (s *suite) mkdir() {
	s.put("/file", content(3))
	s.mkdirs("/dir", "/dir/sub", "/dir/.hidden")
	s.is("/dir", remote.Dir)
	s.is("/dir/sub", remote.Dir)
	s.has("/dir", "sub", ".hidden")
	s.fails(s.Store.Mkdir(s.ctx, "/dir"), "mkdir where a directory is", remote.Exist)
	s.fails(s.Store.Mkdir(s.ctx, "/file"), "mkdir where a file is", remote.Exist)
	s.fails(s.Store.Mkdir(s.ctx, "/missing/dir"), "mkdir in a missing directory", remote.NotExist)
	s.fails(s.Store.Mkdir(s.ctx, "/file/dir"), "mkdir below a file", belowFile...)
	s.has("/dir", "sub", ".hidden")
	s.holds("/file", content(3))
}

func (s *suite) rmdir() {
	s.mkdirs("/empty", "/full", "/hidden", "/nested", "/nested/dir")
	s.put("/full/kept", content(3))
	s.put("/hidden/.kept", content(3))
	s.put("/file", content(3))
	s.ok(s.Store.Rmdir(s.ctx, "/empty"), "rmdir")
	s.gone("/empty")
	s.fails(s.Store.Rmdir(s.ctx, "/empty"), "rmdir it again", remote.NotExist)
	s.fails(s.Store.Rmdir(s.ctx, "/missing/dir"), "rmdir in a missing directory", remote.NotExist)
	s.fails(s.Store.Rmdir(s.ctx, "/full"), "rmdir of a full directory", remote.NotEmpty)
	s.fails(s.Store.Rmdir(s.ctx, "/hidden"), "rmdir of a directory with a hidden file", remote.NotEmpty)
	s.fails(s.Store.Rmdir(s.ctx, "/nested"), "rmdir of a directory with a directory", remote.NotEmpty)
	s.fails(s.Store.Rmdir(s.ctx, "/file"), "rmdir of a file", remote.NotDir)
	s.holds("/full/kept", content(3))
	s.holds("/hidden/.kept", content(3))
	s.holds("/file", content(3))
	s.is("/nested/dir", remote.Dir)
}

func (s *suite) rename() {
	s.mkdirs("/dir", "/full")
	s.put("/full/kept", content(9))
	s.put("/a", content(100))
	s.ok(s.Store.Rename(s.ctx, "/a", "/b"), "rename")
	s.gone("/a")
	s.holds("/b", content(100))
	s.ok(s.Store.Rename(s.ctx, "/b", "/dir/c"), "rename into a directory")
	s.gone("/b")
	s.holds("/dir/c", content(100))

	s.put("/old", content(7))
	err := s.Store.Rename(s.ctx, "/dir/c", "/old")
	if s.Limits.NoReplace {
		s.fails(err, "rename over a file", remote.NoReplace)
		s.holds("/old", content(7))
		s.ok(s.Store.Remove(s.ctx, "/old"), "remove")
		s.ok(s.Store.Rename(s.ctx, "/dir/c", "/old"), "rename")
	} else {
		s.ok(err, "rename over a file")
	}
	s.gone("/dir/c")
	s.holds("/old", content(100))

	s.fails(s.Store.Rename(s.ctx, "/missing", "/x"), "rename of a missing file", remote.NotExist)
	s.fails(s.Store.Rename(s.ctx, "/missing", "/old"), "rename of a missing file over another", remote.NotExist)
	s.fails(s.Store.Rename(s.ctx, "/old", "/missing/x"), "rename into a missing directory", remote.NotExist)
	s.refused(s.Store.Rename(s.ctx, "/old", "/full"), "rename of a file over a full directory")
	s.gone("/x")
	s.holds("/old", content(100))
	s.holds("/full/kept", content(9))
	s.has("/dir")
}

func (s *suite) renameDir() {
	s.mkdirs("/a", "/a/sub", "/full", "/full/sub")
	s.put("/a/sub/file", content(11))
	s.put("/full/kept", content(12))
	s.put("/file", content(13))
	s.ok(s.Store.Rename(s.ctx, "/a", "/b"), "rename a directory")
	s.gone("/a")
	s.holds("/b/sub/file", content(11))
	_, err := s.Store.List(s.ctx, "/a")
	s.fails(err, "list the old name", remote.NotExist)
	s.ok(s.Store.Rename(s.ctx, "/b", "/full/sub/b"), "rename a directory into another")
	s.holds("/full/sub/b/sub/file", content(11))
	s.ok(s.Store.Rename(s.ctx, "/full/sub/b", "/b"), "rename it back")

	full := remote.NotEmpty
	if s.Limits.NoReplace {
		full = remote.NoReplace
	}
	s.fails(s.Store.Rename(s.ctx, "/b", "/full"), "rename of a directory over a full one", remote.NotEmpty, full)
	s.refused(s.Store.Rename(s.ctx, "/b", "/file"), "rename of a directory over a file")
	s.holds("/b/sub/file", content(11))
	s.holds("/full/kept", content(12))
	s.holds("/file", content(13))
	if err := s.Store.Rename(s.ctx, "/b", "/b/sub/b"); err == nil {
		s.t.Errorf("rename of a directory into itself: no error")
	}
	s.holds("/b/sub/file", content(11))
}

// top: the mounted directory itself is nobody's to take away.
func (s *suite) top() {
	s.put("/kept", content(3))
	s.refused(s.Store.Remove(s.ctx, "/"), "remove /")
	s.refused(s.Store.Rmdir(s.ctx, "/"), "rmdir /")
	if err := s.Store.Rename(s.ctx, "/", "/x"); err == nil {
		s.t.Errorf("rename /: no error")
	}
	if err := s.Store.Mkdir(s.ctx, "/"); err == nil {
		s.t.Errorf("mkdir /: no error")
	}
	_, err := s.Store.Open(s.ctx, "/", 0, nil)
	s.refused(err, "open /")
	s.is("/", remote.Dir)
	s.holds("/kept", content(3))
	s.has("/", "kept")
}
