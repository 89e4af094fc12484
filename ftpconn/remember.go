package ftpconn

import (
	"sync"
	"time"
)

// rememberAfter is how long what was learned waits for more of it.
const rememberAfter = time.Second

// memory is what is remembered now, and whether somebody is about to tell it.
type memory struct {
	mu      sync.Mutex // a leaf
	last    Memory     // told last, or the one of before
	telling bool       // a goroutine sees to it
	changed bool       // since that looked
}

func (m *memory) init(s *Store) {
	m.last = s.cfg.Memory.fresh(time.Now())
	s.server.learned = s.remember
	s.traits.Learned = s.remember
	s.pool.recall(m.last)
}

func (m *memory) now() Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// remember sees to it that what was just learned is told. It may be called with any lock
// held but Store.mu.
func (s *Store) remember() {
	m := &s.memory
	if s.cfg.Remember == nil {
		return
	}
	m.mu.Lock()
	m.changed = true
	idle := !m.telling
	m.telling = true
	m.mu.Unlock()
	if idle && !s.spawn(s.tellMemory) {
		m.mu.Lock()
		m.telling = false
		m.mu.Unlock()
	}
}

func (s *Store) tellMemory() {
	m := &s.memory
	for {
		t := time.NewTimer(rememberAfter)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
		}
		m.mu.Lock()
		m.changed = false
		was := m.last
		m.mu.Unlock()
		now := s.remembered(was, time.Now())
		if now != was {
			s.cfg.Remember(now)
		}
		m.mu.Lock()
		m.last = now
		if !m.changed {
			m.telling = false
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
	}
}
