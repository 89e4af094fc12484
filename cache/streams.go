package cache

import "context"

// Which transfer brings what somebody waits for: one that comes by soon, or a new one, and
// which ends for that. What one transfer does is in stream.go.

// joinLocked finds a stream that will come by off soon, and lets it run on to limit.
func (c *content) joinLocked(off, limit int64) *stream {
	for _, s := range c.streams {
		if s.over {
			continue
		}
		if !s.sent && off < s.pos && s.pos-off <= gather {
			s.pos = off // the kernel's read-ahead arrives in any order
		}
		if s.pos <= off && off <= max(s.pos+joinGap, s.limit) {
			if s.hurry != nil {
				s.hurry()
			}
			if limit > s.limit {
				s.limit = limit
			}
			if s.sent && off >= s.due {
				s.on = true
			}
			c.broadcastLocked()
			return s
		}
	}
	return nil
}

// startLocked begins a transfer at off; of too many the one furthest from its
// readers, an idle one first, has to go.
func (c *content) startLocked(off, limit int64) *stream {
	c.leaveLocked(off)
	var victim *stream
	running := 0
	for _, s := range c.streams {
		if s.over {
			continue
		}
		if running++; victim == nil || s.idle && !victim.idle {
			victim = s
		}
	}
	if running >= maxStreams {
		victim.callOffLocked()
	}
	if off <= gather && c.have.Covered(0) == 0 {
		off = 0 // most likely the first of a sequential reader's requests to arrive
	}
	return c.streamLocked(c.tree.ctx, off, limit)
}

// leaveLocked calls off the transfers that brought what they were begun for, and from which
// nobody has read on: who reads here and there goes elsewhere now, to off, and need not wait
// for a connection nor share the line. Somebody who comes back for what follows shows that
// several read side by side: then nothing is left any more.
func (c *content) leaveLocked(off int64) {
	for _, end := range c.left {
		c.beside = c.beside || end <= off && off < end+minAhead
	}
	for _, s := range c.streams {
		done := s.sent && s.pos >= s.due && !s.on && s.limit-s.due <= maxAhead
		if done && !s.over && s.hurry == nil && !c.beside {
			s.callOffLocked()
			c.left = append(c.left[max(0, len(c.left)-maxStreams):], s.due)
		}
	}
}

func (s *stream) callOffLocked() {
	s.over = true
	s.cancel()
}

// streamLocked begins a transfer at off.
func (c *content) streamLocked(ctx context.Context, off, limit int64) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{content: c, cancel: cancel, pos: off, limit: limit}
	c.streams = append(c.streams, s)
	c.tree.spawn(func() {
		err := s.run(ctx)
		cancel()
		s.end(err)
	})
	return s
}

// overtakenLocked says whether another transfer is to come by where this one would
// begin, since the requests in between have arrived; that one then runs on as far.
func (s *stream) overtakenLocked() bool {
	for _, r := range s.content.streams {
		if r != s && r.sent && !r.over && r.pos <= s.pos && s.pos <= r.limit {
			r.limit = max(r.limit, s.limit)
			s.content.broadcastLocked()
			return true
		}
	}
	return false
}
