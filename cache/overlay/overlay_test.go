package overlay

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
)

func save(t *testing.T, tab *Table) {
	t.Helper()
	if write := tab.Save(); write != nil {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
}

func reload(t *testing.T, tab *Table) *Table {
	t.Helper()
	got := New(tab.path, tab.max)
	if torn, err := got.Load(); torn != 0 || err != nil {
		t.Fatalf("%d lines torn: %v", torn, err)
	}
	return got
}

func all(tab *Table) map[string]Attr {
	m := map[string]Attr{}
	for in := range tab.dirs {
		for _, name := range tab.Names(in) {
			m[join(in, name)], _ = tab.Get(in, name)
		}
	}
	return m
}

func file(size, at, shown int64) Attr {
	return Attr{Over: remote.Version{Size: size, MTime: time.Unix(at, 0), MGrain: time.Second}, HasMTime: true, MTime: shown, Under: -1}
}

// What is set, moved and dropped is so after a restart.
func TestWhatWasSetIsThereAfterARestart(t *testing.T) {
	tab := New(filepath.Join(t.TempDir(), "overlay"), 1000)
	odd := file(5, 1700000000, -77)
	odd.Over.Unique, odd.HasMode, odd.Mode, odd.Under = "a \"b\" \xff", true, 0o4750, 0o644
	dir := Attr{Dir: true, Over: remote.Version{Size: -1}, HasMode: true, Mode: 0, Under: -1}
	tab.Set("/", "f", file(1, 2, 3))
	tab.Set("/a b", "n\xff \"\\", odd)
	tab.Set("/", "d", dir)
	tab.Set("/d", "x", file(7, 8, 9))
	tab.Set("/d/e", "y", file(7, 8, 10))
	tab.Set("/dd", "x", file(7, 8, 11))
	save(t, tab)
	want := map[string]Attr{"/f": file(1, 2, 3), "/a b/n\xff \"\\": odd, "/d": dir, "/d/x": file(7, 8, 9), "/d/e/y": file(7, 8, 10), "/dd/x": file(7, 8, 11)}
	if got := all(reload(t, tab)); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	tab.Set("/g", "old", file(1, 1, 1))
	tab.Move("/", "d", "/g", "old")
	tab.Drop("/", "f")
	tab.Set("/dd", "x", Attr{Under: -1})
	save(t, tab)
	want = map[string]Attr{"/a b/n\xff \"\\": odd, "/g/old": dir, "/g/old/x": file(7, 8, 9), "/g/old/e/y": file(7, 8, 10)}
	if got := all(reload(t, tab)); !reflect.DeepEqual(got, want) {
		t.Errorf("after the move got %+v, want %+v", got, want)
	}
	tab.Cut("/", "g")
	save(t, tab)
	if got := reload(t, tab); got.Len() != 1 || tab.Len() != 1 {
		t.Errorf("after the cut: %+v", all(got))
	}
}

// A file of which the server's time was never heard could be any other by now.
func TestAFileWithoutATimeOfTheServerIsNotBelievedAfterARestart(t *testing.T) {
	tab := New(filepath.Join(t.TempDir(), "overlay"), 1000)
	blind := file(1, 2, 3)
	blind.Over.MGrain, blind.Over.MTime = 0, time.Time{}
	tab.Set("/", "f", blind)
	blind.Dir = true
	tab.Set("/", "d", blind)
	save(t, tab)
	if got := all(reload(t, tab)); len(got) != 1 || !got["/d"].Dir {
		t.Errorf("got %+v", got)
	}
}

// A file cut or garbled anywhere costs the lines that are hurt, and what follows is kept
// on whole lines again.
func TestATornFileCostsOnlyItsTornLines(t *testing.T) {
	tab := New(filepath.Join(t.TempDir(), "overlay"), 1000)
	for i := range 20 {
		tab.Set("/d", fmt.Sprint("name ", i), file(int64(i), 1, 2))
	}
	save(t, tab)
	whole, err := os.ReadFile(tab.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(whole), "\n")
	for cut := 0; cut < len(whole); cut += 13 {
		for _, garbled := range []bool{false, true} {
			b := append([]byte(nil), whole[:cut]...)
			least := strings.Count(string(b), "\n")
			if garbled {
				b = append([]byte(nil), whole...)
				b[cut] ^= 0x20
				least = lines - 2 // a line end that went hurts two
			}
			if err := os.WriteFile(tab.path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			got := New(tab.path, 1000)
			if _, err := got.Load(); err != nil || got.Len() < least || got.Len() > lines {
				t.Fatalf("cut at %d, garbled %t: %d names, %v", cut, garbled, got.Len(), err)
			}
			for p, a := range all(got) {
				var i int64
				if _, err := fmt.Sscanf(p, "/d/name %d", &i); err != nil || !reflect.DeepEqual(a, file(i, 1, 2)) {
					t.Fatalf("cut at %d, garbled %t: %s is %+v", cut, garbled, p, a)
				}
			}
			got.Set("/d", "new", file(1, 1, 1))
			save(t, got)
			if again := reload(t, got); again.Len() != got.Len() {
				t.Fatalf("cut at %d, garbled %t: %d names after the next change, %d before the restart", cut, garbled, again.Len(), got.Len())
			}
		}
	}
}

// The file stays as large as what is set, and no more than max names are kept: the newest.
func TestTheTableIsBounded(t *testing.T) {
	tab := New(filepath.Join(t.TempDir(), "overlay"), 100)
	most := int64(0)
	for i := range 20_000 {
		tab.Set(fmt.Sprint("/dir", i/10), fmt.Sprint("name", i%10), file(int64(i), 1, 2))
		if i%50 == 49 {
			save(t, tab)
			fi, err := os.Stat(tab.path)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, fi.Size())
		}
		if tab.Len() > 100 {
			t.Fatalf("%d names", tab.Len())
		}
	}
	if most > 100*(2*100+slack+200) {
		t.Errorf("the file had %d bytes", most)
	}
	if _, ok := tab.Get("/dir1999", "name9"); !ok {
		t.Error("the newest is gone")
	}
	if got := reload(t, tab); !reflect.DeepEqual(all(got), all(tab)) {
		t.Errorf("after a restart %d names, %d before", got.Len(), tab.Len())
	}
	for i := range 300 { // in one directory
		tab.Set("/one", fmt.Sprint(i), file(1, 1, 1))
	}
	if tab.Len() > 100 {
		t.Errorf("%d names in one directory", tab.Len())
	}
}

// What could not be written is written later.
func TestAFailedSaveIsMadeUpFor(t *testing.T) {
	dir := t.TempDir()
	tab := New(filepath.Join(dir, "none", "overlay"), 100)
	tab.Set("/", "f", file(1, 2, 3))
	if err := tab.Save()(); err == nil {
		t.Fatal("written into a directory that is not there")
	}
	tab.Failed()
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, tab)
	if got := reload(t, tab); got.Len() != 1 {
		t.Errorf("%d names", got.Len())
	}
	if tab.Save() != nil {
		t.Error("something is left to be written")
	}
}

// FuzzReplay: no line, sealed or not, upsets the table.
func FuzzReplay(f *testing.F) {
	for _, s := range []string{setLine("/d/f", file(1, 2, 3)), dropLine("/d/f"), cutLine("/"), forgetLine("/d"), moveLine("/d", "/d/e"), moveLine("/", "/x"), "set \"/\" f", "move \"/a\" \"\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tab := New("", 100)
		tab.Set("/d", "f", file(1, 2, 3))
		tab.Set("/", "x", file(1, 2, 3))
		tab.replay(strings.TrimSuffix(string(appendLine(nil, text)), "\n"))
		n := 0
		for _, d := range tab.dirs {
			n += len(d.names)
		}
		if n != tab.Len() {
			t.Fatalf("%q: %d names counted, %d there", text, tab.Len(), n)
		}
	})
}
