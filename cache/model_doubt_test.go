package cache

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// The model itself: mv fails, though the server did it, and before that is known the file is
// written over under its old name. What it was is replaced by that, as it would be on any
// disk: the new content follows to the new name, and takes its place there.
func TestModelKnowsWhatIsWrittenOverAfterARenameInDoubt(t *testing.T) {
	inDoubt(t, func(s *storm, w *world) {
		was, err := s.disk.ReadFile("/b") // that is where it is by now
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []op{{kind: "write", p: "/a", n: 31, seed: 4}, {kind: "sleep", n: 3}} {
			if err := w.do(o); err != nil {
				t.Fatal(err)
			}
		}
		if _, kept := s.alive[string(was)]; kept {
			t.Errorf("the model wants %.24q kept, which a program wrote over", was)
		}
		now := string(w.at("/a").file.data)
		if err := s.settle(); err != nil {
			t.Error(err)
		}
		if got, err := s.disk.ReadFile("/b"); err != nil || string(got) != now {
			t.Errorf("the server's /b is %.24q, err %v; want %.24q", got, err, now)
		}
		if names, err := s.list("/"); err != nil || !slices.Equal(names, []string{"b", "c"}) {
			t.Errorf("the mount has %q, err %v; want b and c", names, err)
		}
	})
}

// The same where another client has made its own of the new name since: that is not what was
// written over, and must be kept.
func TestModelKeepsTheirsWhereARenameInDoubtWent(t *testing.T) {
	inDoubt(t, func(s *storm, w *world) {
		if err := w.do(op{kind: "theirwrite", p: "/b", n: 5, seed: 5}); err != nil {
			t.Fatal(err)
		}
		theirs, err := s.disk.ReadFile("/b")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.do(op{kind: "write", p: "/a", n: 31, seed: 4}); err != nil {
			t.Fatal(err)
		}
		if _, kept := s.alive[string(theirs)]; !kept {
			t.Error("the model gave up what another client made, and nobody here has seen")
		}
		if err := s.settle(); err != nil {
			t.Error(err)
		}
		if got, err := s.disk.ReadFile("/b"); err != nil || string(got) != string(theirs) {
			t.Errorf("the server's /b is %.24q, err %v; want %.24q", got, err, theirs)
		}
	})
}

// What is written at a when mv a b is answered by an error, and rm b comes before that is known:
// rm removes what mv took there, with what is owed of it, as on any disk.
func TestModelKnowsWhatIsRemovedAfterARenameInDoubt(t *testing.T) {
	for _, over := range []bool{false, true} {
		t.Run(map[bool]string{false: "by rm", true: "by another mv"}[over], func(t *testing.T) {
			renamedInDoubt(t, true, "/a", func(s *storm, w *world) {
				owed, away := string(w.at("/a").file.data), op{kind: "unlink", p: "/b"}
				if over {
					away = op{kind: "rename", p: "/c", q: "/b"}
				}
				if err := w.do(away); err != nil {
					t.Fatal(err)
				}
				if _, kept := s.alive[owed]; kept {
					t.Errorf("the model wants %.24q kept, which a program removed", owed)
				}
				if err := s.settle(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The same if the server did not do it: b is what it was before, and nothing that is owed of a
// may go with it.
func TestModelKeepsWhatARenameInDoubtDidNotTakeAway(t *testing.T) {
	renamedInDoubt(t, false, "/a", func(s *storm, w *world) {
		owed := string(w.at("/a").file.data)
		if err := w.do(op{kind: "unlink", p: "/b"}); err != nil {
			t.Fatal(err)
		}
		if _, kept := s.alive[owed]; !kept {
			t.Errorf("the model gave up %.24q, which is owed under its old name", owed)
		}
		if err := s.settle(); err != nil {
			t.Error(err)
		}
		if got, err := s.disk.ReadFile("/a"); err != nil || string(got) != owed {
			t.Errorf("the server's /a is %.24q, err %v; want %.24q", got, err, owed)
		}
	})
}

// inDoubt calls then when a rename of /a over /b, which was written here, has happened but
// was answered by an error, and the server has not told yet what became of it.
func inDoubt(t *testing.T, then func(*storm, *world)) { renamedInDoubt(t, true, "/b", then) }

// renamedInDoubt is inDoubt where the rename was done or not, and either name was written here
// before.
func renamedInDoubt(t *testing.T, done bool, written string, then func(*storm, *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := newStorm(plan{worlds: 1, opts: mem.Options{Unique: true}, cfg: func(c *Config) { c.PublishDelay = time.Second }}, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		w := s.worlds[0]
		s.ever[sumOf("")] = true
		for _, o := range []op{{kind: "theirwrite", p: "/a", n: 1, seed: 1}, {kind: "theirwrite", p: "/b", n: 2, seed: 2},
			{kind: "theirwrite", p: "/c", n: 4, seed: 4}, {kind: "list", p: "/"}} {
			if err := w.do(o); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.settle(); err != nil {
			t.Fatal(err)
		}
		s.shaky.Store(true)
		var asked atomic.Bool
		lost := func(op, _ string) error {
			if op == mem.OpRename && asked.CompareAndSwap(false, true) {
				return &remote.Error{Kind: remote.Temporary, Text: "by the test"}
			}
			return nil
		}
		s.store.Hook(func(op, p string) error {
			if !done {
				if err := lost(op, p); err != nil {
					return err
				}
			}
			if asked.Load() && op == mem.OpStat && p == "/a" {
				time.Sleep(4 * time.Second) // the answer takes its time
			}
			return nil
		})
		if done {
			s.store.HookAfter(lost)
		}
		was := w.look("/a").disk
		for _, o := range []op{{kind: "write", p: written, n: 3, seed: 3}, {kind: "rename", p: "/a", q: "/b"}} {
			if err := w.do(o); err != nil {
				t.Fatal(err)
			}
		}
		at := "/a"
		if done {
			at = "/b"
		}
		s.m.mu.Lock()
		n := len(s.m.unsettled)
		s.m.mu.Unlock()
		if data, err := s.disk.ReadFile(at); n != 1 || err != nil || string(data) != was {
			t.Fatalf("%d renames in doubt, the server's %s is %.24q, err %v; want one, and what was /a", n, at, data, err)
		}
		then(s, w)
	})
}
