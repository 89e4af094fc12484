package cache

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// storm is one run of the model: a tree over a server in memory whose link fails, its
// restarts, and the worlds in which users and another client are at work. It runs in a
// bubble of testing/synctest, so that waiting costs nothing.
type storm struct {
	m      *mount
	opts   mem.Options
	store  *mem.Store
	disk   *mem.Disk
	grain  time.Duration
	worlds []*world
	shaky  atomic.Bool // a fault may still have consequences
	rates  atomic.Pointer[rates]
	notes  *lastLines
	still  chan struct{} // held by who waits until all else does, and acts then: see other

	faults, restarts, changes atomic.Int64
	ops, applied              atomic.Int64 // tried, and of these done: not failed, nor without sense
	made                      []round

	mu    sync.Mutex // guards what follows
	ever  map[sum]bool
	alive map[string]string
	fates map[sum][]string
	asked map[string]uint64
	lost  map[string]bool // see unsure
}

// rates of what goes wrong, in thousandths of the operations on the server.
type rates struct{ before, after, slow int }

// lastLines keeps the end of the log.
type lastLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines[max(0, len(l.lines)-25):], string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}

func (l *lastLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// plan is all that decides a run.
type plan struct {
	seed   uint64
	opts   mem.Options
	cfg    func(*Config)
	worlds int
	calm   bool // no faults
}

func newStorm(p plan, dir string) (*storm, error) {
	s := &storm{opts: p.opts, store: mem.New(p.opts), grain: max(p.opts.MGrain, time.Second), notes: &lastLines{}, still: make(chan struct{}, 1),
		ever: map[sum]bool{}, alive: map[string]string{}, fates: map[sum][]string{}, asked: map[string]uint64{}, lost: map[string]bool{}}
	s.disk = s.store.Disk()
	cfg := Config{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"), Identity: "mem",
		DirCacheTime: time.Minute, PublishDelay: -1, Timeout: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(s.notes, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	if p.cfg != nil {
		p.cfg(&cfg)
	}
	s.m = &mount{store: s.store, cfg: cfg}
	s.rates.Store(&rates{})
	s.store.Hook(s.hook(p.seed, "before", func(r *rates) int { return r.before }, kindsBefore))
	s.store.HookAfter(s.hook(p.seed, "after", func(r *rates) int { return r.after }, kindsAfter))
	for i := range p.worlds {
		w := &world{s: s, top: "/", places: map[string]*place{}, loose: map[string]bool{}}
		if p.worlds > 1 {
			w.top = fmt.Sprintf("/w%d", i)
			if err := s.disk.Mkdir(w.top); err != nil {
				return nil, err
			}
		}
		s.worlds = append(s.worlds, w)
	}
	return s, s.open()
}

// unsure: where times cannot be set, and the server would not tell of the temporary file
// before, a publication whose answer was lost is not known again, and what is written after
// it goes beside it as if it were somebody else's. All that is so until all is settled.
func (s *storm) unsure(p string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[p]
}

// What a server may say before it did something, and instead of saying that it did.
// What would be a lie is not among them.
var (
	kindsBefore = []remote.Kind{remote.Down, remote.Timeout, remote.Temporary, remote.Protocol, remote.Unknown, remote.Permission,
		remote.NoSpace, remote.BadName, remote.Unsupported, remote.ShortWrite, remote.Auth}
	kindsAfter = []remote.Kind{remote.Down, remote.Timeout, remote.Temporary, remote.Protocol, remote.Unknown}
)

// hook fails and delays operations: the same ones in each run, whatever the order.
func (s *storm) hook(seed uint64, when string, rate func(*rates) int, kinds []remote.Kind) func(op, p string) error {
	return func(op, p string) error {
		r := s.rates.Load()
		if *r == (rates{}) {
			return nil
		}
		h := fnv.New64a()
		key := when + op + p
		if isTemp(path.Base(p)) {
			key = when + op + path.Dir(p)
		}
		s.mu.Lock()
		s.asked[key]++
		fmt.Fprint(h, seed, key, s.asked[key])
		s.mu.Unlock()
		rnd := rand.New(rand.NewPCG(h.Sum64(), seed))
		if rnd.IntN(1000) < r.slow {
			time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
		}
		if rnd.IntN(1000) >= rate(r) {
			return nil
		}
		s.faults.Add(1)
		if when == "after" && op == mem.OpPublish && s.opts.NoTimes {
			s.mu.Lock()
			s.lost[p] = true
			s.mu.Unlock()
		}
		return &remote.Error{Kind: kinds[rnd.IntN(len(kinds))], Text: when + ", made by the test"}
	}
}

func (s *storm) open() error {
	t, err := New(s.m.cfg, s.store)
	if err != nil {
		return err
	}
	s.m.Tree = t
	return t.wait(context.Background(), "start", nil)
}

func (s *storm) close() error {
	if s.m.Tree == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.m.Tree.Close(ctx)
	s.m.Tree = nil
	return err
}

// restart ends the daemon: in order, or as kill -9 does, with what it has on disk at
// that moment.
func (s *storm) restart(killed bool) error {
	s.restarts.Add(1)
	synctest.Wait() // nothing is written while the disk is copied
	at := s.m.cfg.StateDir
	if killed {
		if err := os.CopyFS(at+".killed", os.DirFS(at)); err != nil {
			return err
		}
	}
	for _, w := range s.worlds {
		for _, f := range w.handles {
			if f.write && w.linked(f) {
				w.maybe(s.m.PathOf(f.h.file.node))
			}
		}
	}
	if err := s.close(); err != nil {
		return err
	}
	for _, w := range s.worlds {
		w.handles = nil
		for _, p := range s.disk.Paths() { // an old version that stepped aside may be put back
			if isTemp(path.Base(p)) && path.Base(p)[15] == 'o' && w.has(p) {
				w.loosen(path.Dir(p))
			}
		}
	}
	if killed {
		if err := os.RemoveAll(at); err != nil {
			return err
		}
		if err := os.Rename(at+".killed", at); err != nil {
			return err
		}
	}
	return s.open()
}

func (s *storm) list(d string) ([]string, error) {
	n, err := s.m.walk(d)
	if err != nil {
		return nil, err
	}
	defer s.m.Forget(n)
	dir, err := s.m.OpenDir(context.Background(), n)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for i := range dir.Len() {
		out = append(out, dir.At(i).Name)
	}
	return out, nil
}

func (s *storm) torn(p string) bool {
	for _, w := range s.worlds {
		if pl := w.at(p); pl != nil && pl.torn {
			return true
		}
	}
	return false
}

// settle mends everything, waits until all is on the server, and compares: the server
// with the mount, both with the reference, and the ledger with all there is.
func (s *storm) settle() error {
	s.rates.Store(&rates{})
	s.store.SetOnline(true)
	time.Sleep(2 * time.Minute)
	if err := s.deliver(); err != nil {
		return err
	}
	time.Sleep(s.m.cfg.DirCacheTime + 2*time.Second)
	if err := s.sweep(); err != nil {
		return err
	}
	onDisk, err := s.compare()
	if err != nil {
		return err
	}
	if err := s.missing(); err != nil {
		return err
	}
	for _, v := range onDisk {
		s.know(v.data)
	}
	writers := 0
	for _, w := range s.worlds {
		w.adopt(onDisk)
		for _, f := range w.handles {
			if f.write {
				writers++
			}
		}
	}
	s.shaky.Store(false)
	s.mu.Lock()
	clear(s.lost) // all is settled
	s.mu.Unlock()
	if st := s.m.Status(); writers == 0 && (st.SpoolUsed != 0 || st.OwedFiles != 0 || st.Parked != 0) {
		return fmt.Errorf("settled, but %d bytes of spool are in use, %d files owed, %d parked", st.SpoolUsed, st.OwedFiles, st.Parked)
	}
	if st := s.m.Status(); st.Quarantined != 0 {
		return fmt.Errorf("%d records quarantined", st.Quarantined)
	}
	return nil
}

// deliver syncs. What cannot be delivered since the other client took its place is
// given up, which keeps a copy.
func (s *storm) deliver() error {
	for try := range 4 {
		if _, err := s.m.Retry("/"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
		out, err := s.m.Sync(ctx, "/", func(Progress) {})
		cancel()
		switch {
		case err != nil:
			return err
		case out == AllThere:
			return nil
		case out == StillOwed:
			return fmt.Errorf("after two hours on a good link: %+v", s.m.Status())
		}
		if try < 2 {
			continue
		}
		for _, o := range s.m.Status().Owed {
			expected := false
			for _, w := range s.worlds {
				if w.has(o.Path) && !w.certain(o.Path) {
					expected = true
					w.giveUp(o.Path)
				}
			}
			if o.State == "parked" && !expected {
				return fmt.Errorf("parked for no reason: %+v", o)
			}
			if _, _, err := s.m.Discard(o.Path); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("cannot deliver: %+v", s.m.Status())
}

func (w *world) has(p string) bool { return w.top == "/" || strings.HasPrefix(p, w.top+"/") }

// giveUp: of a patch to a file that is not there any more only the patch is kept.
func (w *world) giveUp(p string) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	for data, at := range w.s.alive {
		if at == p {
			delete(w.s.alive, data)
		}
	}
}

// sweep lists everything until what interrupted uploads have left is gone.
func (s *storm) sweep() error {
	for range 5 {
		var left []string
		for _, p := range s.disk.Paths() {
			if isTemp(path.Base(p)) && path.Base(p)[15] == 'u' {
				left = append(left, p)
			}
		}
		if left == nil {
			return nil
		}
		for _, p := range left {
			s.list(path.Dir(p))
		}
		time.Sleep(s.m.cfg.DirCacheTime + time.Second)
		for _, p := range left {
			s.list(path.Dir(p))
		}
		time.Sleep(time.Second)
	}
	return fmt.Errorf("temporary names are left on the server: %q", s.disk.Paths())
}

// compare reads the whole mount and the whole server, and returns what there is.
func (s *storm) compare() (map[string]value, error) {
	onDisk := map[string]value{}
	for _, p := range s.disk.Paths() {
		switch {
		case isTemp(path.Base(p)):
		case strings.HasSuffix(p, "/"):
			onDisk[strings.TrimSuffix(p, "/")] = value{kind: 'd'}
		default:
			data, err := s.disk.ReadFile(p)
			if err != nil {
				return nil, err
			}
			onDisk[p] = value{'f', string(data)}
			if err := s.checkWhole("server's "+p, string(data)); err != nil {
				return nil, err
			}
		}
	}
	inMount := 0
	var walk func(d string) error
	walk = func(d string) error {
		names, err := s.list(d)
		if err != nil {
			return fmt.Errorf("settled, list %s: %w", d, err)
		}
		for _, name := range names {
			p := join(d, name)
			inMount++
			switch v := onDisk[p]; v.kind {
			case 'd':
				if err := walk(p); err != nil {
					return err
				}
			case 'f':
				if got, err := s.m.read(p); err != nil || string(got) != v.data {
					return fmt.Errorf("settled, read %s: %v, err %v; the server has %v", p, value{'f', string(got)}, err, v)
				}
			default:
				return fmt.Errorf("settled, but the mount has %s and the server has not", p)
			}
		}
		return nil
	}
	if err := walk("/"); err != nil {
		return nil, err
	}
	if inMount != len(onDisk) {
		return nil, fmt.Errorf("settled, but the mount has %d names and the server %d: %q", inMount, len(onDisk), s.disk.Paths())
	}
	for _, w := range s.worlds {
		for p := range w.places {
			v, ok := onDisk[p]
			if !ok {
				v = absent
			}
			may := w.may(p)
			torn := w.at(p) != nil && w.at(p).torn || s.unsure(p)
			if !torn && !w.lax(p) && !slices.Contains(may, v) {
				return nil, fmt.Errorf("settled, but the server's %s is %v; want one of %v", p, v, may)
			}
		}
		for p := range onDisk {
			if w.has(p) && w.at(p) == nil && !w.lax(p) && !strings.Contains(p, ".conflict-") {
				return nil, fmt.Errorf("settled, but the server has %s, which nobody made", p)
			}
		}
	}
	return onDisk, nil
}

// adopt makes what there is what is certain.
func (w *world) adopt(onDisk map[string]value) {
	old := w.places
	w.places, w.loose = map[string]*place{}, map[string]bool{}
	for p, v := range onDisk {
		if !w.has(p) {
			continue
		}
		pl := &place{dir: v.kind == 'd'}
		if v.kind == 'f' {
			pl.file = &inode{data: []byte(v.data)}
			if o := old[p]; o != nil && o.file != nil && string(o.file.data) == v.data && !o.torn {
				pl.file = o.file
			}
		}
		w.places[p] = pl
	}
	for _, f := range w.handles {
		if !w.linked(f) {
			f.lax = true
		}
	}
}
