package ftpconn

import (
	"path"
	"strings"
	"sync"

	"ftpfs/cache/remote"
)

// Servers that list as ls does leave out names that begin with a dot unless they are asked
// with -a, and some refuse that, take it for a name, or pass over it. A listing by LIST
// in which neither "." nor any such name was ever seen may hide some: that a name is
// not in it then says nothing of a name that begins with a dot. Those are asked for one by
// one, and what is known of them is added to listings, so that a file does not vanish
// that was made here.

// hidesDots says that listings of this server may leave out names that begin with a dot.
func (f *facts) hidesDots() bool { return f.dotless && !f.dots && (!f.mlst || f.mlsdBad) }

// maxHidden is how many hidden names are remembered.
const maxHidden = 1000

// hidden are names that are there and may not be listed.
type hidden struct {
	mu    sync.Mutex
	names map[string]struct{} // paths
}

func isDotted(p string) bool { return strings.HasPrefix(path.Base(p), ".") }

// there takes down that p is there, by whatever way.
func (s *Store) there(p string) {
	if !isDotted(p) || s.temporary(p) {
		return
	}
	if k := s.server.known(); !k.hidesDots() {
		return
	}
	h := &s.hidden
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = make(map[string]struct{})
	}
	if len(h.names) < maxHidden {
		h.names[p] = struct{}{}
	}
}

// moved takes in that from is to now, and what is below it.
func (h *hidden) moved(from, to string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.names {
		if below, ok := strings.CutPrefix(p, from+"/"); ok {
			delete(h.names, p)
			h.names[to+"/"+below] = struct{}{}
		}
	}
	delete(h.names, from)
}

func (h *hidden) forget(p string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.names, p)
}

func (h *hidden) in(dir string) (paths []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.names {
		if parent(p) == dir {
			paths = append(paths, p)
		}
	}
	return paths
}

// withHidden adds to a listing the hidden names that are remembered, as far as they still
// are there.
func (ss *session) withHidden(dir string, entries []remote.Entry) ([]remote.Entry, error) {
	h := &ss.store.hidden
	paths := h.in(dir)
	if len(paths) == 0 {
		return entries, nil
	}
	listed := make(map[string]bool)
	for i := range entries {
		if isDotted(entries[i].Name) {
			listed[entries[i].Name] = true
		}
	}
	for _, p := range paths {
		if listed[path.Base(p)] {
			h.forget(p)
			continue
		}
		switch e, err := ss.unlisted(p); {
		case absent(err):
			h.forget(p)
		case err != nil:
			return nil, err
		default:
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// unlisted asks for a name that listings may hide: for it as a file, as a directory, and at
// last whether it could be renamed, which is refused of what is not there.
func (ss *session) unlisted(p string) (remote.Entry, error) {
	a, err := ss.byName(p)
	switch {
	case err != nil || a.found:
		return a.Entry, err
	case a.absent:
		return remote.Entry{}, as(remote.NotExist, a.reply)
	}
	r, err := ss.wire.Cmd("RNFR " + ss.path(p))
	switch kind := kindOf("look", r); {
	case err != nil:
		return remote.Entry{}, err
	case r.Class() == 3:
		return remote.Entry{Name: path.Base(p), Type: remote.Other, Size: -1}, nil
	case r.Code == 550 && (kind == remote.Unknown || kind == remote.NotExist):
		return remote.Entry{}, as(remote.NotExist, r)
	default:
		return remote.Entry{}, as(kind, r)
	}
}
