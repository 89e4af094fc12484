package spool

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var powercutSeeds = flag.Uint64("powercut.seeds", 4, "random lives to cut the power on")

// owner does to the spool what a careful owner does, at random, and keeps what it
// was promised.
type owner struct {
	t     *testing.T
	rnd   *rand.Rand
	rec   *recorder
	s     *Spool
	files []*owned
	ended []promise
	story []string
}

// owned is a file in the hands of the owner.
type owned struct {
	r    *Record
	f    *os.File
	kept []promise
	want promise // what the last Put said, if that became durable
}

// promise: in a cut after from and not after until events, the file's record is
// there and holds at least size bytes; and unless the content was changed after
// settled events, it may be published.
type promise struct {
	id             uint64
	from           int
	until, settled int // 0: still so
	size           int64
	open           bool
}

func (o *owner) now() int { return len(o.rec.log) }

func (o *owner) say(format string, args ...any) {
	o.story = append(o.story, fmt.Sprintf("%d: ", o.now())+fmt.Sprintf(format, args...))
}

func (o *owner) put(w *owned) {
	if err := o.s.Put(w.r); err != nil {
		o.t.Fatal(err)
	}
	w.want = promise{id: w.r.ID, size: w.r.Size, open: w.r.Open}
}

func (o *owner) durable(w *owned) {
	p := w.want
	p.from = o.now()
	w.kept = append(w.kept, p)
}

// change ends the promise that the file may be published.
func (w *owned) change(now int) {
	for i := range w.kept {
		if w.kept[i].settled == 0 {
			w.kept[i].settled = now
		}
	}
}

// release ends all promises.
func (o *owner) release(w *owned) {
	for _, p := range w.kept {
		p.until = o.now()
		o.ended = append(o.ended, p)
	}
	w.kept = nil
}

func (o *owner) write(w *owned, off, n int64) {
	b := bytes.Repeat([]byte{byte('a' + o.rnd.IntN(26))}, int(n))
	if _, err := w.f.WriteAt(b, off); err != nil {
		o.t.Fatal(err)
	}
	o.rec.log = append(o.rec.log, event{op: "data", path: w.f.Name(), off: off, b: b})
	w.r.Have.Add(off, off+n)
	w.r.Dirty.Add(off, off+n)
	w.r.Size = max(w.r.Size, off+n)
}

func (o *owner) step() {
	if len(o.files) == 0 || o.rnd.IntN(6) == 0 {
		w := &owned{r: &Record{ID: o.s.NewID(), Open: true}}
		w.r.Path = fmt.Sprint("/", w.r.ID)
		o.say("create %d", w.r.ID)
		var err error
		if w.f, err = o.s.Create(w.r.ID); err != nil {
			o.t.Fatal(err)
		}
		o.put(w)
		o.files = append(o.files, w)
	}
	i := o.rnd.IntN(len(o.files))
	w := o.files[i]
	r := w.r
	switch o.rnd.IntN(8) {
	case 0, 1: // write somewhere, perhaps close
		off, n := o.rnd.Int64N(r.Size+1), 1+o.rnd.Int64N(40)
		w.change(o.now())
		if !r.Open {
			r.Open = true
			o.put(w)
		}
		o.write(w, off, n)
		r.Open = o.rnd.IntN(3) == 0
		o.say("write %d [%d,%d) open %v", r.ID, off, off+n, r.Open)
		o.put(w)
	case 2:
		o.say("attempt %d", r.ID)
		r.Attempts++
		r.LastError = strings.Repeat("e", o.rnd.IntN(4)*900) // over sectors, and past the slot
		o.put(w)
	case 3:
		o.say("sync %d", r.ID)
		if err := o.s.Sync(r, w.f); err != nil {
			o.t.Fatal(err)
		}
		w.want = promise{id: r.ID, size: r.Size, open: r.Open}
		o.durable(w)
	case 4:
		o.say("group sync")
		if err := o.s.groupSync(); err != nil {
			o.t.Fatal(err)
		}
		for _, w := range o.files {
			o.durable(w)
		}
	case 5: // cut off, and write again behind a hole
		size := o.rnd.Int64N(r.Size + 1)
		o.say("truncate %d to %d", r.ID, size)
		o.release(w)
		r.Open, r.Size = true, size
		r.Have.Truncate(size)
		r.Dirty.Truncate(size)
		o.put(w)
		if err := w.f.Truncate(size); err != nil {
			o.t.Fatal(err)
		}
		o.rec.log = append(o.rec.log, event{op: "truncate", path: w.f.Name(), off: size})
		o.write(w, size+100, 5)
		r.Open = false
		o.put(w)
	case 6:
		o.say("rename %d", r.ID)
		r.Path += strings.Repeat("r", 1+o.rnd.IntN(3)*500)
		o.put(w)
	case 7:
		o.say("drop %d", r.ID)
		o.release(w)
		if err := o.s.Drop(r.ID); err != nil {
			o.t.Fatal(err)
		}
		w.f.Close()
		o.files = append(o.files[:i], o.files[i+1:]...)
	}
}

// At any cut of the power: no record that is loaded claims a byte that is not in
// its data file, whatever was synced is there, what was not written to since may
// be published, and the same is true at the start after.
func TestPowerCut(t *testing.T) {
	for seed := range *powercutSeeds {
		o := &owner{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), rec: &recorder{disk: newDisk("b1")}}
		dir := t.TempDir()
		o.s = mustOpen(t, o.rec, dir)
		close(o.s.stop) // the group sync comes when the owner says so
		o.s.done.Wait()
		o.s.stop = make(chan struct{})
		mustLoad(t, o.s)
		start := o.now()
		for range 25 {
			o.step()
		}
		promises := o.ended
		for _, w := range o.files {
			promises = append(promises, w.kept...)
			w.f.Close()
		}
		log := o.rec.log
		for k := start; k <= len(log); k++ {
			for range 2 {
				j := barrier(log, k)
				j += o.rnd.IntN(k - j + 1)
				content := []string{"synced", "hollow", "live", "mixed", "mixed"}[o.rnd.IntN(5)]
				o.verify(log, k, j, content, dir, promises, seed)
				if t.Failed() {
					t.Fatalf("the story:\n%s", strings.Join(o.story, "\n"))
				}
			}
		}
	}
}

func (o *owner) verify(log []event, k, j int, content, from string, promises []promise, seed uint64) {
	t := o.t
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cut(t, log, k, j, content, from, dir, o.rnd)
	when := fmt.Sprintf("seed %d, cut after %d, names of %d, content %s", seed, k, j, content)
	d := newDisk("b2")
	s := mustOpen(t, d, dir)
	recs := mustLoad(t, s)
	found := map[uint64]Record{}
	for _, r := range recs {
		found[r.ID] = r
		b, err := os.ReadFile(filepath.Join(dir, "data", fmt.Sprint(r.ID)))
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
		for _, h := range r.Have.Ranges() {
			if int64(len(b)) < h.End || bytes.IndexByte(b[h.Off:h.End], 0) >= 0 {
				t.Errorf("%s: %s claims %v, the data is %q", when, r.Path, r.Have, b)
			}
		}
	}
	for _, p := range promises {
		if k < p.from || p.until != 0 && k > p.until {
			continue
		}
		r, ok := found[p.id]
		if !ok || r.Size < p.size {
			t.Errorf("%s: promised %+v, found %v %+v", when, p, ok, r)
		}
		if r.Interrupted && !p.open && (p.settled == 0 || k <= p.settled) {
			t.Errorf("%s: promised %+v, but it is interrupted", when, p)
		}
	}
	put(t, s, &Record{ID: s.NewID(), Path: "/new", Dir: true})
	if err := s.groupSync(); err != nil {
		t.Error(err)
	}
	stop(s, d)
	s = mustOpen(t, newDisk("b3"), dir)
	if again := mustLoad(t, s); paths(again) != strings.TrimSpace(paths(recs)+" /new") {
		t.Errorf("%s: first %s, at the next start %s", when, paths(recs), paths(again))
	}
	s.Close()
}
