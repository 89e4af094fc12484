package mem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// The cache finds these by this interface.
var _ interface {
	Health() (bool, time.Time, error)
	OnHealth(func(up bool))
} = (*mem.Store)(nil)

func write(t *testing.T, s *mem.Store, path, data string) {
	t.Helper()
	if err := s.Write(t.Context(), path, strings.NewReader(data), 0, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func TestHooks(t *testing.T) {
	s := mem.New(mem.Options{})
	var asked []string
	s.Hook(func(op, path string) error {
		asked = append(asked, op+" "+path)
		if op == mem.OpMkdir {
			return &remote.Error{Kind: remote.NoSpace, Code: 552, Text: "quota"}
		}
		return nil
	})
	err := s.Mkdir(t.Context(), "/d")
	if want := "mkdir /d: no space (552 quota)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, there := s.Disk().Stat("/d"); there {
		t.Error("a refused mkdir made a directory")
	}
	write(t, s, "/f", "abc")
	if want := []string{"mkdir /d", "write /f", "data /f"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	s.Hook(nil)
	s.HookAfter(func(op, path string) error { return &remote.Error{Kind: remote.Down} })
	if err := s.Rename(t.Context(), "/f", "/g"); !remote.Is(err, remote.Down) {
		t.Errorf("lost reply: %v", err)
	}
	if got, err := s.Disk().ReadFile("/g"); err != nil || string(got) != "abc" {
		t.Errorf("after a lost reply: %q, %v", got, err)
	}
	if got := s.Count(mem.OpMkdir) + s.Count(mem.OpRename); got != 2 {
		t.Errorf("counted %d", got)
	}
	plain := errors.New("plain")
	s.Hook(func(string, string) error { return plain })
	if _, err := s.List(t.Context(), "/"); !errors.Is(err, plain) || remote.KindOf(err) != remote.Unknown {
		t.Errorf("a plain error comes back as %v", err)
	}
}

func TestHold(t *testing.T) {
	s := mem.New(mem.Options{})
	h := s.HoldOp(mem.OpMkdir, "/d")
	done := make(chan error)
	go func() { done <- s.Mkdir(context.Background(), "/d") }()
	if p := <-h.Arrived(); p != "/d" {
		t.Errorf("held %q", p)
	}
	if _, there := s.Disk().Stat("/d"); there {
		t.Error("a held mkdir has an effect")
	}
	if err := s.Mkdir(t.Context(), "/e"); err != nil { // others pass
		t.Error(err)
	}
	h.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}

	h = s.HoldOp(mem.OpRmdir, "/d")
	for name, end := range map[string]func(cancel func()){
		"canceled": func(cancel func()) { cancel() },
		"cut":      func(func()) { s.SetOnline(false) },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { done <- s.Rmdir(ctx, "/d") }()
		<-h.Arrived()
		end(cancel)
		if err := <-done; err == nil {
			t.Errorf("%s: a held operation succeeded", name)
		}
		s.SetOnline(true)
		cancel()
	}
	if _, there := s.Disk().Stat("/d"); !there {
		t.Error("a held rmdir had an effect")
	}
	go func() { done <- s.Rmdir(context.Background(), "/d") }()
	<-h.Arrived()
	_ = s.Close()
	if err := <-done; !remote.Is(err, remote.Canceled) {
		t.Errorf("held while the store was closed: %v", err)
	}
}

// TestCutUpload: a link lost in the middle leaves what had come, as a server does.
func TestCutUpload(t *testing.T) {
	s := mem.New(mem.Options{})
	write(t, s, "/f", "the old content")
	var health []bool
	s.OnHealth(func(up bool) { health = append(health, up) })
	var states []int64
	stop := s.Disk().Watch(func(path string, size int64) { states = append(states, size) })
	chunks := 0
	s.Hook(func(op, _ string) error {
		if op == mem.OpData {
			if chunks++; chunks == 3 {
				s.SetOnline(false)
			}
		}
		return nil
	})
	err := s.Write(t.Context(), "/f", bytes.NewReader(make([]byte, 1<<20)), 0, 1<<20)
	if !remote.Is(err, remote.Down) {
		t.Errorf("write over a link that is cut: %v", err)
	}
	stop()
	if want := []int64{0, 32 << 10, 64 << 10}; !slices.Equal(states, want) {
		t.Errorf("the file had the sizes %v, want %v", states, want)
	}
	if up, _, err := s.Health(); up || !remote.Is(err, remote.Down) {
		t.Errorf("health: %v, %v", up, err)
	}
	if _, err := s.Stat(t.Context(), "/f"); !remote.Is(err, remote.Down) {
		t.Errorf("stat while down: %v", err)
	}
	s.SetOnline(true)
	s.SetOnline(true)
	if !slices.Equal(health, []bool{false, true}) {
		t.Errorf("told %v", health)
	}
}

// TestQuota: space counts once, also over replacement and deletion.
func TestQuota(t *testing.T) {
	s := mem.New(mem.Options{Quota: 100})
	write(t, s, "/a", strings.Repeat("a", 60))
	err := s.Write(t.Context(), "/b", strings.NewReader(strings.Repeat("b", 60)), 0, 60)
	if !remote.Is(err, remote.NoSpace) {
		t.Errorf("write past the quota: %v", err)
	}
	if got, _ := s.Disk().ReadFile("/b"); len(got) != 40 {
		t.Errorf("a full disk took %d bytes", len(got))
	}
	if space, err := s.Statfs(t.Context()); err != nil || space != (remote.Space{Total: 100, Free: 0}) {
		t.Errorf("statfs: %+v, %v", space, err)
	}
	if err := s.Rename(t.Context(), "/b", "/a"); err != nil {
		t.Fatal(err)
	}
	if got := s.Disk().Used(); got != 40 {
		t.Errorf("after a replacement %d bytes are used", got)
	}
	if err := s.Remove(t.Context(), "/a"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "/c", strings.Repeat("c", 100))
	write(t, s, "/c", strings.Repeat("c", 100))
	if got := s.Disk().Used(); got != 100 {
		t.Errorf("%d bytes are used", got)
	}
}

// TestWatchPublish: a name replaced is never seen missing or in part.
func TestWatchPublish(t *testing.T) {
	s := mem.New(mem.Options{})
	var states []int64
	s.Disk().Watch(func(path string, size int64) {
		if path == "/final" {
			states = append(states, size)
		}
	})
	for _, size := range []int{200_000, 100_000} {
		write(t, s, "/tmp", strings.Repeat("x", size))
		if _, err := s.Publish(t.Context(), "/tmp", remote.Publish{Path: "/final", Size: int64(size), Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int64{200_000, 100_000}; !slices.Equal(states, want) {
		t.Errorf("/final had the sizes %v, want %v", states, want)
	}
}

// TestSecondClient: what another client does shows at once, also to a reader.
func TestSecondClient(t *testing.T) {
	s := mem.New(mem.Options{Unique: true})
	other := mem.Dial(s.Disk(), mem.Options{})
	write(t, s, "/f", strings.Repeat("1", 100_000))
	r, err := s.Open(t.Context(), "/f", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	write(t, other, "/f", strings.Repeat("2", 1500))
	if rest, err := io.ReadAll(r); err != nil || string(rest) != strings.Repeat("2", 500) {
		t.Errorf("a reader of a file that was rewritten got %d bytes, %v", len(rest), err)
	}
	if n := s.Readers(); n != 1 {
		t.Errorf("%d readers", n)
	}
	_ = r.Close()
	_ = r.Close()
	if n := s.Readers(); n != 0 {
		t.Errorf("%d readers after close", n)
	}
	if err := s.Disk().RemoveAll("/"); err != nil || len(s.Disk().Paths()) != 0 || s.Disk().Used() != 0 {
		t.Errorf("after RemoveAll: %v, %q, %d bytes", err, s.Disk().Paths(), s.Disk().Used())
	}
}
