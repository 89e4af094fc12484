package ftpconn

import "time"

// SetMoment sets how long what was begun ahead may take to be over in a moment.
func (s *Store) SetMoment(d time.Duration) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.moment = d
}

// SetRest sets after how long at rest a connection's next data connection is made.
func (s *Store) SetRest(d time.Duration) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.times.restBefore = d
}
