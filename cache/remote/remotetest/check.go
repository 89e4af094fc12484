package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"ftpfs/cache/remote"
)

var contents sync.Map // of []byte, by length

// content is n bytes that look like nothing else, the same for the same n; they
// are shared and not to be changed.
func content(n int) []byte {
	if b, ok := contents.Load(n); ok {
		return b.([]byte)
	}
	b := make([]byte, n)
	var seed [32]byte
	seed[0], seed[1], seed[2] = byte(n), byte(n>>8), byte(n>>16)
	rand.NewChaCha8(seed).Read(b)
	contents.Store(n, b)
	return b
}

// ok ends the test on an error of a step that the rest needs.
func (s *suite) ok(err error, format string, args ...any) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// fails checks that err is a *remote.Error of one of the kinds.
func (s *suite) fails(err error, what string, kinds ...remote.Kind) {
	s.t.Helper()
	if err == nil {
		s.t.Errorf("%s: no error; want kind %v", what, kinds)
		return
	}
	var e *remote.Error
	if !errors.As(err, &e) {
		s.t.Errorf("%s: %v (%T) is no *remote.Error", what, err, err)
		return
	}
	if !slices.Contains(kinds, remote.KindOf(err)) {
		s.t.Errorf("%s: %v\n is of kind %q, want %v", what, err, remote.KindOf(err), kinds)
	}
}

// refused checks that err is the server's refusal, of whatever kind: neither
// success nor a fault of the link, nor the claim that something is missing.
func (s *suite) refused(err error, what string) {
	s.t.Helper()
	if err == nil {
		s.t.Errorf("%s: no error", what)
	} else if k := remote.KindOf(err); k.Offline() || k == remote.Protocol || k == remote.NotExist || k == remote.Canceled {
		s.t.Errorf("%s: %v: kind %q for a refusal", what, err, k)
	}
}

func (s *suite) put(path string, data []byte) {
	s.t.Helper()
	s.ok(s.Store.Write(s.ctx, path, bytes.NewReader(data), 0, int64(len(data))), "write %q (%d bytes)", path, len(data))
}

func (s *suite) mkdirs(paths ...string) {
	s.t.Helper()
	for _, p := range paths {
		s.ok(s.Store.Mkdir(s.ctx, p), "mkdir %q", p)
	}
}

// read reads all of a file from an offset.
func (s *suite) read(ctx context.Context, path string, offset int64) ([]byte, error) {
	r, err := s.Store.Open(ctx, path, offset, nil)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// holds checks that a file has this content, by the Store and in truth.
func (s *suite) holds(path string, want []byte) {
	s.t.Helper()
	got, err := s.read(s.ctx, path, 0)
	if err != nil {
		s.t.Errorf("read %q: %v", path, err)
	} else if !bytes.Equal(got, want) {
		s.t.Errorf("%q reads as %s, want %s", path, brief(got), brief(want))
	}
	if s.Behind == nil {
		return
	}
	if got, err := s.Behind.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		s.t.Errorf("on the server %q is %s (%v), want %s", path, brief(got), err, brief(want))
	}
}

func brief(b []byte) string {
	if len(b) <= 16 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… (%d bytes)", b[:16], len(b))
}

// gone checks that a name is not there, by the Store and in truth.
func (s *suite) gone(path string) {
	s.t.Helper()
	_, err := s.Store.Stat(s.ctx, path)
	s.fails(err, fmt.Sprintf("stat %q, which is gone", path), remote.NotExist)
	if s.Behind != nil {
		if e, there := s.Behind.Stat(path); there {
			s.t.Errorf("on the server %q is still there: %+v", path, e)
		}
	}
}

// is checks the type of a name, by the Store and in truth.
func (s *suite) is(path string, want remote.EntryType) {
	s.t.Helper()
	if e, err := s.Store.Stat(s.ctx, path); err != nil || e.Type != want {
		s.t.Errorf("stat %q: type %v (%v), want %v", path, e.Type, err, want)
	}
	if s.Behind != nil {
		if e, there := s.Behind.Stat(path); !there || e.Type != want {
			s.t.Errorf("on the server %q is there: %v, type %v; want %v", path, there, e.Type, want)
		}
	}
}

// has checks that a directory lists exactly these names.
func (s *suite) has(dir string, want ...string) []remote.Entry {
	s.t.Helper()
	list, err := s.Store.List(s.ctx, dir)
	if err != nil {
		s.t.Errorf("list %q: %v", dir, err)
		return nil
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name)
	}
	sort.Strings(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		s.t.Errorf("list %q:\n got %q\nwant %q", dir, got, want)
	}
	return list
}

// usable checks that the store still works after trouble: connections may have
// been lost over it, an error may not.
func (s *suite) usable() {
	s.t.Helper()
	data := content(1000)
	s.put("/usable", data)
	s.holds("/usable", data)
	if _, err := s.Store.List(s.ctx, "/"); err != nil {
		s.t.Errorf("list / after trouble: %v", err)
	}
	s.ok(s.Store.Remove(s.ctx, "/usable"), "remove /usable")
}

// told checks that an entry's time is t, as exactly as it claims.
func (s *suite) told(e remote.Entry, t time.Time, from string) {
	s.t.Helper()
	want := remote.Version{Size: -1, MTime: t, MGrain: time.Second}
	got := remote.Version{Size: -1, MTime: e.MTime, MGrain: e.MGrain}
	if e.MGrain == 0 || got.Differs(want) {
		s.t.Errorf("%s tells the time of %q as %v (± %v), want %v", from, e.Name, e.MTime, e.MGrain, t)
	}
}
