package cache

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool/cutdisk"
)

// A rename of an owed file gets no answer, the server will not tell, writing goes on, and in the
// end it tells. At any cut of the power, after each single step of the disk or of the
// server, the next mount has all that was promised.
func TestPowerCutUnderAnUnsettledRename(t *testing.T) {
	cuts := 0
	for seed := range uint64(4) {
		there, over := seed%2 == 0, seed/2 == 0
		synctest.Test(t, func(t *testing.T) {
			dir, err := os.MkdirTemp(memoryDir(), "ftpfs-treecut")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			files := map[string]int{"/a": 5000}
			if over {
				files["/b"] = 3000
			}
			s := newCutStory(t, filepath.Join(dir, "was"), seed, files)
			s.unsettledScript(there)
			end := s.disk.look()
			log, servers := slices.Clone(s.disk.log), slices.Clone(s.disk.servers)
			s.stop()
			for k := s.start; k <= end; k++ {
				for _, v := range []cutdisk.Variant{cutdisk.Variants[k%len(cutdisk.Variants)], cutdisk.Variants[(k+3)%len(cutdisk.Variants)]} {
					cuts++
					x := &afterCut{cutStory: s, k: k, when: fmt.Sprintf("there %v, over %v, cut after %d of %d, %+v", there, over, k, end, v), dir: filepath.Join(dir, "is")}
					x.verify(log, servers[k-1], v)
					if t.Failed() {
						t.Fatalf("the story:\n%s\nthe log after the cut:\n%s", strings.Join(s.said, "\n"), x.log.String())
					}
				}
			}
		})
	}
	t.Logf("figure: power cuts under a rename without an answer: %d restarts, 0 lost", cuts)
}

// unsettledScript renames /a to /b, over what is owed there if that is a file.
func (s *cutStory) unsettledScript(there bool) {
	a := s.lives[0]
	s.put(a, 100, 300)
	s.fsync(a)
	s.shut(a)
	lost, deaf := false, false
	lose := func(op, p string) error {
		s.disk.look()
		switch {
		case deaf && op == mem.OpStat && (p == "/a" || p == "/b"):
			return &remote.Error{Kind: remote.Permission, Text: "by the test"}
		case !lost && op == mem.OpRename && path.Base(p) == "a":
			lost, deaf = true, true
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	}
	see := func(op, p string) error { s.disk.look(); return nil }
	s.store.Hook(func(op, p string) error {
		if !there || op == mem.OpStat {
			return lose(op, p)
		}
		return see(op, p)
	})
	s.store.HookAfter(func(op, p string) error {
		if there && op == mem.OpRename {
			return lose(op, p)
		}
		return see(op, p)
	})
	at := s.say("rename /a to /b without an answer; it happens: %v", there)
	if len(s.lives) > 1 {
		b := s.lives[1]
		s.put(b, 0, 200)
		s.fsync(b)
		s.shut(b)
		if there {
			at = s.disk.look()
			b.gone = at
		}
	}
	a.names = append(a.names, "b")
	s.wantKind(s.rename("/a", "/b"), remote.Down)
	c := s.create("/c")
	s.put(c, 0, 1000)
	s.fsync(c)
	s.shut(c)
	s.rest(3 * time.Second)
	s.onServer("/c", c.now())
	s.put(a, 300, 50)
	s.fsync(a)
	s.shut(a)
	s.rest(3 * time.Second)
	s.say("the server tells")
	deaf = false
	if _, err := s.Retry("/"); err != nil {
		s.t.Fatal(err)
	}
	if there {
		a.p = "/b"
	}
	s.rest(2 * time.Minute)
	if out, err := s.Sync(context.Background(), "/", func(Progress) {}); out != AllThere || err != nil {
		s.t.Fatalf("sync: %v, %v: %+v", out, err, s.Status().Owed)
	}
	s.onServer(a.p, a.now())
}
