package cache

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// The ledger holds what must not be lost: every content that close acknowledged or
// that the other client wrote, until somebody who could see it replaced or removed it.

// shortest content that is told from others by its bytes.
const shortest = 24

type sum [sha256.Size]byte

func sumOf(data string) sum { return sha256.Sum256([]byte(data)) }

// know notes states that a file may be seen in.
func (s *storm) know(states ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, data := range states {
		s.ever[sumOf(data)] = true
	}
}

// checkWhole says whether data was once the whole of a file, and no mixture.
func (s *storm) checkWhole(what, data string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ever[sumOf(data)] {
		return nil
	}
	return fmt.Errorf("%s: %v was never the content of a file", what, value{'f', data})
}

func (s *storm) acknowledged(data, p string) {
	if len(data) < shortest || strings.Trim(data[:shortest], "\x00") == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive[data] = p
	s.tellLocked(data, "must be kept, at %s", p)
}

// tell notes the fate of a content, for when it is lost. Those of no interest have none.
func (s *storm) tell(data, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.alive[data]; ok {
		s.tellLocked(data, format, args...)
	}
}

func (s *storm) tellLocked(data, format string, args ...any) {
	s.fates[sumOf(data)] = append(s.fates[sumOf(data)], time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// followed takes in that p, or all below it, was renamed to q here: what must be kept is
// known by its new name now, but for what the server has under either: giveUp is not about that.
func (s *storm) followed(p, q string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for data, at := range s.alive {
		rest, ok := strings.CutPrefix(at, p)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		was, _ := s.disk.ReadFile(at)
		is, _ := s.disk.ReadFile(q + rest)
		if data != string(was) && data != string(is) {
			s.alive[data] = q + rest
		}
	}
}

func (s *storm) dead(data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.alive, data)
}

// seen is what there was of a path before an operation.
type seen struct {
	held, disk   string
	place        string   // as the world has it
	partly       []string // what the owed file may be, of which only a part is held
	owed, onDisk bool
	entry        remote.Entry
	at           string // where disk and entry are: elsewhere if a rename in doubt took them there
}

// look sees without asking the server on behalf of the mount.
func (w *world) look(p string) seen {
	var b seen
	s := w.s
	b.held, b.owed = s.held(p)
	if pl := w.at(p); pl != nil && pl.file != nil {
		b.place = string(pl.file.data)
	}
	if b.owed && b.held == "" {
		size := s.m.sizeHeld(p)
		for _, v := range w.may(p) {
			if v.kind == 'f' && len(v.data) == size {
				b.partly = append(b.partly, v.data)
			}
		}
	}
	b.at = p
	data, err := s.disk.ReadFile(p)
	if err != nil {
		b.at = s.m.perhapsAt(p)
		data, err = s.disk.ReadFile(b.at)
	}
	if err == nil {
		b.disk, b.onDisk = string(data), true
		b.entry, _ = s.disk.Stat(b.at)
	}
	return b
}

// perhapsAt is where the server has the file that is p here if a rename happened of which
// nobody knows yet whether it did; else p.
func (m *mount) perhapsAt(p string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.unsettled {
		if !u.replaces() && atOrBelow(p, u.intent.From) {
			return u.intent.To + p[len(u.intent.From):]
		}
	}
	return p
}

// held is the content of the owed file at p, if all of it is here.
func (s *storm) held(p string) (string, bool) {
	t := s.m.Tree
	t.mu.Lock()
	n := t.findLocked(p)
	if n == nil || !n.owedLocked() {
		t.mu.Unlock()
		return "", false
	}
	c, size := n.file.cur, n.file.size
	t.mu.Unlock()
	data := make([]byte, size)
	n0, _, err := c.readHeld(data, 0)
	if err != nil || int64(n0) != size {
		return "", true
	}
	return string(data), true
}

// overwritten takes in that the file at p has another content now. What was owed is
// replaced. What the server has is, if ours is based on it, as it is where nobody else
// was at work.
func (s *storm) overwritten(p string, before seen, certain bool) {
	if certain {
		s.dead(before.place)
		s.dead(before.disk)
	}
	s.deadHere(before)
	if !before.onDisk {
		return
	}
	t := s.m.Tree
	t.mu.Lock()
	n := t.findLocked(p)
	if n == nil {
		n = t.findLocked(before.at) // it is known by now
	}
	owed := n != nil && n.owedLocked()
	replaces, why := !owed && before.at == p, "no base"
	if owed && n.file.base != nil {
		v := before.entry.Version()
		if n.ent.unique == "" {
			v.Unique = ""
		}
		v.MTime, v.MGrain = v.MTime.Truncate(max(1, s.grain)), s.grain
		replaces = !n.file.base.Differs(v)
		why = fmt.Sprintf("base %v, server's %v, sent %v", *n.file.base, v, n.file.sent)
	}
	if !replaces && owed && before.at == p && n.file.sent != nil {
		replaces = n.file.sent.Size == before.entry.Size // an earlier publication of ours
	}
	t.mu.Unlock()
	if replaces {
		s.dead(before.disk)
	} else {
		s.tell(before.disk, "on the server's %s when that was written here: not based on it (%s)", before.at, why)
	}
}

// partly is overwritten for an operation that failed, perhaps after it had changed
// something. One that waited for room in the spool may have had a part of it published.
func (s *storm) partly(p string, before seen, certain bool, err error) {
	data, owed := s.held(p)
	changed := owed && (!before.owed || data != before.held)
	if !changed && remote.Is(err, remote.NoSpace) {
		now, err := s.disk.ReadFile(p)
		changed = err == nil && (!before.onDisk || string(now) != before.disk) && string(now) != before.held
	}
	if changed {
		s.overwritten(p, before, certain)
	}
}

// deadHere: what was owed is replaced.
func (s *storm) deadHere(b seen) {
	if !b.owed {
		return
	}
	s.dead(b.held)
	if b.held == "" {
		s.dead(b.place)
	}
	for _, data := range b.partly {
		s.dead(data)
	}
}

// dies: the name p is removed or replaced by somebody, with what is under it.
func (w *world) dies(p string) {
	w.s.deadHere(w.look(p))
	w.s.diesOnServer(p)
}

// replaced: something is renamed to p here. A file that the mount knows nothing of, as the
// other client made it since, must not go under by that.
func (w *world) replaced(p string) {
	w.s.deadHere(w.look(p))
	if !w.s.m.blind(p) {
		w.s.diesOnServer(p)
	}
}

// follower is what is owed under one name while a rename in doubt may have taken it to another.
type follower struct {
	n    *Node // nil: there is none
	owed seen
}

// following is what comes to p once it is known that a rename has happened: who removes or
// replaces p waits for that to be known, and means what p is then. Where the server still has
// the old name it has not happened.
func (w *world) following(p string) (f follower) {
	m := w.s.m
	m.mu.Lock()
	from := ""
	for _, u := range m.unsettled {
		if !u.replaces() && atOrBelow(p, u.intent.To) {
			from = u.intent.From + p[len(u.intent.To):]
			f.n = m.findLocked(from)
		}
	}
	m.mu.Unlock()
	if f.n == nil {
		return f
	}
	if _, not := w.s.disk.Stat(from); not {
		return follower{}
	}
	f.owed = w.look(from)
	return f
}

// goneAt takes in that p was removed or replaced. What followed to p, and only that, was what
// had the name then.
func (s *storm) goneAt(p string, f follower) {
	if f.n == nil {
		return
	}
	s.m.mu.Lock()
	there := f.n.removed && f.n.pathLocked() == p
	s.m.mu.Unlock()
	if there {
		s.deadHere(f.owed)
	}
}

// blind says that the mount takes p for absent, and for some time to come.
func (m *mount) blind(p string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := m.findLocked(path.Dir(p))
	if dir == nil || dir.list == nil || m.fresh(dir.list.fetched) < 20*time.Second {
		return false
	}
	_, listed := dir.list.ents.get(path.Base(p))
	return !listed && dir.kid(path.Base(p)) == nil
}

func (s *storm) diesOnServer(p string) {
	for _, q := range s.disk.Paths() {
		if q == p || strings.HasPrefix(q, p+"/") {
			if data, err := s.disk.ReadFile(q); err == nil {
				s.dead(string(data))
			}
		}
	}
}

// missing returns what is neither on the server nor kept here.
func (s *storm) missing() error {
	found := map[string]bool{}
	for _, p := range s.disk.Paths() {
		if data, err := s.disk.ReadFile(p); err == nil {
			found[string(data)] = true
		}
	}
	err := filepath.WalkDir(s.m.cfg.StateDir, func(p string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			data, _ := os.ReadFile(p)
			found[string(data)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost []string
	for data, p := range s.alive {
		if !found[data] {
			lost = append(lost, fmt.Sprintf("%v, last known as %s (%s)", value{'f', data}, p, strings.Join(s.fates[sumOf(data)], "; ")))
		}
	}
	if lost == nil {
		return nil
	}
	slices.Sort(lost)
	return fmt.Errorf("lost: %s", strings.Join(lost, "; "))
}
