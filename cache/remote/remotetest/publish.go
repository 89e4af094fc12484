package remotetest

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// published checks what Publish said of a file against what is there.
func (s *suite) published(p remote.Published, want remote.Publish, data []byte) {
	s.t.Helper()
	s.gone("/tmp")
	s.holds(want.Path, data)
	e := p.Entry
	if "/"+e.Name != want.Path || e.Type != remote.File || e.Size != int64(len(data)) {
		s.t.Errorf("published %s: entry %+v", want.Path, e)
	}
	now, err := s.Store.Stat(s.ctx, want.Path)
	s.ok(err, "stat %s", want.Path)
	if e.Version().Differs(now.Version()) {
		s.t.Errorf("published %s as %+v, stat says %+v", want.Path, e.Version(), now.Version())
	}
	if want.MTime != nil {
		if p.TimeSet == s.Limits.NoTimes {
			s.t.Errorf("published %s: time set: %v", want.Path, p.TimeSet)
		}
		if p.TimeSet {
			s.told(e, *want.MTime, "publish")
			s.told(now, *want.MTime, "stat")
			s.onServer(want.Path, want.MTime, nil)
		}
	}
	if want.Mode != nil {
		if p.ModeSet == s.Limits.NoModes {
			s.t.Errorf("published %s: mode set: %v", want.Path, p.ModeSet)
		}
		if p.ModeSet {
			s.onServer(want.Path, nil, want.Mode)
		}
	}
}

func (s *suite) publish() {
	at := time.Date(2020, 2, 29, 23, 59, 58, 0, time.UTC)
	mode := uint32(0o604)
	expect := func(path string) *remote.Version {
		e, err := s.Store.Stat(s.ctx, path)
		s.ok(err, "stat %s", path)
		v := e.Version()
		return &v
	}
	do := func(p remote.Publish) {
		s.t.Helper()
		data := content(int(p.Size))
		s.put("/tmp", data)
		out, err := s.Store.Publish(s.ctx, "/tmp", p)
		if remote.Is(err, remote.NoReplace) && s.Limits.NoReplace {
			s.holds("/tmp", data)
			s.ok(s.Store.Remove(s.ctx, p.Path), "remove %s", p.Path)
			p.Expect = nil
			out, err = s.Store.Publish(s.ctx, "/tmp", p)
		}
		s.ok(err, "publish %s (%+v)", p.Path, p)
		s.published(out, p, data)
	}
	do(remote.Publish{Path: "/new", Size: 100})
	do(remote.Publish{Path: "/new", Size: 101, Expect: expect("/new")})
	do(remote.Publish{Path: "/empty", Size: 0})
	do(remote.Publish{Path: "/timed", Size: 103, MTime: &at})
	do(remote.Publish{Path: "/timed", Size: 103, Expect: expect("/timed"), MTime: &at, Mode: &mode})
	do(remote.Publish{Path: "/timed", Size: 90, Force: true})
	do(remote.Publish{Path: "/forced", Size: 104, Force: true, Mode: &mode})
	old := remote.Version{Size: 3}
	do(remote.Publish{Path: "/forced", Size: 105, Force: true, Expect: &old})
	do(remote.Publish{Path: "/large", Size: 3<<20 + 1, MTime: &at})
	for _, e := range s.has("/", "new", "empty", "timed", "forced", "large") {
		if e.Name == "large" && !s.Limits.NoTimes {
			s.told(e, at, "list")
		}
	}
}

// publishRefused: when the world is not as expected, nothing is moved.
func (s *suite) publishRefused() {
	s.mkdirs("/dir", "/dir/sub")
	s.put("/theirs", content(50))
	s.put("/tmp", content(60))
	e, err := s.Store.Stat(s.ctx, "/theirs")
	s.ok(err, "stat")
	right, larger, older := e.Version(), e.Version(), e.Version()
	larger.Size++
	older.MTime, older.MGrain = e.MTime.Add(-72*time.Hour), time.Second

	for _, c := range []struct {
		what string
		p    remote.Publish
		kind []remote.Kind
	}{
		{"over a file that should not be", remote.Publish{Path: "/theirs", Size: 60}, []remote.Kind{remote.Changed}},
		{"over a file of another size", remote.Publish{Path: "/theirs", Size: 60, Expect: &larger}, []remote.Kind{remote.Changed}},
		{"over a newer file", remote.Publish{Path: "/theirs", Size: 60, Expect: &older}, []remote.Kind{remote.Changed}},
		{"over a file that is gone", remote.Publish{Path: "/gone", Size: 60, Expect: &right}, []remote.Kind{remote.Changed}},
		{"with fewer bytes than it should have", remote.Publish{Path: "/theirs", Size: 61, Expect: &right}, []remote.Kind{remote.ShortWrite}},
		{"with more bytes than it should have", remote.Publish{Path: "/gone", Size: 59}, []remote.Kind{remote.ShortWrite}},
		{"by force, with fewer bytes", remote.Publish{Path: "/theirs", Size: 61, Force: true}, []remote.Kind{remote.ShortWrite}},
		{"over a directory", remote.Publish{Path: "/dir", Size: 60}, []remote.Kind{remote.IsDir, remote.Changed}},
		{"over a directory by force", remote.Publish{Path: "/dir", Size: 60, Force: true}, []remote.Kind{remote.IsDir}},
		{"in a missing directory", remote.Publish{Path: "/missing/x", Size: 60}, []remote.Kind{remote.NotExist}},
	} {
		_, err := s.Store.Publish(s.ctx, "/tmp", c.p)
		s.fails(err, "publish "+c.what, c.kind...)
		s.holds("/tmp", content(60))
		s.holds("/theirs", content(50))
	}
	s.gone("/gone")
	s.is("/dir/sub", remote.Dir)
	for _, p := range []remote.Publish{{Path: "/new", Size: 60}, {Path: "/theirs", Size: 60, Expect: &right}, {Path: "/theirs", Size: 60, Force: true}} {
		_, err = s.Store.Publish(s.ctx, "/no tmp", p)
		s.fails(err, fmt.Sprintf("publish a missing file as %s", p.Path), remote.NotExist)
	}
	s.holds("/theirs", content(50))
	s.has("/", "dir", "theirs", "tmp")
}

// publishKeepsTheMode: a mode that nobody asked for gives way to the one that the file has
// on the server by now; one that was asked for does not.
func (s *suite) publishKeepsTheMode() {
	if s.Behind == nil || s.Limits.NoModes || s.Limits.NoReplace || s.Limits.TellsNoMode {
		return
	}
	for _, path := range []string{"/kept", "/with blanks, and more", "/-a"} {
		for _, c := range []struct {
			kept           bool
			asked          uint32 // 0: not
			theirs, become uint32
		}{
			{true, 0o644, 0o644, 0o644},
			{true, 0o644, 0o600, 0o600},
			{true, 0o600, 0o664, 0o664},
			{true, 0, 0o640, 0o640},
			{false, 0o644, 0o600, 0o644},
			{false, 0o600, 0o644, 0o600},
		} {
			if strings.Contains(path, ",") && c.kept && c.asked != c.theirs && s.Limits.ListsModes {
				continue
			}
			s.put(path, content(50))
			s.ok(s.Behind.Chmod(path, fs.FileMode(c.theirs)), "chmod behind the server's back")
			e, err := s.Store.Stat(s.ctx, path)
			s.ok(err, "stat %s", path)
			v := e.Version()
			p := remote.Publish{Path: path, Size: 60, Expect: &v, Kept: c.kept, Among: 3}
			if c.asked != 0 {
				p.Mode = &c.asked
			}
			s.put("/tmp", content(60))
			out, err := s.Store.Publish(s.ctx, "/tmp", p)
			s.ok(err, "publish %s", path)
			s.holds(path, content(60))
			what := fmt.Sprintf("publish %q of mode %o with mode %o (kept: %v)", path, c.theirs, c.asked, c.kept)
			if now, _ := s.Behind.Stat(path); now.Mode != c.become {
				s.t.Errorf("%s: it has mode %o, want %o", what, now.Mode, c.become)
			}
			if e := out.Entry; e.HasMode && e.Mode != c.become {
				s.t.Errorf("%s: mode %o is told, want %o", what, e.Mode, c.become)
			}
		}
	}
}

// publishOverNoFile: what was made under the name and is no plain file is not replaced by a
// new one.
func (s *suite) publishOverNoFile() {
	if s.Behind == nil || s.Limits.NoLinks {
		return
	}
	s.ok(s.Behind.Mknod("/device"), "mknod behind the server's back")
	s.ok(s.Behind.Symlink("nowhere", "/lost"), "symlink behind the server's back")
	for _, c := range []struct {
		path string
		kind remote.EntryType
	}{{"/device", remote.Other}, {"/lost", remote.Symlink}} {
		if c.kind == remote.Symlink && (s.Limits.HidesLost || s.Limits.ListsLost) {
			continue
		}
		s.put("/tmp", content(60))
		_, err := s.Store.Publish(s.ctx, "/tmp", remote.Publish{Path: c.path, Size: 60, Unlisted: true, Among: 3})
		s.fails(err, "publish a new file as "+c.path, remote.Changed)
		if e, there := s.Behind.Stat(c.path); !there || e.Type != c.kind {
			s.t.Errorf("%s is %+v now (there: %v)", c.path, e, there)
		}
		s.holds("/tmp", content(60))
	}
}
