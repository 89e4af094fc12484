package cache

import "testing"

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
