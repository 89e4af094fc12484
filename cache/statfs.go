package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

const (
	// spaceTime is how long the server's figures are answered without asking again, also
	// where dir_cache_time is 0: desktops and monitors ask every few seconds.
	spaceTime = 10 * time.Second

	// spacePatience is how long a caller waits for new figures where there are old ones.
	spacePatience = time.Second
)

// serverSpace is what the server told of its space. Tree.mu guards it.
type serverSpace struct {
	told   remote.Space
	ever   bool          // told is an answer, be it that the server does not tell
	at     time.Time     // of the last answer or failure
	asking chan struct{} // closed when the question under way has its answer; nil: there is none
}

// Statfs returns the server's space; unknown parts are -1. While the server is down it
// answers at once with what was last known. A server that is slow is waited for, but not
// for long once anything is known.
func (t *Tree) Statfs(ctx context.Context) (remote.Space, error) {
	asking, known := t.askSpace()
	if asking != nil {
		var enough <-chan time.Time
		if known {
			timer := time.NewTimer(spacePatience)
			defer timer.Stop()
			enough = timer.C
		}
		select {
		case <-asking:
		case <-enough:
		case <-ctx.Done():
			return remote.Space{}, canceled("statfs", t.root, ctx)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spaceLocked(), nil
}

// spaceLocked is what was told, and the quota where the server leaves the total open.
// Where nothing tells what is used of it, all of it is free.
func (t *Tree) spaceLocked() remote.Space {
	s := remote.Space{Total: -1, Free: -1}
	if t.spaceThere.ever {
		s = t.spaceThere.told
	}
	if q := t.cfg.Quota; q > 0 && s.Total < 0 {
		s.Total = q
		if s.Free < 0 || s.Free > q {
			s.Free = q
		}
	}
	return s
}

// askSpace sees to it that the server is asked, by one question for all who want to know.
// It returns what to wait for, nil if that is nothing, and whether there are old figures.
func (t *Tree) askSpace() (asking <-chan struct{}, known bool) {
	if h, ok := t.store.(health); ok {
		if up, _, _ := h.Health(); !up {
			return nil, true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := &t.spaceThere
	if age := time.Since(d.at); d.asking == nil && (d.at.IsZero() || age < 0 || age >= spaceTime) {
		done := make(chan struct{})
		if t.spawn(func() { t.hearSpace(done) }) {
			d.asking = done
		}
	}
	if d.asking == nil {
		return nil, true
	}
	return d.asking, d.ever
}

// hearSpace asks the server and closes done. A failure changes nothing of what is known.
func (t *Tree) hearSpace(done chan struct{}) {
	s, err := t.store.Statfs(t.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	d := &t.spaceThere
	switch {
	case err == nil:
		d.told, d.ever = s, true
	case remote.Is(err, remote.Unsupported):
		d.told, d.ever = remote.Space{Total: -1, Free: -1}, true
	}
	d.at, d.asking = time.Now(), nil
	close(done)
}
