package remotetest

import (
	"time"

	"ftpfs/cache/remote"
)

// onServer checks time and mode behind the Store's back.
func (s *suite) onServer(path string, at *time.Time, mode *uint32) {
	s.t.Helper()
	if s.Behind == nil {
		return
	}
	e, there := s.Behind.Stat(path)
	if !there {
		s.t.Errorf("%q is not on the server", path)
		return
	}
	if at != nil && !e.MTime.Equal(*at) {
		s.t.Errorf("the time of %q is %v on the server, want %v", path, e.MTime, *at)
	}
	if mode != nil && e.Mode != *mode {
		s.t.Errorf("the mode of %q is %o on the server, want %o", path, e.Mode, *mode)
	}
}

func (s *suite) setAttr() {
	s.mkdirs("/dir")
	s.put("/dir/file", content(10))
	for _, at := range []time.Time{
		time.Date(1975, 1, 2, 3, 4, 5, 0, time.UTC),
		time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC),
		time.Date(2024, 7, 1, 2, 30, 1, 0, time.UTC),
		time.Now().UTC().Truncate(time.Second).Add(-2 * time.Hour),
	} {
		err := s.Store.SetAttr(s.ctx, "/dir/file", remote.Attr{MTime: &at})
		if s.Limits.NoTimes {
			s.fails(err, "set a time", remote.Unsupported)
			break
		}
		if err != nil {
			s.t.Errorf("set the time %v: %v", at, err)
			continue
		}
		e, err := s.Store.Stat(s.ctx, "/dir/file")
		s.ok(err, "stat")
		s.told(e, at, "stat")
		for _, e := range s.has("/dir", "file") {
			s.told(e, at, "list")
		}
		s.onServer("/dir/file", &at, nil)
		elsewhere := at.In(time.FixedZone("", 5*3600+1800)) // a time is a moment
		if err := s.Store.SetAttr(s.ctx, "/dir/file", remote.Attr{MTime: &elsewhere}); err != nil {
			s.t.Errorf("set the time %v: %v", elsewhere, err)
		}
		s.onServer("/dir/file", &at, nil)
	}
	for _, mode := range []uint32{0o600, 0o755, 0o444, 0o644} {
		err := s.Store.SetAttr(s.ctx, "/dir/file", remote.Attr{Mode: &mode})
		if s.Limits.NoModes {
			s.fails(err, "set a mode", remote.Unsupported)
			break
		}
		if err != nil {
			s.t.Errorf("set the mode %o: %v", mode, err)
		}
		s.onServer("/dir/file", nil, &mode)
		for _, e := range s.has("/dir", "file") {
			if e.HasMode && e.Mode != mode {
				s.t.Errorf("list tells mode %o, want %o", e.Mode, mode)
			}
		}
	}
	// Both at once: what can be set is set, also when the other cannot.
	at, mode := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC), uint32(0o640)
	err := s.Store.SetAttr(s.ctx, "/dir/file", remote.Attr{MTime: &at, Mode: &mode})
	if s.Limits.NoTimes || s.Limits.NoModes {
		s.fails(err, "set time and mode", remote.Unsupported)
	} else if err != nil {
		s.t.Errorf("set time and mode: %v", err)
	}
	if !s.Limits.NoTimes {
		s.onServer("/dir/file", &at, nil)
	}
	if !s.Limits.NoModes {
		s.onServer("/dir/file", nil, &mode)
	}
	s.ok(s.Store.SetAttr(s.ctx, "/dir/file", remote.Attr{}), "set nothing")
	s.holds("/dir/file", content(10))

	if !s.Limits.NoTimes {
		s.fails(s.Store.SetAttr(s.ctx, "/missing", remote.Attr{MTime: &at}), "set the time of a missing file", remote.NotExist)
	}
	if !s.Limits.NoModes {
		s.fails(s.Store.SetAttr(s.ctx, "/missing", remote.Attr{Mode: &mode}), "set the mode of a missing file", remote.NotExist)
	}
	s.gone("/missing")
}

func (s *suite) setAttrDir() {
	s.mkdirs("/dir")
	s.put("/dir/file", content(10))
	at, mode := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC), uint32(0o750)
	err := s.Store.SetAttr(s.ctx, "/dir", remote.Attr{MTime: &at})
	if s.Limits.NoTimes || s.Limits.NoDirTimes {
		s.fails(err, "set the time of a directory", remote.Unsupported)
	} else {
		s.ok(err, "set the time of a directory")
		s.onServer("/dir", &at, nil)
	}
	// A directory that has no way is no verdict on files.
	if !s.Limits.NoTimes {
		s.ok(s.Store.SetAttr(s.ctx, "/dir/file", remote.Attr{MTime: &at}), "set the time of a file after a directory's")
		s.onServer("/dir/file", &at, nil)
	}
	err = s.Store.SetAttr(s.ctx, "/dir", remote.Attr{Mode: &mode})
	if s.Limits.NoModes {
		s.fails(err, "set the mode of a directory", remote.Unsupported)
	} else {
		s.ok(err, "set the mode of a directory")
		s.onServer("/dir", nil, &mode)
	}
	s.has("/dir", "file")
}

func (s *suite) statfs() {
	space, err := s.Store.Statfs(s.ctx)
	switch {
	case err != nil:
		s.fails(err, "statfs", remote.Unsupported)
	case space.Total < -1, space.Free < -1, space.Total >= 0 && space.Free > space.Total:
		s.t.Errorf("statfs: %+v", space)
	}
	if n := s.Store.Caps().MaxUploads; n < 1 {
		s.t.Errorf("MaxUploads is %d", n)
	}
	s.usable()
}
