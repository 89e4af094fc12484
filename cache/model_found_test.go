package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// What the model found, each shrunk to the steps that showed it.

// The server has a file now where a directory with an owed file in it was.
func TestOwedStaysOwedWhenItsDirectoryBecameAFile(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.mkdir("/d"))
	m.must(store.Disk().RemoveAll("/d"))
	m.must(store.Disk().WriteFile("/d", []byte("theirs")))
	m.must(m.write("/d/f", []byte("ours")))
	m.stop()
	m.open()
	if _, err := m.walk("/d"); err != nil {
		m.wantKind(err, remote.NotDir)
	}
	m.wantRead("/d/f", "ours")
	if s := m.Status(); s.Parked+s.OwedFiles != 1 {
		t.Errorf("status says nothing of the file that cannot be sent: %+v", s)
	}
	// An attempt that had begun before the retry would still end with a refusal.
	if out, err := m.Sync(context.Background(), "/", func(Progress) {}); out != SomeParked || err != nil {
		t.Fatalf("Sync with a file in the way: outcome %v, err %v", out, err)
	}
	m.must(store.Disk().RemoveAll("/d"))
	if n, err := m.Retry("/"); n != 1 || err != nil {
		t.Fatalf("Retry: %d, %v", n, err)
	}
	m.sync()
	m.onServer("/d/f", "ours")
}

// A rename whose answer is lost, and which had not happened, is settled by looking. The
// target was there all along, and another client takes the old name away.
func TestARenameThatWasNotIsNotTakenForDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(m.write("/to", []byte("the target")))
		m.must(m.write("/from", []byte("the source")))
		m.sync()
		var asked atomic.Bool // for the rename
		broken := errors.New("no upload now")
		store.Hook(func(op, _ string) error {
			switch op {
			case mem.OpWrite:
				return &remote.Error{Kind: remote.Temporary, Err: broken}
			case mem.OpRename:
				asked.Store(true)
				return &remote.Error{Kind: remote.Down}
			case mem.OpStat:
				if asked.Load() {
					return &remote.Error{Kind: remote.Timeout}
				}
			}
			return nil
		})
		m.must(m.write("/from", []byte("the source, edited")))
		m.wantKind(m.rename("/from", "/to"), remote.Down)
		m.must(m.write("/to", []byte("the target, written after the rename had failed")))
		m.must(store.Disk().Rename("/from", "/elsewhere"))
		store.Hook(nil)
		time.Sleep(10 * time.Minute)
		m.sync()
		m.onServer("/to", "the target, written after the rename had failed")
		m.onServer("/from", "the source, edited")
		m.onServer("/elsewhere", "the source")
	})
}

// What a rename in doubt went from is below a file now.
func TestARenameInDoubtIsSettledThoughItsDirectoryBecameAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(m.mkdir("/d"))
		m.must(m.write("/d/f", []byte("first")))
		m.sync()
		m.must(m.write("/d/f", []byte("ours")))
		store.Hook(func(op, _ string) error {
			if op == mem.OpRename || op == mem.OpStat {
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.wantKind(m.rename("/d/f", "/g"), remote.Down)
		m.must(store.Disk().RemoveAll("/d"))
		m.must(store.Disk().WriteFile("/d", []byte("theirs")))
		m.stop()
		store.Hook(nil)
		m.open()
		m.must(m.write("/other", []byte("must get there")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		m.Sync(ctx, "/other", func(Progress) {})
		m.onServer("/other", "must get there")
	})
}

// Setting a time here, of a file that another client has just changed, hides neither the
// change nor its time.
func TestASetTimeDoesNotHideAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.must(m.write("/same", []byte("before")))
		m.must(m.write("/longer", []byte("before")))
		m.sync()
		m.names("/")
		time.Sleep(30 * time.Second)
		m.must(store.Disk().WriteFile("/same", []byte("after!")))
		m.must(store.Disk().WriteFile("/longer", []byte("after, and longer")))
		at, mode := time.Unix(1_000_000_000, 0), uint32(0o600)
		for p, s := range map[string]Set{"/same": {MTime: &at}, "/longer": {Mode: &mode}} {
			n, err := m.walk(p)
			m.must(err)
			_, err = m.SetAttr(t.Context(), n, nil, s)
			m.must(err)
			m.Forget(n)
		}
		m.wantRead("/same", "after!")
		time.Sleep(31 * time.Second)
		m.wantRead("/longer", "after, and longer")
	})
}

// An old version stepped aside in a directory that is a file now.
func TestABrokenOffReplacementIsSettledThoughItsDirectoryBecameAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{NoReplace: true})
		m := mountMem(t, store, nil)
		m.must(m.mkdir("/d"))
		m.must(m.write("/d/f", []byte("first")))
		m.sync()
		store.HookAfter(func(op, _ string) error {
			if op == mem.OpRename {
				store.SetOnline(false)
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.must(m.write("/d/f", []byte("ours")))
		synctest.Wait()
		m.must(store.Disk().RemoveAll("/d"))
		m.must(store.Disk().WriteFile("/d", []byte("theirs")))
		m.stop()
		store.HookAfter(nil)
		store.SetOnline(true)
		m.open()
		m.must(m.write("/other", []byte("must get there")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		m.Sync(ctx, "/other", func(Progress) {})
		m.onServer("/other", "must get there")
	})
}

// What is renamed was removed on the server since it was listed.
func TestAnOldNameRemovedElsewhereIsGoneAfterARename(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/old", []byte("theirs")))
	m.names("/")
	m.must(m.write("/old", []byte("ours")))
	m.must(store.Disk().RemoveAll("/old"))
	m.must(m.rename("/old", "/new"))
	if got := m.names("/"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("after the rename the directory has %q", got)
	}
}

// Another client made a directory where a file is to be replaced, on a server that cannot
// rename over: it does not vanish under a hidden name.
func TestADirectoryNeverStepsAsideForAFile(t *testing.T) {
	store := mem.New(mem.Options{NoReplace: true})
	m := mountMem(t, store, nil)
	m.must(m.write("/f", []byte("ours")))
	m.sync()
	m.names("/")
	m.must(store.Disk().Mkdir("/d"))
	m.must(store.Disk().WriteFile("/d/theirs", []byte("theirs")))
	m.wantKind(m.rename("/f", "/d"), remote.IsDir)
	m.onServer("/d/theirs", "theirs")
	m.onServer("/f", "ours")
}

// The answer to a setting of a file's time is lost while the file is open.
func TestATimeSetWithoutAnAnswerIsNoConflict(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(m.write("/f", []byte("first")))
	m.sync()
	h, err := m.openAt("/f", OpenFlags{Read: true, Write: true})
	m.must(err)
	defer h.Release()
	store.HookAfter(func(op, _ string) error {
		if op == mem.OpSetAttr {
			return &remote.Error{Kind: remote.Timeout}
		}
		return nil
	})
	n, err := m.walk("/f")
	m.must(err)
	at := time.Unix(1_000_000_000, 0)
	_, err = m.SetAttr(t.Context(), n, nil, Set{MTime: &at})
	m.must(err)
	m.Forget(n)
	_, err = h.WriteAt(t.Context(), []byte("FIRST"), 0)
	m.must(err)
	m.must(h.Flush(t.Context()))
	m.sync()
	m.onServer("/f", "FIRST")
}

// A replacement was broken off after the old version had stepped aside: what is removed
// then does not come back.
func TestWhatStoodAsideDoesNotComeBackAfterItsRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{NoReplace: true})
		m := mountMem(t, store, nil)
		m.must(m.write("/f", []byte("first")))
		m.sync()
		store.HookAfter(func(op, _ string) error {
			if op == mem.OpRename {
				store.Hook(func(op, p string) error {
					if op == mem.OpStat && p != "/f" {
						return &remote.Error{Kind: remote.Temporary}
					}
					return nil
				})
				return &remote.Error{Kind: remote.Protocol}
			}
			return nil
		})
		m.must(m.write("/f", []byte("second")))
		synctest.Wait()
		first := m.remove("/f")
		store.Hook(nil)
		store.HookAfter(nil)
		time.Sleep(time.Minute)
		if first != nil {
			m.must(m.remove("/f"))
		}
		time.Sleep(10 * time.Minute)
		if got := store.Disk().Paths(); len(got) != 0 {
			t.Errorf("what was removed is back: %q", got)
		}
	})
}

// The server does not have yet what is renamed, and cannot be asked whether it has.
func TestARenameOfAnOwedFileIsNeverENOENT(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/old", []byte("theirs")))
	m.names("/")
	m.must(m.write("/old", []byte("ours")))
	m.must(store.Disk().RemoveAll("/old"))
	store.Hook(func(op, _ string) error {
		if op == mem.OpStat {
			return &remote.Error{Kind: remote.Protocol}
		}
		return nil
	})
	if err := m.rename("/old", "/new"); err == nil || remote.Is(err, remote.NotExist) {
		t.Errorf("rename: %v; want an error, and not that it does not exist", err)
	}
	store.Hook(nil)
}

// A replacement was broken off after the old version had stepped aside: neither what is
// renamed then nor its directory leaves the old version behind.
func TestWhatStoodAsideGoesAlongWithARename(t *testing.T) {
	for _, c := range []struct{ from, to, file string }{{"/d/f", "/d/g", "/d/g"}, {"/d", "/e", "/e/f"}} {
		t.Run(c.from, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mem.New(mem.Options{NoReplace: true})
				m := mountMem(t, store, nil)
				m.must(m.mkdir("/d"))
				m.must(m.write("/d/f", []byte("first")))
				m.sync()
				aside := false
				store.Hook(func(op, p string) error {
					switch {
					case aside && (op == mem.OpPublish || (op == mem.OpStat || op == mem.OpRename) && strings.Contains(p, tempPrefix)):
						return &remote.Error{Kind: remote.Temporary}
					case op == mem.OpRename && stepsAside(op, p):
						aside = true
					}
					return nil
				})
				m.must(m.write("/d/f", []byte("second")))
				synctest.Wait()
				if !aside {
					t.Fatal("the old version has not stepped aside")
				}
				if first := m.rename(c.from, c.to); first != nil {
					store.Hook(nil)
					time.Sleep(time.Minute)
					m.must(m.rename(c.from, c.to))
				}
				store.Hook(nil)
				time.Sleep(10 * time.Minute)
				m.sync()
				m.onServer(c.file, "second")
				files := slices.DeleteFunc(store.Disk().Paths(), func(p string) bool { return strings.HasSuffix(p, "/") })
				if !slices.Equal(files, []string{c.file}) {
					t.Errorf("the server has %q, want %s alone", files, c.file)
				}
			})
		})
	}
}

// The model itself: a name that is edited again and again while it may be several things
// is known by each of them once. (Doubled at each edit they filled the memory, and the run
// seemed to stand still.)
func TestModelKeepsEachValueOnce(t *testing.T) {
	w := &world{s: &storm{lost: map[string]bool{}}, top: "/", places: map[string]*place{}, loose: map[string]bool{}}
	w.maybe("/f", absent)
	for n := range 20 {
		may := w.may("/f")
		w.ours("/f", value{'f', strings.Repeat("x", n)}, nil)
		w.built("/f", false, may)
	}
	if may := w.may("/f"); len(may) > 22 {
		t.Errorf("after 20 edits a name may be %d things, want no more than 22", len(may))
	}
}

// The model itself: of a patch whose base somebody changed only the patch is kept, also
// where the file was renamed meanwhile; that is no loss.
func TestModelGivesAPatchUpUnderItsNewName(t *testing.T) {
	for _, kind := range []string{"rename", "renamedir"} {
		t.Run(kind, func(t *testing.T) { aPatchIsGivenUp(t, kind) })
	}
}

func aPatchIsGivenUp(t *testing.T, kind string) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := newStorm(plan{worlds: 1}, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		w := s.worlds[0]
		s.ever[sumOf("")] = true
		for _, o := range []op{{kind: "mkdir", p: "/d"}, {kind: "theirwrite", p: "/d/a", n: 1, seed: 1}, {kind: "sleep"}} {
			if err := w.do(o); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		s.store.Hook(func(op, _ string) error {
			if op == mem.OpOpen {
				return &remote.Error{Kind: remote.Permission, Text: "by the test"}
			}
			return nil
		})
		from, to := "/d/a", "/b"
		if kind == "renamedir" {
			from, to = "/d", "/e"
		}
		steps := []op{{kind: "append", p: "/d/a", n: 1, seed: 2}, {kind: "theirwrite", p: "/d/a", n: 2, seed: 3}, {kind: kind, p: from, q: to}}
		for _, o := range steps {
			if err := w.do(o); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.alive) != 2 {
			t.Fatalf("%d contents must be kept, want theirs and ours", len(s.alive))
		}
		s.store.Hook(nil)
		if err := s.settle(); err != nil {
			t.Error(err)
		}
	})
}
