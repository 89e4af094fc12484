package spool

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftpfs/cache/spool/cutdisk"
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

	intents []promise      // by their sequence number
	dropped map[uint64]int // when somebody began to give an id up
	shm     string
	story   []string
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
	sum            uint32 // of the content then
}

func (o *owner) now() int { return len(o.rec.log) }

func (o *owner) say(format string, args ...any) {
	o.story = append(o.story, fmt.Sprintf("%d: ", o.now())+fmt.Sprintf(format, args...))
}

func (o *owner) put(w *owned) {
	if err := o.s.Put(w.r); err != nil {
		o.t.Fatal(err)
	}
	w.want = promise{id: w.r.ID, size: w.r.Size, open: w.r.Open, sum: w.sum()}
}

// sum is of the content as a reader sees it now.
func (w *owned) sum() uint32 {
	b, err := os.ReadFile(w.f.Name())
	if err != nil {
		panic(err)
	}
	return crc32.ChecksumIEEE(cutTo(b, w.r.Size))
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
	o.rec.log = append(o.rec.log, cutdisk.Event{Op: "data", Path: w.f.Name(), Off: off, B: b})
	w.r.Have.Add(off, off+n)
	w.r.Dirty.Add(off, off+n)
	w.r.Size = max(w.r.Size, off+n)
}

// step is something at random.
func (o *owner) step() {
	if len(o.files) == 0 || o.rnd.IntN(6) == 0 {
		o.create()
	}
	w := o.files[o.rnd.IntN(len(o.files))]
	switch o.rnd.IntN(12) {
	case 0, 1: // somewhere, perhaps the last before the close
		o.patch(w, o.rnd.Int64N(w.r.Size+1), 1+o.rnd.Int64N(40), o.rnd.IntN(3) == 0)
	case 2:
		o.attempt(w, o.rnd.IntN(4)*900) // over sectors, and past the slot
	case 3:
		o.sync(w)
	case 4:
		o.group()
	case 5:
		o.truncate(w, o.rnd.Int64N(w.r.Size+1))
	case 6:
		o.rename(w, 1+o.rnd.IntN(3)*500)
	case 7:
		o.drop(w)
	case 8:
		o.punch(w)
	case 9:
		o.intent()
	case 10:
		o.settle()
	case 11:
		o.detach(w)
	}
}

// script is a life in which each thing a spool does happens at least once, and those
// that lean on each other in the order in which they can hurt: a record grows past its
// slot, a file becomes a spare and is used again, content shrinks after it was synced.
func (o *owner) script() {
	o.create()
	a := o.files[0]
	o.patch(a, 0, 30, true)
	o.patch(a, 30, 4200, false) // more than a page
	o.sync(a)
	o.patch(a, 10, 5, true) // in place, over what was synced
	o.attempt(a, 0)
	o.intent()
	o.create()
	b := o.files[1]
	o.patch(b, 0, 20, false)
	o.attempt(b, 1800) // past the slot
	o.group()
	o.rename(b, 500)
	o.truncate(a, 7)
	o.drop(b) // its record becomes a spare
	o.settle()
	o.group() // and can be used again
	o.create()
	c := o.files[1]
	o.patch(c, 0, 9, false)
	o.attempt(c, 0)
	o.sync(c)
	o.punch(c)
	o.patch(c, 0, 3, true)
	o.sync(c)
	o.detach(a)
	o.group()
	o.create()
	o.create()
	o.sync(o.files[2]) // empty
	o.drop(o.files[1])
	o.intent()
	o.drop(c)
	o.group()
	o.create()
	o.patch(o.files[len(o.files)-1], 0, 12, false)
	o.settle()
}

// gone closes what is not owed any more.
func (o *owner) gone(w *owned) {
	w.f.Close()
	o.files = slices.DeleteFunc(o.files, func(x *owned) bool { return x == w })
}

func (o *owner) create() {
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

func (o *owner) patch(w *owned, off, n int64, open bool) {
	r := w.r
	w.change(o.now())
	if !r.Open {
		r.Open = true
		o.put(w)
	}
	o.write(w, off, n)
	r.Open = open
	o.say("write %d [%d,%d) open %v", r.ID, off, off+n, r.Open)
	o.put(w)
}

func (o *owner) attempt(w *owned, text int) {
	o.say("attempt %d", w.r.ID)
	w.r.Attempts++
	w.r.LastError = strings.Repeat("e", text)
	o.put(w)
}

func (o *owner) sync(w *owned) {
	o.say("sync %d", w.r.ID)
	if err := o.s.Sync(w.r, w.f); err != nil {
		o.t.Fatal(err)
	}
	w.want = promise{id: w.r.ID, size: w.r.Size, open: w.r.Open, sum: w.sum()}
	o.durable(w)
}

func (o *owner) group() {
	o.say("group sync")
	if err := o.s.groupSync(); err != nil {
		o.t.Fatal(err)
	}
	for _, w := range o.files {
		o.durable(w)
	}
}

// truncate cuts off, and writes again behind a hole.
func (o *owner) truncate(w *owned, size int64) {
	r := w.r
	o.say("truncate %d to %d", r.ID, size)
	o.release(w)
	r.Open, r.Size = true, size
	r.Have.Truncate(size)
	r.Dirty.Truncate(size)
	o.put(w)
	if err := w.f.Truncate(size); err != nil {
		o.t.Fatal(err)
	}
	o.rec.log = append(o.rec.log, cutdisk.Event{Op: "truncate", Path: w.f.Name(), Off: size})
	o.write(w, size+100, 5)
	r.Open = false
	o.put(w)
}

// punch gives up the first half of what is held, as an upload does that has no room.
func (o *owner) punch(w *owned) {
	r := w.r
	end := r.Have.End() / 2
	if end == 0 {
		return
	}
	o.say("punch %d up to %d", r.ID, end)
	o.release(w)
	r.Have.Remove(0, end)
	r.Dirty.Remove(0, end)
	o.put(w)
	hole := make([]byte, end) // what it reads as
	if _, err := w.f.WriteAt(hole, 0); err != nil {
		o.t.Fatal(err)
	}
	o.rec.log = append(o.rec.log, cutdisk.Event{Op: "data", Path: w.f.Name(), B: hole})
	w.want.sum = w.sum()
}

func (o *owner) rename(w *owned, n int) {
	o.say("rename %d", w.r.ID)
	w.r.Path += strings.Repeat("r", n)
	o.put(w)
}

func (o *owner) drop(w *owned) {
	o.say("drop %d", w.r.ID)
	o.release(w)
	o.dropped[w.r.ID] = o.now()
	if err := o.s.Drop(w.r.ID); err != nil {
		o.t.Fatal(err)
	}
	o.gone(w)
}

// detach hands the data to the cache, which lies beside the spool.
func (o *owner) detach(w *owned) {
	o.say("detach %d", w.r.ID)
	o.release(w)
	o.dropped[w.r.ID] = o.now()
	if err := o.s.Detach(w.r.ID, filepath.Join(o.s.dir, fmt.Sprint("cached", w.r.ID))); err != nil {
		o.t.Fatal(err)
	}
	o.gone(w)
}

func (o *owner) intent() {
	in := Intent{From: "/a", To: fmt.Sprint("/b", o.now())}
	if err := o.s.PutIntent(&in); err != nil {
		o.t.Fatal(err)
	}
	o.say("intent %d", in.Seq)
	o.intents = append(o.intents, promise{id: in.Seq, from: o.now()})
}

// settle drops the oldest intent.
func (o *owner) settle() {
	for i := range o.intents {
		if p := &o.intents[i]; p.until == 0 {
			o.say("settle intent %d", p.id)
			p.until = max(o.now(), 1)
			if err := o.s.DropIntent(p.id); err != nil {
				o.t.Fatal(err)
			}
			return
		}
	}
}

// At any cut of the power, after each single step of a life: no record that is loaded
// claims a byte that is not in its data file, whatever was synced is there with its
// content, what was not written to since may be published, no content is gone that
// nobody gave up, and the same is true at the start after.
func TestPowerCut(t *testing.T) {
	prefixes, cuts := 0, 0
	for seed := range *powercutSeeds + 1 {
		o := &owner{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), rec: &recorder{disk: newDisk("b1")}, dropped: map[uint64]int{}}
		dir := t.TempDir()
		o.s = mustOpen(t, o.rec, dir)
		close(o.s.stop) // the group sync comes when the owner says so
		o.s.done.Wait()
		o.s.stop = make(chan struct{})
		mustLoad(t, o.s)
		start := o.now()
		if seed == 0 {
			o.script()
		} else {
			for range 30 {
				o.step()
			}
		}
		promises := o.ended
		for _, w := range o.files {
			promises = append(promises, w.kept...)
			w.f.Close()
		}
		log := o.rec.log
		for k := start; k <= len(log); k++ {
			prefixes++
			for _, v := range cutdisk.Variants {
				o.verify(log, k, v.NamesOf(log, k), v.Content, dir, promises, seed)
				cuts++
				if t.Failed() {
					t.Fatalf("the story:\n%s", strings.Join(o.story, "\n"))
				}
			}
		}
	}
	t.Logf("figure: power cuts: %d prefixes × %d variants = %d starts of the spool, 0 lost", prefixes, len(cutdisk.Variants), cuts)
}

func (o *owner) verify(log []cutdisk.Event, k, j int, content, from string, promises []promise, seed uint64) {
	t := o.t
	dir, err := os.MkdirTemp(o.tmp(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := cutdisk.Cut(log, k, j, content, from, dir, o.rnd); err != nil {
		t.Fatal(err)
	}
	when := fmt.Sprintf("seed %d, cut after %d, names of %d, content %s", seed, k, j, content)
	before := contents(t, dir)
	d := newDisk("b2")
	s := mustOpen(t, d, dir)
	recs, intents, err := s.Load(context.Background())
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	found := map[uint64]Record{}
	for _, r := range recs {
		found[r.ID] = r
		b, err := os.ReadFile(filepath.Join(dir, "data", fmt.Sprint(r.ID)))
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
		for _, h := range r.Have.Ranges() {
			if int64(len(b)) < h.End || bytes.IndexByte(b[h.Off:h.End], 0) >= 0 {
				t.Errorf("%s: %s claims %v, the data is %.200q", when, r.Path, r.Have, b)
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
		settled := p.settled == 0 || k <= p.settled
		if r.Interrupted && !p.open && settled {
			t.Errorf("%s: promised %+v, but it is interrupted", when, p)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "data", fmt.Sprint(r.ID))); ok && settled && (err != nil || crc32.ChecksumIEEE(cutTo(b, p.size)) != p.sum) {
			t.Errorf("%s: promised %+v, the data is not what was synced: %v %.200q", when, p, err, b)
		}
	}
	for _, p := range o.intents {
		there := slices.ContainsFunc(intents, func(in Intent) bool { return in.Seq == p.id })
		if !there && k >= p.from && (p.until == 0 || k <= p.until) {
			t.Errorf("%s: the rename %d is forgotten", when, p.id)
		}
	}
	// What nobody had given up is in the queue or in quarantine.
	after := contents(t, dir)
	for name, b := range before {
		id, _, _ := number(filepath.Base(name))
		if at, ok := o.dropped[id]; ok && k > at || len(b) == 0 || filepath.Dir(name) != "data" {
			continue
		}
		if kept := after[name]; bytes.Equal(kept, b) {
			continue
		}
		if kept, ok := after[fmt.Sprintf("quarantine/%d.data", id)]; !ok || !bytes.Equal(kept, b) {
			t.Errorf("%s: %s with %d bytes is neither in the queue nor in quarantine", when, name, len(b))
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

// tmp is in memory where there is room: what is synced here need not last.
func (o *owner) tmp() string {
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		if o.shm == "" {
			if o.shm, err = os.MkdirTemp("/dev/shm", "ftpfs-powercut"); err != nil {
				return o.t.TempDir()
			}
			o.t.Cleanup(func() { os.RemoveAll(o.shm) })
		}
		return o.shm
	}
	return o.t.TempDir()
}

// contents is all that is in data and in quarantine.
func contents(t *testing.T, dir string) map[string][]byte {
	all := map[string][]byte{}
	for _, d := range []string{"data", "quarantine"} {
		names, _ := filepath.Glob(filepath.Join(dir, d, "*"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[d+"/"+filepath.Base(name)] = b
		}
	}
	return all
}

// cutTo returns b with n bytes, those it has not are zeros.
func cutTo(b []byte, n int64) []byte { return append(b, make([]byte, n)...)[:n] }
