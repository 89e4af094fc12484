package cache

import (
	"testing"

	"ftpfs/cache/remote/mem"
)

// Once it was said that an upload may be cut and begun again, nothing of it is dropped;
// and of a file that waits for room, or lacks something, it is not said.
func TestWhatBeginsAgainIsNotDropped(t *testing.T) {
	c := new(content)
	d := &feed{c: c}
	for what, f := range map[string]func(){
		"somebody waits for room": func() { c.gone, c.squeezed = 0, 1 },
		"a part is gone":          func() { c.gone, c.squeezed = 5, 0 },
	} {
		if f(); d.Again() || c.restarts {
			t.Errorf("%s: it may be begun again", what)
		}
	}
	c.gone, c.squeezed = 0, 0
	if !d.Again() || !c.restarts {
		t.Error("what is here as a whole may not be begun again")
	}
}

// Between that word and the upload that begins again nothing is given up, whatever the
// server is said to have: the temporary file will be written anew, from the start.
func TestNothingIsDroppedBeforeAnUploadBeginsAgain(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), func(c *Config) { smallSpool(c); c.earlyStep = 64 << 10 })
	data := pattern(3, 900<<10)
	h := m.make("/big")
	m.writeAt(h, data, 0)
	f := m.fileAt("/big")
	c := f.cur
	var temp string
	m.until("a part was sent", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		temp = f.tempPathLocked()
		return temp != "" && c.intactLocked() == int64(len(data))
	})
	if !(&feed{c: c}).Again() {
		t.Fatal("what is here as a whole may not be begun again")
	}
	gone := func() int64 {
		m.must(f.drop(c, temp, 100<<10))
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.gone
	}
	if n := gone(); n != 0 {
		t.Errorf("%d bytes were dropped of what begins again", n)
	}
	m.wantRead("/big", string(data))
	c.mu.Lock()
	c.restarts = false // it has begun
	c.mu.Unlock()
	if n := gone(); n != 100<<10 {
		t.Errorf("%d bytes were dropped of what was sent", n)
	}
	m.closeFile(h)
	m.holdsNow("/big", data)
}
