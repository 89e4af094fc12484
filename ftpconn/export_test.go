package ftpconn

import "time"

// SetMoment sets how long what was begun ahead may take to be over in a moment.
func (s *Store) SetMoment(d time.Duration) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.moment = d
}
