package ftpconn

import (
	"errors"
	"sync"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// health is whether the server answers. Once it counts as down every call fails
// at once, and one goroutine tries to log in until that succeeds.
type health struct {
	store *Store

	mu      sync.Mutex
	isDown  bool
	since   time.Time // of the present state
	last    error     // why it is, or last was, down
	notify  []func(up bool)
	probing bool
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

// gate fails while the server is down.
func (h *health) gate() error {
	h.mu.Lock()
	defer h.mu.Unlock()
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

// down makes the server count as down because of err and starts the probe. The
// first who wait get the plain reason.
func (h *health) down(err error) {
	if f := wire.FaultOf(err); f != nil {
		err = &remote.Error{Op: "connect to " + h.store.cfg.addr(), Kind: kindOfFault(f), Err: plain(f)}
	}
	h.mu.Lock()
	first := !h.isDown
	if first {
		h.isDown, h.since = true, time.Now()
	}
	h.last = err
	start := !h.probing && h.store.ctx.Err() == nil
	if start {
		h.probing = true
	}
	h.mu.Unlock()
	if first {
		h.store.log.Warn("the server does not answer", "server", h.store.cfg.addr(), "because", err)
	}
	h.store.pool.down(err)
	if start {
		h.store.spawn(h.probe)
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
	s := h.store
	for wait := 250 * time.Millisecond; ; wait = min(max(2*wait, time.Second), 30*time.Second) {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return false
		}
		ss, err := s.login(s.ctx)
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

// refusedAuth remembers that the server refused the password.
func (p *pool) refusedAuth(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auth, p.authT = err, time.Now()
	p.failLocked(err)
}
