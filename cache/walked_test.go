package cache

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// dirsOf is a mount of a server with directories of so many files in /d.
func dirsOf(t *testing.T, dirs, files int, o mem.Options) (*mem.Store, *mount) {
	t.Helper()
	store := mem.New(o)
	m := mountMem(t, store, func(c *Config) { c.DirCacheTime = 10 * time.Second })
	m.must(store.Disk().Mkdir("/d"))
	for d := range dirs {
		m.must(store.Disk().Mkdir(fmt.Sprintf("/d/%d", d)))
		for f := range files {
			m.must(store.Disk().WriteFile(fmt.Sprintf("/d/%d/f%02d", d, f), nil))
		}
	}
	return store, m
}

// counted counts the questions about what is below /d from now on, by operation.
func counted(store *mem.Store) (of func(op string) int) {
	var mu sync.Mutex
	n := map[string]int{}
	store.Hook(func(op, p string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == mem.OpList && path.Dir(p) == "/d" || op == mem.OpStat && path.Dir(path.Dir(p)) == "/d" {
			n[op]++
		}
		return nil
	})
	return func(op string) int {
		mu.Lock()
		defer mu.Unlock()
		return n[op]
	}
}

// asks looks up so many files of a directory, one by one.
func (m *mount) asks(dir, files int) {
	m.t.Helper()
	d, err := m.walk(fmt.Sprintf("/d/%d", dir))
	m.must(err)
	defer m.Forget(d)
	for f := range files {
		n, _, err := m.Lookup(m.t.Context(), d, fmt.Sprintf("f%02d", f))
		m.must(err)
		m.Forget(n)
	}
}

// Who goes through names that are known, as rsync and git status do, finds all directories listed
// again at the first question in one of them.
func TestWhoComesBackFindsDirectoriesListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs, files = 4, 30
		store, m := dirsOf(t, dirs, files, mem.Options{Ahead: 4})
		through := func() {
			t.Helper()
			for d := range dirs {
				m.asks(d, files)
				synctest.Wait()
			}
		}
		through()
		time.Sleep(11 * time.Second)
		count := counted(store)
		m.asks(1, 1)
		synctest.Wait()
		if n := count(mem.OpList); n != dirs {
			t.Errorf("%d directories are listed for the first question, want all %d", n, dirs)
		}
		through()
		if n := count(mem.OpList); n != dirs {
			t.Errorf("%d listings when all was asked for, want %d", n, dirs)
		}
		if n := count(mem.OpStat); n > 0 {
			t.Errorf("%d files were asked for beside that", n)
		}
	})
}

// Who was everywhere and begins again at the top finds what is below it listed.
func TestWhoBeginsAgainAtTheTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs, files = 4, 30
		store, m := dirsOf(t, dirs, files, mem.Options{Ahead: 4})
		for range walkedLeast { // of the directories, too
			for d := range dirs {
				m.asks(d, files)
			}
		}
		time.Sleep(11 * time.Second)
		count := counted(store)
		_, err := m.walk("/d/0")
		m.must(err)
		synctest.Wait()
		if n := count(mem.OpList); n != dirs {
			t.Errorf("%d directories below it are listed, want all %d", n, dirs)
		}
	})
}

// A server that lists nothing now is not asked for all again with each name.
func TestAFailureIsNotRepeatedForEachName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dirs = 4
		store, m := dirsOf(t, dirs, 30, mem.Options{Ahead: 4})
		for d := range dirs {
			m.asks(d, 30)
		}
		d, err := m.walk("/d/0")
		m.must(err)
		defer m.Forget(d)
		time.Sleep(11 * time.Second)
		var lists atomic.Int64
		store.Hook(func(op, p string) error {
			if op == mem.OpList {
				lists.Add(1)
			}
			return &remote.Error{Op: op, Path: p, Kind: remote.Permission}
		})
		for f := range 20 {
			if n, _, err := m.Lookup(t.Context(), d, fmt.Sprintf("f%02d", f)); err == nil {
				m.Forget(n)
			}
			synctest.Wait()
		}
		if lists := lists.Load(); lists > dirs+20 {
			t.Errorf("%d listings for 20 names of one directory", lists)
		}
	})
}

// wantOneAlone asks for one name of a directory after what is known has grown old, which is no reason to list.
func (m *mount) wantOneAlone() {
	m.t.Helper()
	time.Sleep(11 * time.Second)
	count := counted(m.store)
	m.asks(1, 1)
	synctest.Wait()
	if n := count(mem.OpList); n != 0 {
		m.t.Errorf("%d listings for one name", n)
	}
}

// For one name in a directory that was not walked, is too large or too new to tell, one question is asked.
func TestOneNameIsAskedForAlone(t *testing.T) {
	for what, c := range map[string]struct{ files, before int }{
		"few were asked for":  {30, walkedLeast - 1},
		"less than a quarter": {walkedLeast*4 + 4, walkedLeast},
		"too many":            {walkedMost + 1, walkedMost - 2},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, m := dirsOf(t, 2, c.files, mem.Options{Ahead: 4})
				for d := range 2 {
					m.asks(d, 2+c.before) // it is listed at the second
				}
				m.wantOneAlone()
			})
		})
	}
}

// What was walked long ago and is listed by who reads the directory now is not walked any more.
func TestAListingThatNobodyWalkedIsNotListedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := dirsOf(t, 2, 30, mem.Options{Ahead: 4})
		m.asks(0, 30)
		m.asks(1, 30)
		time.Sleep(11 * time.Second)
		m.names("/d/0")
		m.names("/d/1")
		m.wantOneAlone()
	})
}
