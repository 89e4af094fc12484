package cache

import (
	"math/rand/v2"
	"path"
	"strings"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
)

// other does what another client of the server does: at once, and without asking. It
// waits until its change can be told from what was there before, by the time if not by
// the size. What it looks at is what it changes: the mount, which may have come to publish
// a file in that very moment, is done with it or has not begun.
func (w *world) other(o op, r *rand.Rand) error {
	d, m := w.s.disk, w.s.m
	time.Sleep(2 * max(time.Second, w.s.grain))
	w.s.still <- struct{}{} // only one may wait
	defer func() { <-w.s.still }()
	synctest.Wait()
	if o.p == "" || isTemp(path.Base(o.p)) {
		return nil
	}
	owed := m.owes(o.p)
	here, isThere := d.Stat(o.p)
	if o.p == w.top || o.p == "/" {
		return nil
	}
	switch o.kind {
	case "theirwrite":
		if isThere && here.Type != remote.File {
			return nil
		}
		data := letters(r, size(o.n, r))
		if old, err := d.ReadFile(o.p); err == nil && o.n%4 == 0 {
			data = letters(r, len(old)) // only its time tells
		}
		w.s.diesOnServer(o.p)
		if d.WriteFile(o.p, []byte(data)) != nil {
			return nil
		}
		w.s.know(data)
		w.s.acknowledged(data, o.p)
		w.theirs(o.p, value{'f', data}, owed)
	case "theirremove":
		if !isThere || here.Type != remote.File {
			return nil
		}
		w.s.diesOnServer(o.p)
		if err := d.RemoveAll(o.p); err != nil {
			return err
		}
		w.theirs(o.p, absent, owed)
	case "theirrename":
		to, toThere := d.Stat(o.q)
		data, err := d.ReadFile(o.p)
		if err != nil || o.p == o.q || toThere && (to.Type != remote.File || to.Size == here.Size) || len(data) == m.sizeHeld(o.q) {
			return nil
		}
		owedTo := m.owes(o.q)
		if err := w.s.halfTails(o.p); err != nil {
			return err
		}
		w.s.diesOnServer(o.q)
		if d.Rename(o.p, o.q) != nil {
			return nil
		}
		w.theirs(o.q, value{'f', string(data)}, owedTo)
		w.theirs(o.p, absent, owed)
	case "theirmkdir":
		if isThere || d.Mkdir(o.p) != nil {
			return nil
		}
		w.loosen(o.p)
	case "theirrmtree":
		if !isThere || here.Type != remote.Dir || strings.Count(o.p, "/") < 2 && r.IntN(2) == 0 {
			return nil
		}
		w.s.diesOnServer(o.p)
		w.loosen(o.p)
		if err := d.RemoveAll(o.p); err != nil {
			return err
		}
	case "theirrenamedir":
		if !isThere || here.Type != remote.Dir {
			return nil
		}
		if err := w.s.halfTails(o.p); err != nil {
			return err
		}
		if _, taken := d.Stat(o.q); taken || d.Rename(o.p, o.q) != nil {
			return nil
		}
		w.loosen(o.p, o.q)
	case "theirswap": // a file becomes a directory, or the other way round
		if !isThere {
			return nil
		}
		w.s.diesOnServer(o.p)
		w.loosen(o.p)
		if err := d.RemoveAll(o.p); err != nil {
			return err
		}
		if here.Type == remote.Dir {
			data := letters(r, size(o.n, r))
			w.s.know(data)
			w.s.acknowledged(data, o.p)
			if err := d.WriteFile(o.p, []byte(data)); err != nil {
				return err
			}
		} else if err := d.Mkdir(o.p); err != nil {
			return err
		}
	}
	w.s.applied.Add(1)
	w.s.changes.Add(1)
	return nil
}

// halfTails takes in that the other client moves what the server has at or below p: of a
// file that is just being appended to, the only one that others see half written, that is
// what it had with any part of the tail.
func (s *storm) halfTails(p string) error {
	for _, q := range s.disk.Paths() {
		if q != p && !strings.HasPrefix(q, p+"/") || strings.HasSuffix(q, "/") || isTemp(path.Base(q)) {
			continue
		}
		data, err := s.disk.ReadFile(q)
		if err != nil {
			return err
		}
		err = s.checkWhole("server's "+q, string(data))
		if err == nil {
			continue
		}
		if base, tail := s.m.tail(q); len(data) < base || s.checkWhole("", string(data[:base])) != nil || !strings.HasPrefix(tail, string(data[base:])) {
			return err
		}
		s.know(string(data))
	}
	return nil
}

// tail is what is just being appended to the server's file at p, and to how many bytes.
func (m *mount) tail(p string) (base int, tail string) {
	m.mu.Lock()
	n := m.findLocked(p)
	if n == nil || n.file == nil || n.file.tail == nil {
		m.mu.Unlock()
		return 0, ""
	}
	c := n.file.cur
	m.mu.Unlock()
	if c.lockFile() != nil {
		return 0, ""
	}
	defer c.io.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := c.growFrom, c.growTo
	data, at := c.f, from
	if c.sent != nil { // it was written over here since
		data, at = c.sent, 0
	}
	b := make([]byte, to-from)
	if data == nil {
		return 0, ""
	}
	if _, err := data.ReadAt(b, at); err != nil {
		return 0, ""
	}
	return int(from), string(b)
}

// owes says whether the file at p, or one below it, is owed.
func (m *mount) owes(p string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.findLocked(p)
	return n != nil && (n.anyOwedLocked() || n.file != nil && n.file.writers > 0)
}

// sizeHeld is the size that the tree takes the file at p to have, -1 if it knows none.
func (m *mount) sizeHeld(p string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.findLocked(p)
	if n == nil || n.typ != remote.File {
		return -1
	}
	return int(m.attrLocked(n).Size)
}
