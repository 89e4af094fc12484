package ftpconn

import (
	"context"
	"io"
	"time"

	"golang.org/x/time/rate"
)

// Rates bound what the transfers of files may move, all of a Store together, in bytes a
// second; 0 is no bound. Listings and commands are not counted, nor held up.
type Rates struct {
	Up, Down int64
}

// throttle is one direction's bound; nil is none. A piece is a quarter of a second's
// worth, so that bytes flow rather than come in gusts, and none waits longer than that
// for itself: no step's timeout is spent here, since each begins when a piece is due.
type throttle struct {
	bucket *rate.Limiter
	piece  int
}

func newThrottle(bytes int64) *throttle {
	if bytes <= 0 {
		return nil
	}
	piece := int(min(max(bytes/4, 1), 1<<20))
	return &throttle{rate.NewLimiter(rate.Limit(bytes), piece), piece}
}

// slowed is a reader within a bound.
type slowed struct {
	io.Reader
	ctx   context.Context
	bound *throttle
}

func (s slowed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(s.bound.part(p))
	if werr := s.bound.moved(s.ctx, n); werr != nil && err == nil {
		err = werr
	}
	return n, err
}

// part is as much of p as may move at once.
func (t *throttle) part(p []byte) []byte {
	if t == nil {
		return p
	}
	return p[:min(len(p), t.piece)]
}

// moved waits until n bytes more were in order.
func (t *throttle) moved(ctx context.Context, n int) error {
	if t == nil || n <= 0 {
		return nil
	}
	r := t.bucket.ReserveN(time.Now(), n)
	wait := r.Delay()
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
