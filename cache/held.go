package cache

import (
	"errors"
	"slices"

	"ftpfs/cache/remote"
)

// heldError is why a file waits.
type heldError struct {
	by  *unsettled
	err error
}

func (e *heldError) Error() string { return e.err.Error() }
func (e *heldError) Unwrap() error { return e.err }

// heldBy is what err says that a file waits for; nil if it says something else.
func heldBy(err error) *unsettled {
	var e *heldError
	if errors.As(err, &e) {
		return e.by
	}
	return nil
}

// waitsForLocked is what f must not be sent before; nil if there is nothing.
func (f *File) waitsForLocked() *unsettled {
	t := f.node.tree
	if len(t.unsettled) == 0 {
		return nil
	}
	if u := t.concerningLocked(f.node.pathLocked()); u != nil || f.temp == "" {
		return u
	}
	return t.concerningLocked(f.tempPathLocked())
}

// waits fails if f must not be sent now. Who has f frozen, or shares the gate, can rely on
// the answer as long.
func (f *File) waits() error {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if u := f.waitsForLocked(); u != nil {
		return u.errorLocked("publish", f.node.pathLocked())
	}
	return nil
}

// holdLocked has f wait for u, and with show says so.
func (u *unsettled) holdLocked(f *File, show bool) {
	u.held[f] = struct{}{}
	if show && u.err != nil {
		u.showLocked(f)
	}
}

func (u *unsettled) showLocked(f *File) {
	f.parked, f.failed = nil, nil
	if err := u.errorLocked("publish", f.node.pathLocked()); u.refusedLocked() {
		f.parked = err
	} else {
		f.failed = err
	}
	u.tree.changedLocked()
}

// tellLocked has what waits for u, or for what is settled after it, show why.
func (u *unsettled) tellLocked() {
	for f := range u.held {
		switch {
		case !f.owed:
			delete(u.held, f)
		case f.writers == 0 && !f.interrupted && (f.parked == nil || heldBy(f.parked) != nil):
			u.showLocked(f)
		}
	}
	for _, o := range u.tree.unsettled {
		if slices.Contains(o.before, u) {
			o.tellLocked()
		}
	}
}

func (u *unsettled) errorLocked(op, p string) error {
	text := "the server does not tell whether " + u.intent.From + " was renamed to " + u.intent.To + "; it is asked again and again"
	if u.replaces() {
		text = "its old version has stepped aside on the server, and is being put back"
	}
	return &heldError{u, &remote.Error{Op: op, Path: p, Kind: remote.Temporary, Text: text, Err: u.err}}
}
