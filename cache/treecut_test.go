package cache

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
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

var (
	treeCuts    = flag.Int("treecut.lives", 0, "random lives of a tree to cut the power on, at each step and in each way; 0: two, each step in one way")
	treeCutSeed = flag.Uint64("treecut.seed", 1, "of the first of them")
)

// life is one file as its user knows it.
type life struct {
	names  []string // all it ever had
	p      string   // where it is now
	h      *Handle
	states []state  // what it was, one after the other
	vows   []vow    // what its user was promised
	gone   int      // events before somebody began to remove it; 0: nobody did
	theirs []string // what others wrote under its name
}

// state is what a file was after an operation that began after at events.
type state struct {
	at      int
	b       string
	settled bool // it was closed or synced so
}

// vow: in a cut after from events the file is what it was in state, or newer; and
// on the server, if sent.
type vow struct {
	from, state int
	sent        bool
}

// cutStory is a life of a mount over a disk whose power will be cut.
type cutStory struct {
	*mount
	rnd   *rand.Rand
	opts  mem.Options
	disk  *treeDisk
	lives []*life
	said  []string
	start int
	tears int // uploads still to be cut off
}

func (s *cutStory) say(format string, args ...any) int {
	at := s.disk.look()
	s.said = append(s.said, fmt.Sprintf("%d: ", at)+fmt.Sprintf(format, args...))
	return at
}

// newCutStory mounts a server that holds files.
func newCutStory(t *testing.T, root string, seed uint64, files map[string]int) *cutStory {
	s := &cutStory{rnd: rand.New(rand.NewPCG(seed, 7))}
	s.opts = mem.Options{Unique: seed%2 == 0, CostlyStat: seed%3 == 0}
	store := mem.New(s.opts)
	for _, p := range slices.Sorted(maps.Keys(files)) {
		b := s.text(files[p])
		if err := store.Disk().WriteFile(p, []byte(b)); err != nil {
			t.Fatal(err)
		}
		s.lives = append(s.lives, &life{names: []string{path.Base(p)}, p: p, states: []state{{b: b, settled: true}}})
	}
	s.disk = newTreeDisk(root, store.Disk())
	store.Hook(func(op, p string) error {
		s.disk.look()
		if op == mem.OpData && s.tears > 0 && s.rnd.IntN(2) == 0 {
			s.tears--
			return &remote.Error{Kind: remote.Temporary, Text: "cut off"}
		}
		return nil
	})
	store.HookAfter(func(op, p string) error { s.disk.look(); return nil })
	s.mount = &mount{t: t, store: store, cfg: cutConfig(root)}
	s.cfg.fs = s.disk
	s.open()
	s.start = s.say("start")
	return s
}

func cutConfig(root string) Config {
	return Config{CacheDir: filepath.Join(root, "cache"), StateDir: filepath.Join(root, "state"), Identity: "mem",
		DirCacheTime: 10 * time.Second, PublishDelay: 400 * time.Millisecond, MaxDirtyAge: -1, Timeout: 5 * time.Second, Uploads: 1,
		tailAbove: 8 << 10, leanAbove: 40 << 10, maxTail: 64 << 10, earlyStep: 16 << 10,
		Log: slog.New(slog.DiscardHandler)}
}

// text is n bytes that are found nowhere else, and none of them zero.
func (s *cutStory) text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(33 + s.rnd.IntN(90))
	}
	return string(b)
}

func (l *life) now() string { return l.states[len(l.states)-1].b }

// became says what an operation that begins now makes of l.
func (s *cutStory) became(l *life, b, format string, args ...any) {
	at := s.say(format, args...)
	l.states = append(l.states, state{at: at, b: b})
}

func (s *cutStory) create(p string) *life {
	l := &life{names: []string{path.Base(p)}, p: p}
	s.became(l, "", "create %s", p)
	s.must(s.with(p, func(dir *Node, name string) error {
		n, h, _, err := s.Create(context.Background(), dir, name, 0o644, true, OpenFlags{Read: true, Write: true})
		if err == nil {
			l.h = h
			s.Forget(n)
		}
		return err
	}))
	s.lives = append(s.lives, l)
	return l
}

func (s *cutStory) openFor(l *life) {
	if l.h != nil {
		return
	}
	s.say("open %s", l.p)
	h, err := s.openAt(l.p, OpenFlags{Read: true, Write: true})
	s.must(err)
	l.h = h
}

func (s *cutStory) put(l *life, off, n int) {
	s.openFor(l)
	b := []byte(l.now())
	if len(b) < off+n {
		b = append(b, make([]byte, off+n-len(b))...)
	}
	piece := s.text(n)
	copy(b[off:], piece)
	s.became(l, string(b), "write %s [%d,%d)", l.p, off, off+n)
	_, err := l.h.WriteAt(context.Background(), []byte(piece), int64(off))
	s.must(err)
}

func (s *cutStory) grow(l *life, n int) { s.put(l, len(l.now()), n) }

func (s *cutStory) resizeTo(l *life, n int) {
	s.openFor(l)
	b := append([]byte(l.now()), make([]byte, max(0, n-len(l.now())))...)[:n]
	s.became(l, string(b), "truncate %s to %d", l.p, n)
	s.must(l.h.Truncate(context.Background(), int64(n)))
}

func (s *cutStory) fsync(l *life) {
	s.openFor(l)
	s.say("fsync %s", l.p)
	l.states[len(l.states)-1].settled = true
	s.must(l.h.Fsync(context.Background()))
	l.vows = append(l.vows, vow{from: s.disk.look(), state: len(l.states) - 1})
}

func (s *cutStory) shut(l *life) {
	if l.h == nil {
		return
	}
	s.say("close %s", l.p)
	l.states[len(l.states)-1].settled = true
	s.must(l.h.Flush(context.Background()))
	l.h.Release()
	l.h = nil
}

func (s *cutStory) readSome(l *life, off, n int) {
	s.say("read %s [%d,%d)", l.p, off, off+n)
	h, err := s.openAt(l.p, OpenFlags{Read: true})
	s.must(err)
	defer h.Release()
	got := make([]byte, n)
	k, err := h.ReadAt(context.Background(), got, int64(off))
	if want := l.now()[off:min(off+n, len(l.now()))]; err != nil || string(got[:k]) != want {
		s.t.Fatalf("read %s [%d,%d): %d bytes, err %v, and not what it is\n%s", l.p, off, off+n, k, err, strings.Join(s.said, "\n"))
	}
}

// moveTo renames, over what has that name.
func (s *cutStory) moveTo(l *life, p string) {
	at := s.say("rename %s to %s", l.p, p)
	for _, o := range s.lives {
		if o != l && o.p == p && o.gone == 0 {
			s.shut(o)
			o.gone = at
		}
	}
	l.names = append(l.names, path.Base(p))
	s.must(s.rename(l.p, p))
	l.p = p
}

func (s *cutStory) unlink(l *life) {
	s.shut(l)
	l.gone = s.say("remove %s", l.p)
	s.must(s.remove(l.p))
}

// others write a file behind our back.
func (s *cutStory) others(l *life) {
	b := s.text(3000)
	s.say("another client writes %s", l.p)
	l.theirs = append(l.theirs, b)
	s.must(s.store.Disk().WriteFile(l.p, []byte(b)))
}

// rest waits until all that is closed has been published.
func (s *cutStory) rest(d time.Duration) {
	s.say("rest %v", d)
	time.Sleep(d)
	synctest.Wait()
	if d < time.Minute {
		return
	}
	at := s.disk.look()
	for _, l := range s.lives {
		if l.h == nil && l.gone == 0 {
			l.vows = append(l.vows, vow{from: at, state: len(l.states) - 1, sent: true})
		}
	}
}

// script is what leans on what, each in the order in which it can hurt.
func (s *cutStory) script() {
	byName := map[string]*life{}
	for _, l := range s.lives {
		byName[path.Base(l.p)] = l
	}
	base, log, part, conf := byName["base"], byName["log"], byName["part"], byName["conf"]
	// Born here: synced, closed, published, patched over what was synced.
	a := s.create("/a")
	s.put(a, 0, 5000)
	s.fsync(a)
	s.grow(a, 3000)
	s.shut(a)
	s.rest(2 * time.Minute)
	s.put(a, 100, 50)
	s.fsync(a)
	s.put(a, 120, 60)
	s.shut(a)
	s.rest(1500 * time.Millisecond)
	// A base that is here in part, patched and synced.
	s.readSome(part, 30_000, 500)
	s.put(part, 70_000, 700)
	s.fsync(part)
	s.put(part, 10, 20)
	s.fsync(part)
	s.shut(part)
	// Half a tail.
	s.grow(log, 40_000)
	s.fsync(log)
	s.tears = 2
	s.shut(log)
	s.rest(time.Second)
	s.grow(log, 500)
	s.fsync(log)
	s.shut(log)
	s.rest(2 * time.Minute)
	s.grow(log, 50_000)
	s.tears = 1
	s.shut(log)
	s.rest(500 * time.Millisecond)
	s.put(log, 5, 10) // and then no tail at all
	s.fsync(log)
	s.shut(log)
	s.rest(2 * time.Minute)
	// An upload that breaks off and goes on, and one of a file changed meanwhile.
	b := s.create("/b")
	s.tears = 2
	for range 8 {
		s.grow(b, 16<<10)
		s.rest(time.Millisecond)
	}
	s.fsync(b)
	s.shut(b)
	s.rest(3 * time.Second)
	s.put(b, 20_000, 100)
	s.tears = 1
	s.shut(b)
	s.rest(time.Second)
	s.resizeTo(b, 50_000)
	s.fsync(b)
	s.shut(b)
	// The server away: what is closed waits, is renamed over another, and removed.
	s.store.SetOnline(false)
	c := s.create("/c.tmp")
	s.grow(c, 6000)
	s.fsync(c)
	s.shut(c)
	d := s.create("/d")
	s.grow(d, 9000)
	s.shut(d)
	s.moveTo(c, "/c")
	s.rest(3 * time.Second)
	s.put(d, 50, 5000) // over what was closed and is on disk
	s.rest(200 * time.Millisecond)
	s.shut(d)
	s.rest(2 * time.Second)
	s.store.SetOnline(true)
	s.rest(2 * time.Minute)
	s.moveTo(c, "/base2")
	s.put(base, 0, 10)
	s.fsync(base)
	s.shut(base)
	s.moveTo(base, "/base2") // renamed over a published one, itself owed
	// Somebody else's change.
	s.put(conf, 0, 30)
	s.rest(time.Second) // its base is here, else the patch would be parked with its ranges
	s.fsync(conf)
	s.others(conf)
	s.shut(conf)
	s.rest(3 * time.Second)
	s.unlink(d)
	s.resizeTo(a, 0)
	s.grow(a, 10)
	s.shut(a)
	s.rest(2 * time.Minute)
	e := s.create("/e")
	s.grow(e, 20)
	s.fsync(e)
	s.rest(time.Second)
}

// chance is a life made up.
func (s *cutStory) chance(steps int) {
	for range steps {
		alive := slices.DeleteFunc(slices.Clone(s.lives), func(l *life) bool { return l.gone != 0 })
		if len(alive) == 0 || s.rnd.IntN(10) == 0 {
			l := s.create(fmt.Sprintf("/n%dx", len(s.lives)))
			s.grow(l, 1+s.rnd.IntN(6000))
			continue
		}
		l := alive[s.rnd.IntN(len(alive))]
		if len(l.theirs) > 0 && l.h == nil { // whose it is now only a look would tell
			continue
		}
		switch s.rnd.IntN(16) {
		case 0, 1:
			s.put(l, s.rnd.IntN(len(l.now())+1), 1+s.rnd.IntN(3000))
		case 2, 3:
			s.grow(l, 1+s.rnd.IntN(40_000))
		case 4:
			s.resizeTo(l, s.rnd.IntN(len(l.now())+2000))
		case 5, 6, 7:
			s.fsync(l)
		case 8, 9, 10:
			s.shut(l)
		case 11:
			s.moveTo(l, fmt.Sprintf("/n%dx", s.rnd.IntN(len(s.lives))))
		case 12:
			if s.rnd.IntN(3) == 0 {
				s.unlink(l)
			}
		case 13:
			s.tears = 1 + s.rnd.IntN(2)
		case 14:
			s.rest(time.Duration(s.rnd.IntN(3000)) * time.Millisecond)
		case 15:
			s.rest(2 * time.Minute)
		}
	}
}

// At any cut of the power, after each single step of the disk or of the server: a new
// mount over what is left has all that fsync or a publication had covered, publishes
// nothing that no close or fsync had ever seen, and sets aside what it cannot believe.
func TestPowerCutUnderATree(t *testing.T) {
	lives, all := *treeCuts, *treeCuts > 0
	if !all {
		lives = 2
	}
	prefixes, cuts := 0, 0
	for i := range lives {
		seed := *treeCutSeed + uint64(i)
		if *treeCutSeed == 1 && i == 0 {
			seed = 0
		}
		synctest.Test(t, func(t *testing.T) {
			dir, err := os.MkdirTemp(memoryDir(), "ftpfs-treecut")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			s := newCutStory(t, filepath.Join(dir, "was"), seed, map[string]int{"/base": 9000, "/log": 20_000, "/part": 100_000, "/conf": 2000})
			if seed == 0 {
				s.script()
			} else {
				s.chance(40)
			}
			end := s.disk.look()
			log, servers := slices.Clone(s.disk.log), slices.Clone(s.disk.servers)
			for _, l := range s.lives {
				if l.h != nil {
					l.h.Release()
				}
			}
			s.stop()
			for k := s.start; k <= end; k++ {
				prefixes++
				variants := cutdisk.Variants
				if !all {
					variants = []cutdisk.Variant{variants[(k*5+int(seed))%len(variants)]}
				}
				for _, v := range variants {
					cuts++
					x := &afterCut{cutStory: s, k: k, when: fmt.Sprintf("-treecut.seed=%d, cut after %d of %d, %+v", seed, k, end, v), dir: filepath.Join(dir, "is")}
					x.verify(log, servers[k-1], v)
					if t.Failed() {
						for i, e := range log[max(0, k-25):k] {
							t.Logf("%d: %s %s %s %d+%d %v", max(0, k-25)+i, e.Op, e.Path, e.To, e.Off, len(e.B), e.Sync)
						}
						t.Fatalf("the story:\n%s\nthe log after the cut:\n%s", strings.Join(s.said, "\n"), x.log.String())
					}
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("figure: power cuts under a tree: %d prefixes, %d restarts, 0 lost", prefixes, cuts)
}

// afterCut is one mount over what a cut has left.
type afterCut struct {
	*cutStory
	k    int
	when string
	dir  string
	log  bytes.Buffer
}
