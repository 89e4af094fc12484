package ftpscript

import "time"

// EndIdle ends all sessions as their idle timeout would, each once it waits for a command.
// It returns when it has told them.
func (s *Server) EndIdle() {
	for _, c := range s.all() {
		c.tooIdle()
	}
}

// all are the sessions under way.
func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for c := range s.sessions {
		all = append(all, c)
	}
	return all
}

func (c *session) tooIdle() {
	select {
	case c.expire <- struct{}{}:
	case <-c.killed:
	}
}

// heard notes a command, and ends who has idled beside IdleBeside of them.
func (s *Server) heard(by *session) {
	most := s.opts.IdleBeside
	if most == 0 {
		return
	}
	s.mu.Lock()
	s.beside++
	by.at = s.beside
	var late []*session
	for c := range s.sessions {
		if s.beside-c.at > most {
			c.at = s.beside
			late = append(late, c)
		}
	}
	s.mu.Unlock()
	for _, c := range late {
		s.running.Go(c.tooIdle)
	}
}

// next is the next command; false when there is none, or the session has idled for too long.
func (c *session) next(lines <-chan line) (line, bool) {
	select { // what came before is no idling
	case l, ok := <-lines:
		return l, ok
	default:
	}
	var idle <-chan time.Time
	if d := c.srv.opts.Idle; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		idle = timer.C
	}
	select {
	case l, ok := <-lines:
		return l, ok
	case <-idle:
	case <-c.expire:
	}
	c.farewell()
	return line{}, false
}

// farewell ends a session that has idled for too long.
func (c *session) farewell() {
	index := c.srv.add(Command{Session: c.id, At: time.Now(), Verb: "IDLE"})
	if c.srv.opts.IdleMute {
		return
	}
	const farewell = "421 Idle for too long: closing the control connection."
	c.srv.answered(index, farewell, 0)
	c.say(farewell)
}
