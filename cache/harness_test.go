package cache

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// mount is a Tree over a server in memory, driven by paths.
type mount struct {
	*Tree
	t     *testing.T
	store *mem.Store
	cfg   Config
}

func testConfig(t *testing.T) Config {
	dir := t.TempDir()
	return Config{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"), Identity: "mem",
		DirCacheTime: time.Minute, PublishDelay: -1, Timeout: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}

func mountMem(t *testing.T, store *mem.Store, change func(*Config)) *mount {
	t.Helper()
	cfg := testConfig(t)
	if change != nil {
		change(&cfg)
	}
	m := &mount{t: t, store: store, cfg: cfg}
	m.open()
	t.Cleanup(func() { m.stop() })
	return m
}

func (m *mount) open() {
	m.t.Helper()
	tree, err := New(m.cfg, m.store)
	if err != nil {
		m.t.Fatalf("New: %v", err)
	}
	m.Tree = tree
}

// stop ends the daemon without waiting for what is owed.
func (m *mount) stop() {
	m.t.Helper()
	if m.Tree == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Tree.Close(ctx); err != nil {
		m.t.Errorf("Close: %v", err)
	}
	m.Tree = nil
}

// crash ends the daemon as kill -9 does: what it had on disk at that moment is
// taken up by another.
func (m *mount) crash() {
	m.t.Helper()
	at := filepath.Join(m.t.TempDir(), "state")
	if err := os.CopyFS(at, os.DirFS(m.cfg.StateDir)); err != nil {
		m.t.Fatal(err)
	}
	m.stop()
	m.cfg.StateDir = at
	m.open()
}

func (m *mount) walk(p string) (*Node, error) {
	ctx := context.Background()
	n := m.Root()
	m.Ref(n)
	for name := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
		if name == "" {
			continue
		}
		next, _, err := m.Lookup(ctx, n, name)
		m.Forget(n)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// with calls f with the directory of p, and p's last name.
func (m *mount) with(p string, f func(dir *Node, name string) error) error {
	dir, err := m.walk(path.Dir(p))
	if err != nil {
		return err
	}
	defer m.Forget(dir)
	return f(dir, path.Base(p))
}

func (m *mount) write(p string, data []byte) error {
	return m.with(p, func(dir *Node, name string) error {
		n, h, _, err := m.Create(context.Background(), dir, name, 0o644, false, OpenFlags{Write: true, Truncate: true})
		if err != nil {
			return err
		}
		defer m.Forget(n)
		defer h.Release()
		if _, err := h.WriteAt(context.Background(), data, 0); err != nil {
			return err
		}
		return h.Flush(context.Background())
	})
}

func (m *mount) openAt(p string, fl OpenFlags) (*Handle, error) {
	n, err := m.walk(p)
	if err != nil {
		return nil, err
	}
	defer m.Forget(n)
	return m.Open(context.Background(), n, fl)
}

func (m *mount) read(p string) ([]byte, error) {
	h, err := m.openAt(p, OpenFlags{Read: true})
	if err != nil {
		return nil, err
	}
	defer h.Release()
	return io.ReadAll(io.NewSectionReader(readerAt{h}, 0, 1<<40))
}

type readerAt struct{ h *Handle }

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.h.ReadAt(context.Background(), p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (m *mount) remove(p string) error {
	return m.with(p, func(d *Node, n string) error { return m.Unlink(context.Background(), d, n) })
}

func (m *mount) mkdir(p string) error {
	return m.with(p, func(d *Node, name string) error {
		n, _, err := m.Mkdir(context.Background(), d, name, 0o755)
		if err == nil {
			m.Forget(n)
		}
		return err
	})
}

func (m *mount) rmdir(p string) error {
	return m.with(p, func(d *Node, n string) error { return m.Rmdir(context.Background(), d, n) })
}

func (m *mount) rename(from, to string) error {
	return m.with(from, func(d *Node, n string) error {
		return m.with(to, func(e *Node, o string) error { return m.Rename(context.Background(), d, n, e, o, false) })
	})
}

func (m *mount) names(p string) []string {
	m.t.Helper()
	n, err := m.walk(p)
	if err != nil {
		m.t.Fatalf("walk %s: %v", p, err)
	}
	defer m.Forget(n)
	d, err := m.OpenDir(context.Background(), n)
	if err != nil {
		m.t.Fatalf("list %s: %v", p, err)
	}
	out := []string{}
	for i := range d.Len() {
		out = append(out, d.At(i).Name)
	}
	return out
}

// listDoubt lists p and returns what is said against the names being complete.
func (m *mount) listDoubt(p string) error {
	m.t.Helper()
	n, err := m.walk(p)
	m.must(err)
	defer m.Forget(n)
	d, err := m.OpenDir(context.Background(), n)
	m.must(err)
	return d.Doubt()
}

func (m *mount) sync() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // against hanging
	defer cancel()
	if out, err := m.Sync(ctx, "/", func(Progress) {}); out != AllThere || err != nil {
		m.t.Fatalf("Sync: outcome %v, err %v; status %+v", out, err, m.Status())
	}
}

// sweep lists every directory anew and waits until what interrupted uploads had left
// there is gone.
func (m *mount) sweep(ref *model) {
	m.t.Helper()
	left := func() bool {
		return slices.ContainsFunc(m.store.Disk().Paths(), func(p string) bool { return isTemp(path.Base(p)) })
	}
	for try := 0; left(); try++ {
		if try == 100 {
			m.t.Fatalf("temporary names are left on the server: %q", m.store.Disk().Paths())
		}
		for d := range ref.dirs {
			n, err := m.walk(d)
			m.must(err)
			m.mu.Lock()
			m.doubtLocked(n)
			m.mu.Unlock()
			m.Forget(n)
			m.names(d)
		}
	}
}

func (m *mount) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mount) wantRead(p, want string) {
	m.t.Helper()
	if got, err := m.read(p); err != nil || string(got) != want {
		m.t.Fatalf("read %s: got %.60q (%d bytes), err %v; want %.60q (%d bytes)", p, got, len(got), err, want, len(want))
	}
}

func (m *mount) wantKind(err error, want remote.Kind) {
	m.t.Helper()
	if !remote.Is(err, want) {
		m.t.Fatalf("got error %v, want kind %v", err, want)
	}
}

func (m *mount) onServer(p, want string) {
	m.t.Helper()
	if got, err := m.store.Disk().ReadFile(p); err != nil || string(got) != want {
		m.t.Fatalf("server's %s: got %.60q (%d bytes), err %v; want %.60q (%d bytes)", p, got, len(got), err, want, len(want))
	}
}
