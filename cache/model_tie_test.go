package cache

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// The model itself: the other client acts in the moment in which the mount publishes. What
// it moves is what the mount had published, and the model must not take it for what was
// there before: for that it would want another content of the new name than there is.
func TestModelKnowsWhatIsMovedInTheMomentOfAPublication(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := newStorm(plan{worlds: 1, opts: mem.Options{Unique: true}, cfg: func(c *Config) { c.PublishDelay = 2 * time.Second }}, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		w := s.worlds[0]
		s.ever[sumOf("")] = true
		for _, o := range []op{{kind: "theirwrite", p: "/a", n: 1, seed: 1}, {kind: "list", p: "/"}} {
			if err := w.do(o); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.settle(); err != nil {
			t.Fatal(err)
		}
		if err := w.do(op{kind: "write", p: "/a", n: 3, seed: 3}); err != nil {
			t.Fatal(err)
		}
		ours := string(w.at("/a").file.data)
		if err := w.do(op{kind: "theirrename", p: "/a", q: "/b"}); err != nil {
			t.Fatal(err)
		}
		moved, err := s.disk.ReadFile("/b")
		if err != nil {
			t.Fatal(err)
		}
		if string(moved) != ours {
			t.Errorf("/b is %.24q; want %.24q, which the mount publishes before the other client acts", moved, ours)
		}
		if may := w.may("/b"); !slices.Contains(may, value{'f', string(moved)}) {
			t.Errorf("the model takes /b for one of %v; it is %.24q", may, moved)
		}
		if err := s.settle(); err != nil {
			t.Error(err)
		}
	})
}
