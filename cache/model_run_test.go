package cache

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// round is what all worlds do side by side, and then one thing that concerns them all.
type round struct {
	ops [][]op // of each world
	env string
	n   int
}

// figures of a run; ops are the operations that were done.
type figures struct{ tried, ops, faults, restarts, changes int64 }

func (f *figures) add(g figures) {
	f.tried += g.tried
	f.ops += g.ops
	f.faults += g.faults
	f.restarts += g.restarts
	f.changes += g.changes
}

var plans = []plan{
	{},
	{opts: mem.Options{CostlyStat: true, NoReplace: true}},
	{opts: mem.Options{MGrain: time.Minute, Unique: true}, cfg: func(c *Config) { c.DirCacheTime = 5 * time.Second; c.CacheSize = 50_000 }},
	{opts: mem.Options{NoTimes: true, NoModes: true, NoAppend: true}, cfg: func(c *Config) { c.PublishDelay = 400 * time.Millisecond }},
	{opts: mem.Options{Unique: true, CostlyStat: true}, cfg: func(c *Config) { c.SpoolSize = 400_000; c.PublishDelay = time.Second }},
	{worlds: 3, cfg: func(c *Config) { c.PublishDelay = 20 * time.Millisecond }},
	{worlds: 3, opts: mem.Options{NoReplace: true, Unique: true, MaxUploads: 2}, cfg: func(c *Config) { c.DirCacheTime = 3 * time.Second; c.MaxEntries = 30 }},
	{opts: mem.Options{MaxUploads: 2}, cfg: func(c *Config) { c.MaxDirtyAge = 500 * time.Millisecond; c.PublishDelay = 50 * time.Millisecond }},
	{calm: true},
	{opts: mem.Options{Unique: true, Ahead: 3}, cfg: func(c *Config) { c.eager = true; c.DirCacheTime = 5 * time.Second; c.CacheSize = 200_000 }},
	{worlds: 3, opts: mem.Options{Ahead: 2, CostlyStat: true}, cfg: func(c *Config) { c.eager = true; c.DirCacheTime = 20 * time.Second }},
	{opts: mem.Options{Unique: true, CostlyStat: true}, cfg: func(c *Config) { c.SpoolSize = 400_000; c.PublishDelay = time.Second; c.MaxDirtyAge = 2 * time.Second }},
}

// TestModelInAStorm runs random operations of this mount and of another client, with
// faults and restarts, and compares with what each name may be. See world and ledger.
func TestModelInAStorm(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64N(1e9)
	}
	for i := range plans {
		t.Run(fmt.Sprint("plan", i), func(t *testing.T) { stormy(t, i, seed, *modelOps/len(plans)) })
	}
}

// stormy runs one plan; a difference is reported with the fewest operations found that
// show it.
func stormy(t *testing.T, i int, seed uint64, ops int) figures {
	t.Helper()
	p := plans[i]
	p.seed, p.worlds = seed, max(1, p.worlds)
	var sum figures
	// Each weather is a mount of its own, so that a difference is found near its cause.
	for k := 0; int(sum.tried) < ops; k++ {
		p.seed = seed + uint64(k)
		made, log, f, err := p.run(t, min(ops-int(sum.tried), 400), nil)
		sum.add(f)
		if err != nil {
			short, log2, err2 := p.shorten(t, made, err)
			if err2 != nil {
				made, err = short, err2
				if log2 != nil {
					log = log2
				}
			}
			t.Fatalf("%v\nrepeat with -run '%s' -model.seed=%d -model.ops=%d; operations:\n%s\nlog:\n  %s",
				err, strings.ReplaceAll(t.Name(), "/", "$/^"), p.seed, 400*len(plans), text(made), strings.Join(log, "\n  "))
		}
	}
	return sum
}

func text(made []round) string {
	var b strings.Builder
	for _, rd := range made {
		for i, ops := range rd.ops {
			for _, o := range ops {
				fmt.Fprintf(&b, "  %d: %v\n", i, o)
			}
		}
		if rd.env != "" {
			fmt.Fprintf(&b, "  -- %s %d\n", rd.env, rd.n)
		}
	}
	return b.String()
}

// run makes up operations, or does those given, in a bubble of fake time.
func (p plan) run(t *testing.T, ops int, script []round) (made []round, log []string, f figures, err error) {
	dir, derr := os.MkdirTemp(memoryDir(), "ftpfs-model")
	if derr != nil {
		return nil, nil, f, derr
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		var s *storm
		if s, err = newStorm(p, dir); err != nil {
			return
		}
		defer func() {
			if r := recover(); r != nil {
				fmt.Printf("seed %d, plan %+v, operations:\n%s", p.seed, p, text(s.made))
				panic(r)
			}
		}()
		err = s.drive(p, ops, script)
		made = s.made
		log = s.notes.all()
		f = figures{s.ops.Load(), s.applied.Load(), s.faults.Load(), s.restarts.Load(), s.changes.Load()}
		s.rates.Store(&rates{})
		for _, w := range s.worlds {
			for _, o := range w.handles {
				o.h.Release()
			}
		}
		if cerr := s.close(); err == nil {
			err = cerr
		}
		if n := s.store.Readers(); err == nil && n != 0 {
			err = fmt.Errorf("%d transfers were never closed", n)
		}
	})
	return made, log, f, err
}

// memoryDir is where nothing waits for a disk; "" where there is none.
func memoryDir() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func (s *storm) drive(p plan, ops int, script []round) error {
	r := rand.New(rand.NewPCG(p.seed, 3))
	rands := make([]*rand.Rand, len(s.worlds))
	for i := range rands {
		rands[i] = rand.New(rand.NewPCG(p.seed, uint64(100+i)))
	}
	for k := 0; ; k++ {
		rd := round{ops: make([][]op, len(s.worlds))}
		replay := script != nil
		n := 1 + r.IntN(12)
		switch {
		case replay && k == len(script):
			return s.settle()
		case replay:
			rd = script[k]
		case int(s.ops.Load()) >= ops:
			return s.settle()
		default:
			rd.env, rd.n = s.weather(p, r), r.IntN(1000)
		}
		s.made = append(s.made, rd)
		errs := make([]error, len(s.worlds))
		work := func(i int) {
			if replay {
				for _, o := range rd.ops[i] {
					if errs[i] = s.one(s.worlds[i], o); errs[i] != nil {
						return
					}
				}
				return
			}
			for range n {
				o := s.worlds[i].next(rands[i])
				rd.ops[i] = append(rd.ops[i], o)
				if errs[i] = s.one(s.worlds[i], o); errs[i] != nil {
					return
				}
			}
		}
		if len(s.worlds) == 1 {
			work(0)
		} else {
			var wg sync.WaitGroup
			for i := range s.worlds {
				wg.Go(func() { work(i) })
			}
			wg.Wait()
		}
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		if err := s.env(rd); err != nil {
			return fmt.Errorf("%s: %w", rd.env, err)
		}
	}
}

// one does an operation, and looks at something else besides.
func (s *storm) one(w *world, o op) error {
	s.ops.Add(1)
	if len(s.worlds) == 1 {
		synctest.Wait()
	}
	if err := w.do(o); err != nil {
		return fmt.Errorf("%v: %w", o, err)
	}
	r := rand.New(rand.NewPCG(o.seed, 9))
	if p := pick(w.paths(false), r); p != "" && r.IntN(3) == 0 {
		if err := w.checkFile(p); err != nil {
			return fmt.Errorf("after %v: %w", o, err)
		}
	}
	if r.IntN(3) == 0 {
		if err := w.checkDir(pick(w.paths(true), r)); err != nil {
			return fmt.Errorf("after %v: %w", o, err)
		}
	}
	return nil
}

func (s *storm) weather(p plan, r *rand.Rand) string {
	k := r.IntN(100)
	switch {
	case k < 12:
		return "settle"
	case k < 16:
		return "restart"
	case k < 20:
		return "kill"
	case p.calm:
		return ""
	case k < 32:
		return "faults"
	case k < 38:
		return "offline"
	case k < 50:
		return "online"
	}
	return ""
}

func (s *storm) env(rd round) error {
	switch rd.env {
	case "settle":
		if rd.n%2 == 0 {
			for _, w := range s.worlds {
				if err := w.closeAll(); err != nil {
					return err
				}
			}
		}
		return s.settle()
	case "restart":
		return s.restart(false)
	case "kill":
		return s.restart(true)
	case "faults":
		s.shaky.Store(true)
		s.rates.Store(&rates{before: rd.n % 7 * 30, after: rd.n % 5 * 30, slow: rd.n % 3 * 100})
	case "offline":
		s.shaky.Store(true)
		s.store.SetOnline(false)
	case "online":
		s.store.SetOnline(true)
	}
	return nil
}

// class of a difference: its words without names and numbers.
func class(err error) string {
	if strings.Contains(err.Error(), "lost: ") {
		return "lost"
	}
	var words []string
	for _, f := range strings.Fields(err.Error()) {
		if !strings.ContainsAny(f, "/0123456789=\"") {
			words = append(words, f)
		}
	}
	return strings.Join(words[max(0, len(words)-4):], " ")
}

// about keeps the operations on names that the difference speaks of, on what is above and
// below them, and what concerns all.
func about(made []round, found error) []round {
	var names []string
	for _, f := range strings.FieldsFunc(found.Error(), func(r rune) bool { return r == ' ' || r == ':' || r == ',' || r == ';' }) {
		if strings.HasPrefix(f, "/") && f != "/" {
			names = append(names, f)
		}
	}
	concerns := func(p string) bool {
		return p != "" && slices.ContainsFunc(names, func(n string) bool {
			return p == n || strings.HasPrefix(n, p+"/") || strings.HasPrefix(p, n+"/")
		})
	}
	var out []round
	for _, rd := range made {
		kept := round{env: rd.env, n: rd.n, ops: make([][]op, len(rd.ops))}
		for i, ops := range rd.ops {
			for _, o := range ops {
				if concerns(o.p) || concerns(o.q) || strings.HasPrefix(o.kind, "h") {
					kept.ops[i] = append(kept.ops[i], o)
				}
			}
		}
		out = append(out, kept)
	}
	return out
}

// shorten leaves operations out as long as what is left still shows a difference.
func (p plan) shorten(t *testing.T, made []round, found error) ([]round, []string, error) {
	var log []string
	best, deadline := made, time.Now().Add(20*time.Second)
	err := error(nil)
	try := func(c []round) bool {
		_, l, _, e := p.run(t, 0, c)
		if e == nil || class(e) != class(found) {
			return false
		}
		best, log, err = c, l, e
		return true
	}
	for n := 0; !try(made); n++ { // it may depend on what runs side by side
		if n == 5 {
			return about(made, found), nil, found
		}
	}
	for size := len(best) / 2; size > 0 && time.Now().Before(deadline); size /= 2 {
		for at := 0; at+size <= len(best) && time.Now().Before(deadline); {
			if !try(slices.Delete(slices.Clone(best), at, at+size)) {
				at += size
			}
		}
	}
	for k := 0; k < len(best) && time.Now().Before(deadline); k++ { // single operations
		for i := range best[k].ops {
			for j := 0; j < len(best[k].ops[i]) && time.Now().Before(deadline); {
				c := slices.Clone(best)
				c[k].ops = slices.Clone(c[k].ops)
				c[k].ops[i] = slices.Delete(slices.Clone(c[k].ops[i]), j, j+1)
				if !try(c) {
					j++
				}
			}
		}
	}
	return best, log, err
}
