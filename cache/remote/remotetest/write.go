package remotetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"ftpfs/cache/remote"
)

var sizes = []int{0, 1, 2, 1000, 64 << 10, 1<<20 + 17, 16 << 20}

func (s *suite) write() {
	s.mkdirs("/dir")
	for _, n := range sizes {
		data := content(n)
		path := fmt.Sprintf("/dir/%d", n)
		s.put(path, data)
		s.holds(path, data)
		if e, err := s.Store.Stat(s.ctx, path); err != nil || e.Size != int64(n) {
			s.t.Errorf("a file of %d bytes: stat says %d, %v", n, e.Size, err)
		}
		// Of unknown length, from a reader that gives little at a time.
		s.ok(s.Store.Write(s.ctx, path, slow{bytes.NewReader(data)}, 0, -1), "write %d bytes of unknown length", n)
		s.holds(path, data)
	}
	// What is replaced is replaced from the beginning to the end.
	s.put("/dir/file", content(100_000))
	s.put("/dir/file", content(10))
	s.holds("/dir/file", content(10))
	s.put("/dir/file", nil)
	s.holds("/dir/file", nil)
}

// slow gives at most 6000 bytes at a time, and the last of them with io.EOF.
type slow struct{ r *bytes.Reader }

func (r slow) Read(p []byte) (int, error) {
	n, err := r.r.Read(p[:min(len(p), 6000)])
	if err == nil && r.r.Len() == 0 {
		err = io.EOF
	}
	return n, err
}

func (s *suite) writeFails() {
	s.mkdirs("/dir")
	s.put("/file", content(30))
	one := func() io.Reader { return strings.NewReader("x") }
	s.fails(s.Store.Write(s.ctx, "/missing/file", one(), 0, 1), "write in a missing directory", remote.NotExist)
	s.fails(s.Store.Write(s.ctx, "/dir", one(), 0, 1), "write to a directory", remote.IsDir)
	s.fails(s.Store.Write(s.ctx, "/file/x", one(), 0, 1), "write below a file", belowFile...)
	s.holds("/file", content(30))
	s.has("/dir")

	// The source fails: its error comes back, and the store is none the worse.
	broken := errors.New("the disk is gone")
	for _, n := range []int{0, 1, 100_000, 3 << 20} {
		r := io.MultiReader(bytes.NewReader(content(n)), failing{broken})
		err := s.Store.Write(s.ctx, "/broken", r, 0, int64(n)+10)
		if !errors.Is(err, broken) {
			s.t.Errorf("write from a source that fails after %d bytes: %v", n, err)
		}
		s.usable()
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// writeWrongSize: a source that gives less or more than was said is an error.
func (s *suite) writeWrongSize() {
	for _, c := range []struct{ gives, said int }{{10, 11}, {11, 10}, {0, 1}, {1, 0}, {1 << 20, 2 << 20}} {
		err := s.Store.Write(s.ctx, "/file", bytes.NewReader(content(c.gives)), 0, int64(c.said))
		if err == nil {
			s.t.Errorf("write of %d bytes announced as %d: no error", c.gives, c.said)
		} else if remote.KindOf(err).Offline() {
			s.t.Errorf("write of %d bytes announced as %d: %v", c.gives, c.said, err)
		}
		s.usable()
	}
}

func (s *suite) appendTo() {
	whole := content(200_000)
	s.put("/log", whole[:1000])
	err := s.Store.Write(s.ctx, "/log", bytes.NewReader(whole[1000:]), 1000, int64(len(whole)-1000))
	s.has("/", "log") // whatever the server was asked before
	if caps := s.Store.Caps(); s.Limits.NoAppend {
		s.fails(err, "append", remote.Unsupported)
		s.holds("/log", whole[:1000])
		if caps.Append {
			s.t.Errorf("a server that does not append is said to: %+v", caps)
		}
		return
	} else if !caps.Append || caps.NoAppend {
		s.t.Errorf("after an append that worked: %+v", caps)
	}
	s.ok(err, "append")
	s.holds("/log", whole)
	// Anywhere but at the end is refused, and nothing is changed.
	for _, at := range []int64{1, 100_000, 199_999, 200_001, 1 << 30} {
		s.fails(s.Store.Write(s.ctx, "/log", strings.NewReader("xyz"), at, 3), fmt.Sprintf("append at %d of %d bytes", at, len(whole)), remote.Changed)
		s.holds("/log", whole)
	}
	// Of unknown length, little by little.
	s.put("/log", whole[:1000])
	s.ok(s.Store.Write(s.ctx, "/log", slow{bytes.NewReader(whole[1000:])}, 1000, -1), "append of unknown length")
	s.holds("/log", whole)
	s.fails(s.Store.Write(s.ctx, "/missing", strings.NewReader("xyz"), 10, 3), "append to a missing file", remote.NotExist, remote.Changed)
	s.gone("/missing")
	s.put("/log", whole[:10]) // no offset is left over
	s.holds("/log", whole[:10])
}

func (s *suite) checksum() {
	s.mkdirs("/a dir")
	for _, n := range []int{0, 1, 1000, 1<<20 + 17} {
		data := content(n)
		path := fmt.Sprintf("/a dir/%d bytes", n)
		s.put(path, data)
		sum, err := s.Store.Checksum(s.ctx, path, int64(n))
		if s.Limits.NoSums {
			s.fails(err, "checksum", remote.Unsupported)
			continue
		}
		s.ok(err, "checksum of %d bytes", n)
		h := sum.Hash()
		if h == nil {
			s.t.Fatalf("checksum %+v is of no known kind", sum)
		}
		h.Write(data)
		if !bytes.Equal(sum.Sum, h.Sum(nil)) {
			s.t.Errorf("%d bytes: the server says %x, they have %s %x", n, sum.Sum, sum.Algorithm, h.Sum(nil))
		}
		_, err = s.Store.Checksum(s.ctx, path, int64(n)+1)
		s.fails(err, "checksum of a file of another size", remote.Changed)
	}
	if !s.Limits.NoSums {
		_, err := s.Store.Checksum(s.ctx, "/missing", 1)
		s.fails(err, "checksum of a missing file", remote.NotExist)
	}
	s.usable()
}
