package remotetest

import (
	"bytes"
	"io"
	"time"

	"ftpfs/cache/remote"
)

func (s *suite) open() {
	s.mkdirs("/dir")
	data := content(1<<20 + 17)
	s.put("/file", data)
	s.put("/one", content(1))
	s.put("/none", nil)
	for _, at := range []int{0, 1, 1000, 1 << 19, len(data) - 1, len(data), len(data) + 1, len(data) + 1<<20} {
		got, err := s.read(s.ctx, "/file", int64(at))
		if want := data[min(at, len(data)):]; err != nil || !bytes.Equal(got, want) {
			s.t.Errorf("read from %d of %d: %s, %v; want %s", at, len(data), brief(got), err, brief(want))
		}
	}
	for _, at := range []int64{0, 1, 2} {
		if got, err := s.read(s.ctx, "/none", at); err != nil || len(got) != 0 {
			s.t.Errorf("read an empty file from %d: %s, %v", at, brief(got), err)
		}
		if got, err := s.read(s.ctx, "/one", at); err != nil || len(got) != max(0, 1-int(at)) {
			s.t.Errorf("read a file of one byte from %d: %s, %v", at, brief(got), err)
		}
	}
	for _, at := range []int64{0, 10} {
		_, err := s.Store.Open(s.ctx, "/missing", at, nil)
		s.fails(err, "open a missing file", remote.NotExist)
		_, err = s.Store.Open(s.ctx, "/missing/file", at, nil)
		s.fails(err, "open in a missing directory", remote.NotExist)
		_, err = s.Store.Open(s.ctx, "/dir", at, nil)
		s.fails(err, "open a directory", remote.IsDir)
		_, err = s.Store.Open(s.ctx, "/file/x", at, nil)
		s.fails(err, "open below a file", belowFile...)
	}
	s.put("/after", content(50)) // no offset of a refused open is left over
	s.holds("/after", content(50))

	// EOF stays, and so does being closed.
	r, err := s.Store.Open(s.ctx, "/one", 0, nil)
	s.ok(err, "open")
	if _, err := io.ReadAll(r); err != nil {
		s.t.Errorf("read: %v", err)
	}
	if n, err := r.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		s.t.Errorf("read after EOF: %d, %v", n, err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	}
}

// openEarlyClose: a transfer broken off leaves nothing behind for the next one.
func (s *suite) openEarlyClose() {
	data := content(4 << 20)
	s.put("/file", data)
	s.put("/small", content(100))
	for i := range 40 {
		at := i * 70_001 % len(data)
		r, err := s.Store.Open(s.ctx, "/file", int64(at), nil)
		s.ok(err, "open number %d, at %d", i, at)
		buf := make([]byte, []int{0, 1, 4096, 300_000}[i%4])
		if n, err := io.ReadFull(r, buf); err != nil && at+len(buf) <= len(data) {
			s.t.Errorf("read %d bytes at %d: %d, %v", len(buf), at, n, err)
		} else if !bytes.Equal(buf[:n], data[at:at+n]) {
			s.t.Errorf("at %d the file reads as %s", at, brief(buf[:n]))
		}
		if err := r.Close(); err != nil {
			s.t.Errorf("close before EOF: %v", err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			s.t.Errorf("read after close: %d, %v", n, err)
		}
		switch i % 5 {
		case 0:
			s.has("/", "file", "small")
		case 1:
			s.holds("/small", content(100))
		case 2:
			s.put("/small", content(100))
		case 3:
			if _, err := s.Store.Stat(s.ctx, "/file"); err != nil {
				s.t.Errorf("stat after an early close: %v", err)
			}
		}
	}
	s.holds("/file", data)
}

func (s *suite) openExpect() {
	data := content(100_000)
	s.put("/file", data)
	e, err := s.Store.Stat(s.ctx, "/file")
	s.ok(err, "stat")
	right := e.Version()
	for _, at := range []int64{0, 1000, 100_000} {
		r, err := s.Store.Open(s.ctx, "/file", at, &right)
		s.ok(err, "open at %d with the version from stat", at)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[at:]) {
			s.t.Errorf("read at %d: %s, %v", at, brief(got), err)
		}
		s.ok(r.Close(), "close")
		unsaid := remote.Version{Size: -1}
		r, err = s.Store.Open(s.ctx, "/file", at, &unsaid)
		s.ok(err, "open at %d with a version that says nothing", at)
		s.ok(r.Close(), "close")

		larger := right
		larger.Size += 5
		_, err = s.Store.Open(s.ctx, "/file", at, &larger)
		s.fails(err, "open expecting another size", remote.Changed)
		older := right
		older.MTime, older.MGrain = right.MTime.Add(-72*time.Hour), time.Second
		_, err = s.Store.Open(s.ctx, "/file", at, &older)
		s.fails(err, "open expecting an older file", remote.Changed)
		_, err = s.Store.Open(s.ctx, "/missing", at, &right)
		s.fails(err, "open a missing file, expecting one", remote.NotExist, remote.Changed)
	}
	for _, e := range s.has("/", "file") {
		v := e.Version()
		r, err := s.Store.Open(s.ctx, "/file", 0, &v)
		s.ok(err, "open with the version from the listing")
		s.ok(r.Close(), "close")
	}
	s.put("/file", data[:99_999])
	_, err = s.Store.Open(s.ctx, "/file", 0, &right)
	s.fails(err, "open a file that has become shorter", remote.Changed)
	s.holds("/file", data[:99_999])
}
