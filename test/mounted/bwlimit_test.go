package mounted

import (
	"testing"
	"time"

	"ftpfs/test/ftpscript"
)

// bwlimit=UP:DOWN holds back uploads by the first and downloads by the second.
func TestBwlimit(t *testing.T) {
	t.Parallel() // it mostly waits
	const slow, n = 256 << 10, 640 << 10
	least := time.Duration(n-slow) * time.Second / slow // a quarter of a second's worth moves at once
	data := noise(5, n)
	for limit, c := range map[string]struct{ up, down bool }{"256k:off": {up: true}, "off:256k": {down: true}, "256k": {true, true}} {
		srv, m := scripted(t, ftpscript.Options{}, "bwlimit="+limit)
		srv.Tree.Put("/theirs", data)
		begun := time.Now()
		holds(t, m.Path("theirs"), data)
		down := time.Since(begun)
		begun = time.Now()
		put(t, m.Path("ours"), data)
		syncNow(t, m)
		up := time.Since(begun)
		if got, _ := srv.Tree.Get("/ours"); len(got) != n {
			t.Errorf("%s: %d bytes are on the server", limit, len(got))
		}
		if c.down && down < least || c.up && up < least {
			t.Errorf("%s: %v down, %v up, want %v at least for what is held back", limit, down, up, least)
		}
		if !c.down && c.up && down > up || !c.up && c.down && up > down {
			t.Errorf("%s: %v down, %v up: the wrong one is held back", limit, down, up)
		}
	}
}
