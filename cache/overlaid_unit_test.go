package cache

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/overlay"
	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

func overlaidTree(t *testing.T) (*Tree, *Node) {
	t.Helper()
	return &Tree{overlay: overlay.New(filepath.Join(t.TempDir(), "overlay"), 1000)}, &Node{}
}

// What was set lies over what it was set for, and over nothing else of that name; and what
// the server tells more exactly counts from then on.
func TestWhatWasSetIsShownOverItsVersionOnly(t *testing.T) {
	at := time.Unix(1_700_000_040, 0) // a full minute
	const shown = 77
	set := overlay.Attr{Over: remote.Version{Size: 5, MTime: at, MGrain: time.Second}, HasMTime: true, MTime: shown, Under: -1}
	with := func(change func(*overlay.Attr)) overlay.Attr {
		a := set
		change(&a)
		return a
	}
	setDir := with(func(a *overlay.Attr) { a.Dir, a.Over.Size = true, -1 })
	byMinute := with(func(a *overlay.Attr) { a.Over.MGrain = time.Minute })
	file := remote.Entry{Type: remote.File, Size: 5, MTime: at, MGrain: time.Second}
	as := func(typ remote.EntryType, change func(*remote.Entry)) remote.Entry {
		e := file
		e.Type = typ
		if change != nil {
			change(&e)
		}
		return e
	}
	later := func(e *remote.Entry) { e.MTime = at.Add(time.Minute) }
	id := func(s string) func(*remote.Entry) { return func(e *remote.Entry) { e.Unique = s } }
	for what, c := range map[string]struct {
		set   overlay.Attr
		told  []remote.Entry // one after the other; the last counts
		shown bool
	}{
		"the same":                        {set, []remote.Entry{file}, true},
		"later":                           {set, []remote.Entry{as(remote.File, later)}, false},
		"of another size":                 {set, []remote.Entry{as(remote.File, func(e *remote.Entry) { e.Size = 6 })}, false},
		"a directory where a file was":    {set, []remote.Entry{as(remote.Dir, nil)}, false},
		"a file where a directory was":    {setDir, []remote.Entry{file}, false},
		"a link where a file was":         {set, []remote.Entry{as(remote.Symlink, nil)}, false},
		"a directory":                     {setDir, []remote.Entry{as(remote.Dir, nil)}, true},
		"a directory that is larger now":  {setDir, []remote.Entry{as(remote.Dir, func(e *remote.Entry) { e.Size = 4096 })}, true},
		"a directory that was changed":    {setDir, []remote.Entry{as(remote.Dir, later)}, false},
		"within its minute":               {byMinute, []remote.Entry{as(remote.File, func(e *remote.Entry) { e.MTime = at.Add(20 * time.Second) })}, true},
		"a second later, now it is exact": {byMinute, []remote.Entry{file, as(remote.File, func(e *remote.Entry) { e.MTime = at.Add(time.Second) })}, false},
		"of another id, now it has one":   {set, []remote.Entry{as(remote.File, id("a")), as(remote.File, id("b"))}, false},
		"of the same id":                  {set, []remote.Entry{as(remote.File, id("a")), as(remote.File, id("a"))}, true},
		"as before, after it was another": {set, []remote.Entry{as(remote.File, later), file}, false},
	} {
		tree, _ := overlaidTree(t)
		tree.overlay.Set("/", "n", c.set)
		var e entry
		for i := range c.told {
			told := packEntry(&c.told[i])
			e = told
			e.setShown(99) // inherited from what was known before
			if _, ok := tree.overlay.Get("/", "n"); !ok {
				e.flags &^= shownSet // as nothing is
			}
			tree.overlaidLocked("/", "n", &told, &e)
		}
		if got := e.flags&shownSet != 0; got != c.shown || got && e.shown() != shown {
			t.Errorf("%s: shown %v (%d), want %v", what, got, e.shown(), c.shown)
		}
	}
}

// What is taken down says which version it is for: a directory's size is none, and a time
// that we made up is none of the server's.
func TestWhatIsTakenDownOfAnEntry(t *testing.T) {
	tree, root := overlaidTree(t)
	keep := func(e entry) overlay.Attr {
		tree.keepLocked(root, "n", &e)
		a, _ := tree.overlay.Get("/", "n")
		return a
	}
	dir := entry{typ: remote.Dir, size: 4096, mtime: 5, grain: grainSecond, rare: &rare{shown: 7}, flags: shownSet}
	if a := keep(dir); a.Over.Size != -1 || !a.Dir || a.MTime != 7 || a.Over.MGrain != time.Second {
		t.Errorf("a directory: %+v", a)
	}
	dir.flags |= guessed
	if a := keep(dir); a.Over.MGrain != 0 {
		t.Errorf("a directory with a time of ours: %+v", a)
	}
	file := entry{typ: remote.File, size: 3, mtime: 5, grain: grainSecond, mode: 0o600, flags: hasMode | modeSet}
	a := keep(file)
	a.Under = 0o644
	tree.overlay.Set("/", "n", a)
	file.mode = 0o640
	if a := keep(file); a.Under != 0o644 || a.Mode != 0o640 {
		t.Errorf("another mode for the same file: %+v", a)
	}
	file.mtime = 6
	if a := keep(file); a.Under != -1 {
		t.Errorf("a mode for the next version: %+v", a)
	}
	file.flags = hasMode
	if a := keep(file); a.HasMode || tree.overlay.Len() != 0 {
		t.Errorf("what the server has itself: %+v", a)
	}
}

// Names that a listing lacks take what was set for them along, with what is below; not those
// that we made meanwhile, or owe something to.
func TestWhatIsNotListedIsForgotten(t *testing.T) {
	tree, root := overlaidTree(t)
	a := overlay.Attr{Over: remote.Version{Size: 5, MGrain: time.Second}, HasMTime: true, Under: -1}
	for _, n := range []string{"listed", "gone", "ours", "owed", "dir"} {
		tree.overlay.Set("/", n, a)
	}
	tree.overlay.Set("/dir/below", "deep", a)
	now := time.Now()
	root.putKid(&Node{parent: root, name: "owed", owesAt: &now})
	root.putKid(&Node{parent: root, name: "gone"})
	listed := &listing{}
	listed.put("listed", entry{})
	tree.unlistedOverlaysLocked(root, "/", &fetch{changes: map[string]change{"ours": {}}}, listed)
	got := tree.overlay.Names("/")
	slices.Sort(got)
	if want := []string{"listed", "ours", "owed"}; !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if _, ok := tree.overlay.Get("/dir/below", "deep"); ok {
		t.Error("what was below is left")
	}
}

// Our own change in a directory gives it another time on the server, and no other mode.
func TestOurChangeInADirectoryDropsItsTime(t *testing.T) {
	tree, root := overlaidTree(t)
	tree.overlay.Set("/", "d", overlay.Attr{Dir: true, HasMTime: true, MTime: 7, HasMode: true, Mode: 0o700, Under: -1})
	tree.dropTimeLocked(&Node{parent: root, name: "d"})
	if a, _ := tree.overlay.Get("/", "d"); a.HasMTime || a.Mode != 0o700 {
		t.Errorf("left is %+v", a)
	}
}

// What could not be written down is written with the next change.
func TestWhatCouldNotBeWrittenDownIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{NoTimes: true}), nil)
		place := filepath.Join(m.cfg.StateDir, "overlay")
		for _, f := range []string{"/f", "/g"} {
			m.must(m.write(f, []byte("content")))
		}
		m.sync()
		m.must(os.RemoveAll(place))
		m.must(os.Mkdir(place, 0o700))
		m.utimes("/f", longAgo)
		m.must(os.Remove(place))
		m.utimes("/g", longAgo+1)
		m.crash()
		m.shows("it failed once", "/f", longAgo)
		m.shows("it did not fail", "/g", longAgo+1)
	})
}
