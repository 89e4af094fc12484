package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/place"
	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// The store risks more with names it knows for ours, so it must know those that the
// cache makes.
func TestTheStoreKnowsTheNamesOfTheCache(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	tree, tag := treeOn(t, srv, func(*option.Options) {})
	n, h, _, err := tree.Create(t.Context(), tree.Root(), "file", 0o644, true, cache.OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Release()
	tree.Forget(n)
	if _, err := tree.Sync(t.Context(), "/", func(cache.Progress) {}); err != nil {
		t.Fatal(err)
	}
	stored := srv.Since(0).Verbs("STOR")
	if len(stored) != 1 || !strings.Contains(stored[0].Path, tag) {
		t.Errorf("uploads %v, want one to a name with %q in it", stored, tag)
	}
}

// treeOn is the tree of a mount of srv, and the tag in its temporary names.
func treeOn(t *testing.T, srv *ftpscript.Server, change func(*option.Options)) (*cache.Tree, string) {
	t.Helper()
	d := &Daemon{log: slog.New(slog.DiscardHandler), dirs: place.Dirs{Key: "key", State: t.TempDir(), Cache: t.TempDir()},
		cfg: Config{Target: target.Target{Host: srv.Host, Port: srv.Port, User: ftpscript.User}, Password: ftpscript.Password}}
	d.cfg.Options.Timeout, d.cfg.Options.DirCacheTime = 10*time.Second, time.Minute
	change(&d.cfg.Options)
	sc, err := StoreConfig(d.cfg, d.dirs.State, d.log)
	if err != nil {
		t.Fatal(err)
	}
	d.store = ftpconn.New(sc)
	t.Cleanup(func() { d.store.Close() })
	tree, err := d.openTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close(expired()) })
	return tree, sc.MountTag
}
