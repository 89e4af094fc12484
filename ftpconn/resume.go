package ftpconn

import (
	"time"

	"ftpfs/ftpconn/wire"
)

// A download that lost its connection goes on where it was.

// cutForATrick says that a download which ended with err may owe that to a trick it was begun with: a question
// behind it, or that our side was closed at once. Then it is to be taken up without.
// A server that is slow, or a network that is, is another matter.
func (r *reader) cutForATrick(err error) bool {
	if !r.tricks.Any() || r.expect == nil {
		return false
	}
	switch f := wire.FaultOf(err); {
	case f != nil && f.Fault == wire.Surprise: // it was on trial, and is Off
		return true
	case r.pos >= r.expect.Size, f != nil && f.Fault != wire.Lost && f.Fault != wire.Garbage:
		return false
	}
	r.store.traits.Blame(r.tricks)
	return true
}

// goOn takes up a download again that ended with err for a trick that the server does not
// stand, n bytes after p's first.
func (r *reader) goOn(p []byte, n int, err error) (int, error) {
	r.giveBack(err)
	r.parked = true
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return r.read(p)
}

// park takes the connection away from a download that nobody reads, unless it
// was read within the last while.
func (r *reader) park(while time.Duration) bool {
	if !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	if r.ss == nil || time.Since(r.last) < while {
		return false
	}
	r.abort()
	r.parked = true
	return true
}
