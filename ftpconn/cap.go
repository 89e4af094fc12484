package ftpconn

import "time"

// A cap learned from the server is tried again: it may have been other clients'
// doing, or our own connections of before, not yet forgotten there. Each time that
// fails the next comes later; what succeeds is soon followed by another.
const (
	capSoon   = 5 * time.Second
	capMemory = 10 * time.Minute
)

// limit is how many connections the server takes, as far as it told. The pool's mutex
// guards it.
type limit struct {
	most  int       // what we were told to want
	conns int       // the server's cap; 0: none met
	stood int       // how often in a row one more was refused
	next  time.Time // when one more is tried
	met   bool      // something was learned in this life
}

// now is how many connections there may be.
func (l *limit) now(at time.Time) int {
	n := l.most
	if l.conns > 0 {
		n = min(n, l.conns)
		if at.After(l.next) {
			n = min(l.most, n+1) // try one more, until it is refused or there
		}
	}
	return n
}

// refused notes that there are n connections, and can be no more for now.
func (l *limit) refused(n int, at time.Time) {
	if n != l.conns {
		l.stood = 0
	}
	l.conns, l.met = n, true
	l.stood++
	l.next = at.Add(l.wait())
}

// until has no more tried for so long.
func (l *limit) until(at time.Time) { l.next = at }

func (l *limit) wait() time.Duration {
	return min(capMemory, capSoon<<min(max(l.stood-1, 0), 20))
}

// lent notes that there are n connections, as one was left to another program. That says
// nothing of the server.
func (l *limit) lent(n int, at time.Time) {
	if n > 0 {
		l.conns, l.stood = n, 1
		l.next = at.Add(l.wait())
	}
}

// grew notes that there are n connections.
func (l *limit) grew(n int, at time.Time) {
	if l.conns == 0 || n < l.conns {
		return
	}
	if n > l.conns { // else it was under way when another was refused
		l.met, l.stood = true, 0
	}
	l.conns, l.next = n, at.Add(capSoon)
	if n >= l.most {
		l.conns = 0
	}
}

// recall begins with the cap of an earlier life. Its next trial comes as if that had gone on.
func (l *limit) recall(c Cap, at time.Time) {
	l.conns, l.stood = c.Conns, c.Stood
	l.next = at.Add(l.wait())
}

// learned is the cap that holds; 0: none met.
func (l *limit) learned() int {
	if l.conns > l.most {
		return 0
	}
	return l.conns
}
