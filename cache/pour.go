package cache

import (
	"context"
	"sync"
	"time"
)

const (
	pourGap  = 100 * time.Millisecond // between two creations of a row, at most
	pourRow  = 16                     // creations that make a row
	pourHold = 4                      // times PublishDelay: the longest that a file waits for one to end
)

// pour notices that a program makes one file after the other, as cp -r, tar and git
// checkout do. Such a program waits for nothing but the processor, and each publication
// takes several times as much of that as accepting a file does. So publications wait until
// the row is over. What has waited for four times PublishDelay does not: where more is made
// than can be sent in that time, the uploads are as busy as without all this. Nor does
// anything while somebody waits for a file to be on the server, or for room in the spool.
type pour struct {
	mu   sync.Mutex // guards what follows; a leaf
	last time.Time  // of the creations
	row  int        // how many there were in a row
	wish time.Time  // when somebody last began to wait for a publication
}

// born counts a creation.
func (p *pour) born(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last) > pourGap {
		p.row = 0
	}
	p.last = now
	p.row++
}

// waited notes that somebody waits for a publication from now on. What is due by then is
// not held back any more: when the note has grown old, that has waited long enough.
func (p *pour) waited(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wish = now
}

// wait is how long a publication that has been due for so long (late), and is held back
// for most at most, has to wait before it is asked about again.
func (p *pour) wait(now time.Time, late, most time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.row < pourRow || now.Sub(p.wish) < most {
		return 0
	}
	return max(0, min(pourGap-now.Sub(p.last), most-late))
}

// reserve is space.reserve, and uploads, which make room, are not held back for a row meanwhile.
func (t *Tree) reserve(ctx context.Context, n int64) error {
	if t.space.try(n) {
		return nil
	}
	t.pour.waited(time.Now())
	return t.space.reserve(ctx, n)
}
