package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// row is a server with n small files in /d, and a mount of it that may fetch ahead.
func rowOf(t *testing.T, n int, change func(*Config)) (*mem.Store, *mount) {
	t.Helper()
	store := mem.New(mem.Options{Ahead: 4})
	m := mountMem(t, store, change)
	m.must(store.Disk().Mkdir("/d"))
	for i := range n {
		m.must(store.Disk().WriteFile(fmt.Sprintf("/d/f%02d", i), fmt.Appendf(nil, "file %d", i)))
	}
	m.names("/")
	m.names("/d")
	store.ResetCounts()
	return store, m
}

// heldWhole says whether all of a file is held.
func (m *mount) heldWhole(p string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, name := range strings.Split(strings.Trim(p, "/"), "/") {
		if n = n.kid(name); n == nil {
			return false
		}
	}
	if n.file == nil || n.file.cur == nil {
		return false
	}
	n.file.cur.mu.Lock()
	defer n.file.cur.mu.Unlock()
	return n.file.cur.wholeLocked()
}

// Who reads the files of a directory one after the other finds the next ones there, and
// each is fetched once.
func TestFilesAreFetchedAheadOfWhoReadsThemInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 12, nil)
		m.wantRead("/d/f00", "file 0")
		if n := store.Count(mem.OpOpen); n != 1 {
			t.Fatalf("%d transfers for one file", n)
		}
		m.wantRead("/d/f01", "file 1")
		m.until("the next ones are there", func() bool { return m.heldWhole("/d/f02") && m.heldWhole("/d/f05") })
		if m.heldWhole("/d/f06") {
			t.Error("more than the window is fetched")
		}
		stats := store.Count(mem.OpStat) + store.Count(mem.OpList)
		for i := 2; i < 12; i++ {
			m.wantRead(fmt.Sprintf("/d/f%02d", i), fmt.Sprintf("file %d", i))
		}
		if n := store.Count(mem.OpOpen); n != 12 {
			t.Errorf("%d transfers for 12 files", n)
		}
		if n := store.Count(mem.OpStat) + store.Count(mem.OpList) - stats; n != 0 {
			t.Errorf("%d questions about files that were fetched a moment ago", n)
		}
	})
}

// byNumber are the names of /d in the order of their inode numbers.
func (m *mount) byNumber() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.root.kid("d")
	var names []string
	for name := range d.list.ents.each() {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(m.inoLocked(d, a), m.inoLocked(d, b)) })
	return names
}

// cp sorts the names of a directory by their inode numbers.
func TestFilesAreFetchedAheadOfWhoReadsThemByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 40, nil)
		names := m.byNumber()
		place := func(i int) (n int) { fmt.Sscanf(names[i], "f%d", &n); return n }
		jumps := 0 // by name
		for i, name := range names {
			m.wantRead("/d/"+name, fmt.Sprintf("file %d", place(i)))
			if i == 0 || place(i) > place(i-1) && place(i) <= place(i-1)+1+aheadSkips { // the next one by name, too, by chance
				continue
			}
			if jumps++; jumps == 2 && i+3 < len(names) {
				m.until("the next ones are there", func() bool { return m.heldWhole("/d/"+names[i+1]) && m.heldWhole("/d/"+names[i+3]) })
			}
		}
		if jumps < 2 {
			t.Error("the order by number is the one by name")
		}
		if n := store.Count(mem.OpOpen); n != 40 {
			t.Errorf("%d transfers for 40 files", n)
		}
	})
}

// Who reads here and there, or backwards, gets nothing ahead.
func TestNothingIsFetchedAheadOfWhoJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 90
		store, m := rowOf(t, n, nil)
		names := m.byNumber()
		at, read := 0, 0
		for i := range n {
			i = (i * 37) % n
			place := slices.Index(names, fmt.Sprintf("f%02d", i))
			if place > at && place <= at+1+aheadSkips { // by chance
				continue
			}
			at = place
			m.wantRead(fmt.Sprintf("/d/f%02d", i), fmt.Sprintf("file %d", i))
			read++
		}
		m.ahead.wait(m)
		if n := store.Count(mem.OpOpen); n != read || read < 50 {
			t.Errorf("%d transfers for %d files", n, read)
		}
	})
}

// wait waits until nothing runs ahead.
func (a *ahead) wait(m *mount) {
	m.until("nothing runs ahead", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return a.running == 0
	})
}

// What was fetched ahead is as old as it is: who opens it later than dir_cache_time gets what
// the server has then.
func TestWhatWasFetchedAheadIsNotAnsweredWhenItIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 4, nil)
		m.wantRead("/d/f00", "file 0")
		m.wantRead("/d/f01", "file 1")
		m.until("the next one is there", func() bool { return m.heldWhole("/d/f03") })
		m.ahead.wait(m)
		m.must(store.Disk().WriteFile("/d/f03", []byte("theirs, and longer")))
		m.mu.Lock()
		n := m.root.kid("d")
		m.doubtLocked(n) // as after dir_cache_time
		m.mu.Unlock()
		m.wantRead("/d/f03", "theirs, and longer")
	})
}

// Of what was fetched ahead a moment longer ago than a reader may need, the server is asked
// whether it counts.
func TestWhatWasFetchedAheadIsConfirmedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := rowOf(t, 4, nil)
		m.wantRead("/d/f00", "file 0")
		m.wantRead("/d/f01", "file 1")
		m.until("the next one is there", func() bool { return m.heldWhole("/d/f02") })
		m.ahead.wait(m)
		c := m.fileAt("/d/f02").cur
		if !c.unconfirmed().IsZero() {
			t.Error("it is asked about at once")
		}
		c.mu.Lock()
		c.filled = c.filled.Add(-2 * confirmAfter)
		c.mu.Unlock()
		if c.unconfirmed().IsZero() {
			t.Error("it is taken for confirmed although it lay for a while")
		}
	})
}

// A reader that comes while its file waits to be fetched ahead has it hurried, and does not
// begin a second transfer.
func TestAReaderHurriesWhatIsFetchedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 6, nil)
		hold := store.HoldOp(mem.OpOpen, "/d/f02")
		m.wantRead("/d/f00", "file 0")
		m.wantRead("/d/f01", "file 1")
		<-hold.Arrived()
		read := make(chan error, 1)
		go func() {
			b, err := m.read("/d/f02")
			if err == nil && string(b) != "file 2" {
				err = fmt.Errorf("read %q", b)
			}
			read <- err
		}()
		m.until("the reader has joined", func() bool {
			f := m.fileAt("/d/f02")
			m.mu.Lock()
			defer m.mu.Unlock()
			return f.handles == 1
		})
		hold.Release()
		m.must(<-read)
		m.ahead.wait(m)
		if n := store.Count(mem.OpOpen); n != 6 {
			t.Errorf("%d transfers for 6 files", n)
		}
	})
}

// Where what is ahead never gets its turn, who asks for it does not wait for that.
func TestWhoAsksForWhatIsAheadGetsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Ahead: 3, Lazy: true})
		m := mountMem(t, store, nil)
		for i := range 6 {
			m.must(store.Disk().Mkdir(fmt.Sprintf("/d%d", i)))
			for j := range 4 {
				m.must(store.Disk().WriteFile(fmt.Sprintf("/d%d/f%d", i, j), []byte("x")))
			}
		}
		m.names("/")
		for i := range 6 {
			if got := m.names(fmt.Sprintf("/d%d", i)); len(got) != 4 {
				t.Errorf("/d%d has %q", i, got)
			}
			for j := range 4 {
				m.wantRead(fmt.Sprintf("/d%d/f%d", i, j), "x")
			}
		}
		if n := store.Count(mem.OpOpen); n != 24 {
			t.Errorf("%d transfers for 24 files", n)
		}
	})
}

// A name that is not among those listed comes second, and then somebody reads on elsewhere:
// the row that knows nothing yet asks for nothing.
func TestARowOfWhichNothingIsKnownAsksForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 6, func(c *Config) { c.PublishDelay = time.Hour })
		m.must(store.Disk().Mkdir("/e"))
		for i := range 6 {
			m.must(store.Disk().WriteFile(fmt.Sprintf("/e/f%02d", i), []byte("x")))
		}
		m.mu.Lock()
		m.doubtLocked(m.root)
		m.mu.Unlock()
		m.names("/")
		m.names("/e")
		m.must(m.write("/d/born", []byte("here")))
		m.wantRead("/d/f00", "file 0")
		m.wantRead("/d/born", "here")
		for i := range 6 {
			m.wantRead(fmt.Sprintf("/e/f%02d", i), "x")
		}
		m.ahead.wait(m)
	})
}

// A failure ahead is nobody's error, and ends the fetching.
func TestAFailureAheadIsNobodysError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 12, nil)
		m.wantRead("/d/f00", "file 0")
		var failed atomic.Int32
		store.Hook(func(op, p string) error {
			if op == mem.OpOpen && p > "/d/f01" && failed.Add(1) <= 4 {
				return &remote.Error{Op: op, Path: p, Kind: remote.Temporary}
			}
			return nil
		})
		m.wantRead("/d/f01", "file 1")
		m.ahead.wait(m)
		for i := 2; i < 12; i++ {
			m.wantRead(fmt.Sprintf("/d/f%02d", i), fmt.Sprintf("file %d", i))
		}
	})
}

// What was fetched ahead is given up with its file: it is removed, renamed and written like
// one of which nothing is held.
func TestWhatWasFetchedAheadGoesWithItsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 12, nil)
		for i := range 3 {
			m.wantRead(fmt.Sprintf("/d/f%02d", i), fmt.Sprintf("file %d", i))
		}
		m.until("the next ones are there", func() bool { return m.heldWhole("/d/f03") && m.heldWhole("/d/f05") })
		m.must(m.remove("/d/f03"))
		m.must(m.rename("/d/f04", "/d/g"))
		m.must(m.write("/d/f05", []byte("ours")))
		m.must(m.grow("/d/f06", []byte(", more")))
		m.sync()
		m.onServer("/d/g", "file 4")
		m.onServer("/d/f05", "ours")
		m.onServer("/d/f06", "file 6, more")
		if _, there := store.Disk().Stat("/d/f03"); there {
			t.Error("/d/f03 is still there")
		}
		m.ahead.wait(m)
	})
}

// Who lists directories one after the other finds the next listings there, at every depth.
func TestDirectoriesAreListedAheadOfAWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Ahead: 4})
		m := mountMem(t, store, nil)
		for i := range 20 {
			m.must(store.Disk().Mkdir(fmt.Sprintf("/d%02d", i)))
			m.must(store.Disk().WriteFile(fmt.Sprintf("/d%02d/f", i), []byte("x")))
		}
		m.names("/")
		m.names("/d00")
		m.until("the next ones are there", func() bool { return m.listedNow("d01") && m.listedNow("d04") })
		m.names("/d01")
		m.names("/d02")
		m.until("more are there", func() bool { return m.listedNow("d10") })
		for i := 3; i < 20; i++ {
			m.names(fmt.Sprintf("/d%02d", i))
		}
		m.ahead.wait(m)
		if n := store.Count(mem.OpList); n != 21 {
			t.Errorf("%d listings of 21 directories", n)
		}
	})
}

// What comes next is listed beside what is asked for, and not after it.
func TestTheNextDirectoriesAreListedWhileOneIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Ahead: 4})
		m := mountMem(t, store, nil)
		for i := range 6 {
			m.must(store.Disk().Mkdir(fmt.Sprintf("/d%d", i)))
		}
		m.names("/")
		first := store.HoldOp(mem.OpList, "/d0")
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.names("/d0")
		}()
		<-first.Arrived()
		m.until("the next four are there", func() bool { return m.listedNow("d1") && m.listedNow("d4") })
		first.Release()
		<-done
		m.ahead.wait(m)
		if n := store.Count(mem.OpList); n != 6 {
			t.Errorf("%d listings, want the root's, that of d0, and four ahead", n)
		}
	})
}

func (m *mount) listedNow(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root.kid(name)
	return n != nil && n.list != nil
}

// From one directory whose files are read to the next, reading ahead goes on.
func TestReadingAheadGoesOnInTheNextDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Ahead: 4})
		m := mountMem(t, store, nil)
		for i := range 4 {
			m.must(store.Disk().Mkdir(fmt.Sprintf("/d%d", i)))
			for j := range 4 {
				m.must(store.Disk().WriteFile(fmt.Sprintf("/d%d/f%d", i, j), []byte("x")))
			}
		}
		m.names("/")
		for i := range 3 {
			m.names(fmt.Sprintf("/d%d", i))
			if i == 2 {
				m.until("the first file is there before it is asked for", func() bool { return m.heldWhole("/d2/f0") })
			}
			for j := range 4 {
				m.wantRead(fmt.Sprintf("/d%d/f%d", i, j), "x")
			}
		}
		m.ahead.wait(m)
	})
}

// A mount that asks each time fetches nothing ahead: it would be too old at once.
func TestNothingIsAheadWhereNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 8, func(c *Config) { c.DirCacheTime = 0 })
		for i := range 4 {
			m.wantRead(fmt.Sprintf("/d/f%02d", i), fmt.Sprintf("file %d", i))
		}
		m.ahead.wait(m)
		if n := store.Count(mem.OpOpen); n != 4 {
			t.Errorf("%d transfers for 4 files", n)
		}
	})
}

// The daemon ends while something is fetched ahead.
func TestTheEndDoesNotWaitForWhatIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := rowOf(t, 8, nil)
		hold := store.HoldOp(mem.OpOpen, "/d/f02")
		m.wantRead("/d/f00", "file 0")
		m.wantRead("/d/f01", "file 1")
		<-hold.Arrived()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m.must(m.Tree.Close(ctx))
		m.Tree = nil
		hold.Release()
	})
}
