package ftpconn

import (
	"context"
	"errors"
	"sync"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// health is whether the server answers. Once it counts as down every call fails
// at once, and one goroutine tries to log in until that succeeds. When one
// operation got no answer, which may be that one session's or one file's trouble,
// the first try comes at once and calls wait for it, for no longer than grace.
type health struct {
	store *Store

	mu      sync.Mutex
	isDown  bool
	since   time.Time // of the present state
	last    error     // why it is, or last was, down
	notify  []func(up bool)
	probing bool
	doubted chan struct{} // closed when the first try has ended; nil: there was no doubt
}

func (h *health) init(s *Store) {
	h.store = s
	h.since = time.Now()
}

// Health reports whether the server answers, since when, and the failure that
// made it count as down last. Before the first connection it counts as up.
func (s *Store) Health() (up bool, since time.Time, last error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.isDown, h.since, h.last
}

// OnHealth calls f, from a goroutine of the Store, whenever the server is found
// down or is back. f must not block. Call it before the Store is used.
func (s *Store) OnHealth(f func(up bool)) {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	s.health.notify = append(s.health.notify, f)
}

// gate fails while the server is down, after waiting for the end of a doubt.
func (h *health) gate(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.isDown && h.doubted != nil {
		doubted := h.doubted
		h.mu.Unlock()
		select {
		case <-doubted:
		case <-ctx.Done():
		case <-h.store.ctx.Done():
			h.mu.Lock()
			return fault(remote.Canceled, "closed")
		}
		h.mu.Lock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if !h.isDown {
		return nil
	}
	return h.errorLocked()
}

func (h *health) errorLocked() error {
	kind := remote.Down
	if remote.Is(h.last, remote.Auth) {
		kind = remote.Auth
	}
	return &remote.Error{Kind: kind, Text: "since " + h.since.Format(time.TimeOnly), Err: h.last}
}

// grace is how long a doubt may last: a login takes a few round trips, and some
// servers hash passwords for seconds. A short timeout does not make logins fast: a
// quarter of it would call a server down that is well.
func (h *health) grace() time.Duration {
	t := h.store.cfg.Timeout
	return min(5*time.Second, max(t/4, min(t, 2*time.Second)))
}

// down makes the server count as down because of err and starts the probe. The
// first who wait get the plain reason.
func (h *health) down(err error) {
	err = h.plain(err)
	h.note(err, false)
	h.store.pool.down(err)
}

// doubt does so because one operation got no answer. Those who wait for a
// connection and idle connections are left alone until the first try has failed.
func (h *health) doubt(err error) { h.note(h.plain(err), true) }

func (h *health) plain(err error) error {
	if f := wire.FaultOf(err); f != nil {
		return &remote.Error{Op: "connect to " + h.store.cfg.addr(), Kind: kindOfFault(f), Err: h.store.cfg.TLS.plain(f)}
	}
	return err
}

func (h *health) note(err error, doubt bool) {
	h.mu.Lock()
	first := !h.isDown
	if first {
		h.isDown, h.since = true, time.Now()
	}
	h.last = err
	start := !h.probing && h.store.ctx.Err() == nil
	if start {
		h.probing = true
		if doubt {
			h.doubted = make(chan struct{})
		}
	}
	h.mu.Unlock()
	if first {
		h.store.log.Warn("the server does not answer", "server", h.store.cfg.addr(), "because", err)
	}
	if start {
		h.store.spawn(h.probe)
	}
}

// settled ends a doubt. A server that is still down then is down for those who
// wait, too.
func (h *health) settled() {
	h.mu.Lock()
	c := h.doubted
	h.doubted = nil
	isDown, err := h.isDown, h.last
	h.mu.Unlock()
	if c == nil {
		return
	}
	close(c)
	if isDown {
		h.store.pool.down(err)
	}
}

// probe waits for the server's return, and goes on while it goes away again. It
// is the only one who tells of changes, so that they are told in order.
func (h *health) probe() {
	for {
		h.tell(false)
		if !h.await() {
			return
		}
		h.tell(true)
		h.mu.Lock()
		again := h.isDown
		h.probing = again
		h.mu.Unlock()
		if !again {
			return
		}
	}
}

// await tries to log in, soon at first and then ever less often, until it
// succeeds or the server answers in another way; false when the Store is closed.
func (h *health) await() bool {
	defer h.settled()
	s := h.store
	h.mu.Lock()
	doubt := h.doubted != nil
	h.mu.Unlock()
	wait := 250 * time.Millisecond
	if doubt {
		wait = 0
	}
	for ; ; wait = min(max(2*wait, time.Second), 30*time.Second) {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return false
		}
		ctx, cancel := s.ctx, context.CancelFunc(func() {})
		if doubt {
			ctx, cancel = context.WithTimeout(s.ctx, h.grace())
		}
		ss, err := s.login(ctx)
		cancel()
		var f *full
		switch {
		case err == nil:
			h.up()
			s.pool.add(ss)
			return true
		case remote.Is(err, remote.Auth):
			h.up() // it answers: the pool remembers what
			s.pool.refusedAuth(err)
			return true
		case errors.As(err, &f):
			h.up() // it answers, but is full: the pool waits for its turn
			return true
		case s.ctx.Err() != nil:
			return false
		}
		if doubt {
			doubt = false
			h.settled()
			continue // the operation that got no answer says more than a try cut short
		}
		h.mu.Lock()
		h.last = s.fail(task{op: "connect"}, err)
		h.mu.Unlock()
	}
}

func (h *health) up() {
	h.mu.Lock()
	h.isDown, h.since = false, time.Now()
	h.mu.Unlock()
	h.store.log.Info("the server answers again", "server", h.store.cfg.addr())
}

func (h *health) tell(up bool) {
	h.mu.Lock()
	fs := h.notify
	h.mu.Unlock()
	for _, f := range fs {
		f(up)
	}
}

// refusedAuth notes what the probe met.
func (p *pool) refusedAuth(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusedLocked(err)
}
