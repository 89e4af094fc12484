package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// Making many names in one directory costs a few steps for each, however many there are,
// where cases are not told apart, too; and each of them is known from then on.
func TestManyNamesWhereCasesAreNotToldApart(t *testing.T) {
	const many = 1000
	m := mountMem(t, mem.New(mem.Options{FoldsCase: true}), nil)
	m.must(m.mkdir("/d"))
	for i := range many {
		m.must(m.write(fmt.Sprintf("/d/name %d", i), []byte("1")))
	}
	m.sync()
	for _, i := range []int{0, 1, many / 2, many - 1} {
		m.wantKind(m.write(fmt.Sprintf("/d/NAME %d", i), []byte("2")), remote.Exist)
	}
	m.must(m.rename("/d/name 7", "/d/Name 7"))
	m.wantKind(m.write("/d/name 7", []byte("2")), remote.Exist)
	m.must(m.remove("/d/Name 7"))
	m.must(m.write("/d/NAME 7", []byte("2")))
	m.mu.Lock()
	defer m.mu.Unlock()
	if steps := m.foldSteps; steps < many || steps > 20*many {
		t.Errorf("%d steps for %d names", steps, many)
	}
}

// The index finds what a comparison with each name would find, whatever was made and went
// away meanwhile, and does not grow with what went.
func TestTwinsAreFoundAsByLookingAtAll(t *testing.T) {
	tree := &Tree{cfg: Config{DirCacheTime: time.Hour}}
	words := []string{"a", "A", "k", "K", "\u212a", "s", "\u017f", "\u00e9", "\u00c9", "ss", "\u00df", "\u1e9e", "\u01c4", "\u01c5", "\xff", "\xfe", "i", "I", "\u0130", "\u0131"}
	rng := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		var b strings.Builder
		for range 1 + rng.IntN(2) {
			b.WriteString(words[rng.IntN(len(words))])
		}
		return b.String()
	}
	dir := &Node{}
	known := func() (out []string) {
		for n := range dir.list.ents.each() {
			out = append(out, n)
		}
		for n := range dir.eachKid() {
			out = append(out, n)
		}
		return out
	}
	list := func() {
		dir.list = &listing{}
		now := name()
		dir.list.put(now, entry{})
		dir.list.fetched = time.Now()
	}
	list()
	for step := range 20_000 {
		n := name()
		switch rng.IntN(6) {
		case 0:
			dir.list.put(n, entry{})
		case 1:
			tree.attachLocked(&Node{parent: dir, name: n})
		case 2:
			dir.list.ents.remove(n)
		case 3:
			dir.dropKid(n)
		case 4:
			if step%500 == 0 {
				list()
			}
		}
		var mover *Node
		if rng.IntN(2) == 0 {
			mover = dir.kid(name())
		}
		want := false
		for _, other := range known() {
			want = want || twins(other, n) && (mover == nil || dir.kid(other) != mover)
		}
		if got := tree.twinLocked(dir, n, mover); (got != "") != want || got != "" && !twins(got, n) {
			t.Fatalf("step %d: the twin of %q is %q, want one: %v", step, n, got, want)
		}
	}
	list()
	dir.kids = nil
	for i := range 1000 {
		n := fmt.Sprint(i)
		dir.list.put(n, entry{})
		dir.list.ents.remove(n)
		tree.twinLocked(dir, n, nil)
		if got := dir.list.folds.names; got > 2*leastFolds {
			t.Fatalf("the index has %d names, all gone but one", got)
		}
	}
	dir.list.put("old", entry{})
	dir.list.fetched = time.Now().Add(-2 * tree.cfg.DirCacheTime)
	if got := tree.twinLocked(dir, "Old", nil); got != "" {
		t.Errorf("%q is in a listing that is old, and may be gone", got)
	}
}
