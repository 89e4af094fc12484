// Package ticket is the queue in which programs of one user wait for a connection to a
// server that has none left for them, as others of these programs hold them all. A
// ticket is an empty file in a directory that they share. Who has given a connection up
// calls the owner of the oldest ticket by removing it, which only one can do, so that
// one connection is never given up for by two.
//
// The file is locked for as long as its owner waits: one that is not locked was left by
// a program that was killed, whatever has its number by now. It gets its name once it
// is locked, so that no lock on the directory is needed, in which a stopped program
// could hold up the others. Changes are told by inotify; while nobody waits nothing is
// done. It knows nothing of connections.
//
// Queue.mu is a leaf.
package ticket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// unnamed is the beginning of a ticket's name until it is locked.
	unnamed = ".new-"
	// offered is the beginning of the name of a word that a place is free.
	offered = ".free-"
	// unnamedMost is how old one gets whose owner lives.
	unnamedMost = time.Minute
	// lookEvery is how often is looked where inotify is not to be had: a user may have
	// so many instances of it.
	lookEvery = 2 * time.Second
)

// Queue is that of one server, as one of the programs sees it.
type Queue struct {
	dir    string // immutable
	server string // immutable; begins the names of its tickets

	mu  sync.Mutex // guards own
	own map[string]*Ticket
}

// Open returns the queue for a server, whose name must do for a file. dir is the
// same for all programs and need not exist; its parent must.
func Open(dir, server string) *Queue {
	return &Queue{dir: dir, server: server + ".", own: make(map[string]*Ticket)}
}

// Ticket is a place in a queue.
type Ticket struct {
	queue  *Queue
	name   string
	file   *os.File // locked
	called chan struct{}
}

// Take joins the queue as one who has waited since then.
func (q *Queue) Take(since time.Time) (*Ticket, error) {
	if err := q.make(); err != nil {
		return nil, err
	}
	tail := fmt.Sprintf("%s%016x-%08x", q.server, since.UnixNano(), rand.Uint32())
	young := filepath.Join(q.dir, unnamed+tail)
	f, err := os.OpenFile(young, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	t := &Ticket{queue: q, name: tail, file: f, called: make(chan struct{})}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		q.mu.Lock() // whoever is told of the file knows it for ours
		if err = os.Rename(young, filepath.Join(q.dir, tail)); err == nil {
			q.own[tail] = t
		}
		q.mu.Unlock()
	}
	if err != nil {
		_ = os.Remove(young)
		f.Close()
		return nil, err
	}
	return t, nil
}

func (q *Queue) make() error {
	if err := os.Mkdir(q.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Called is closed once somebody has given up a connection for the owner. The ticket is
// used up then. It takes a Watch to notice.
func (t *Ticket) Called() <-chan struct{} { return t.called }

// Return leaves the queue. It reports whether the ticket was not used up: else a
// connection was given up for the owner, whether or not Called was closed yet.
func (t *Ticket) Return() bool {
	t.queue.mu.Lock()
	_, mine := t.queue.own[t.name]
	delete(t.queue.own, t.name)
	t.queue.mu.Unlock()
	if !mine {
		return false
	}
	err := os.Remove(filepath.Join(t.queue.dir, t.name)) // if it stays, it is as that of somebody killed
	t.file.Close()
	return !errors.Is(err, fs.ErrNotExist)
}

// Waiting reports whether another program has a ticket.
func (q *Queue) Waiting() bool { return len(q.others()) > 0 }

// Call lets who has waited longest in another program go on, and reports whether there
// was anybody.
func (q *Queue) Call() bool {
	for _, name := range q.others() {
		if os.Remove(filepath.Join(q.dir, name)) == nil {
			return true // else somebody else has called it
		}
	}
	return false
}

// Offer leaves word that a connection was given up for nobody, by a program that ends.
func (q *Queue) Offer() {
	if q.make() == nil {
		if f, err := os.OpenFile(q.word(), os.O_CREATE|os.O_RDWR, 0o600); err == nil {
			f.Close()
		}
	}
}

// Accept takes such a word, and reports whether there was one. Only one program does.
func (q *Queue) Accept() bool { return os.Remove(q.word()) == nil }

func (q *Queue) word() string { return filepath.Join(q.dir, offered+q.server) }

// others are the tickets of other programs that live, the oldest first. What the dead
// have left is removed.
func (q *Queue) others() (names []string) {
	entries, _ := os.ReadDir(q.dir) // none, or none that can be helped
	for _, e := range entries {
		name := e.Name()
		q.mu.Lock()
		_, mine := q.own[name]
		q.mu.Unlock()
		switch {
		case mine:
		case strings.HasPrefix(name, q.server):
			if q.alive(name) {
				names = append(names, name)
			}
		case strings.HasPrefix(name, unnamed):
			if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > unnamedMost {
				_ = os.Remove(filepath.Join(q.dir, name))
			}
		}
	}
	slices.Sort(names)
	return names
}

// alive reports whether the owner of a ticket still waits; else the ticket is removed.
func (q *Queue) alive(name string) bool {
	path := filepath.Join(q.dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return errors.Is(err, unix.EWOULDBLOCK)
	}
	_ = os.Remove(path)
	return false
}

// look closes Called of those of our tickets that are used up.
func (q *Queue) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, t := range q.own {
		if _, err := os.Lstat(filepath.Join(q.dir, name)); errors.Is(err, fs.ErrNotExist) {
			delete(q.own, name)
			close(t.called)
			t.file.Close()
		}
	}
}

// Watch has our tickets called, and calls changed, at first and whenever something in
// the queue may have changed, until ctx ends. It takes one; several do no harm.
func (q *Queue) Watch(ctx context.Context, changed func()) {
	for wait := q.notice(ctx); ctx.Err() == nil; wait() {
		q.look()
		changed()
	}
}

// notice returns what waits for a change.
func (q *Queue) notice(ctx context.Context) (wait func()) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return sleeping(ctx)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	context.AfterFunc(ctx, func() { events.Close() })
	// A directory that is there already stays the one that is watched; one that somebody
	// has cleaned away is watched again from its next ticket on.
	watch := func() bool {
		if q.make() != nil {
			return false
		}
		c, err := events.SyscallConn()
		if err != nil {
			return false
		}
		added := false
		_ = c.Control(func(fd uintptr) {
			_, err := unix.InotifyAddWatch(int(fd), q.dir, unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_DELETE_SELF|unix.IN_ONLYDIR)
			added = err == nil
		})
		return added
	}
	sleep := sleeping(ctx)
	good := watch()
	buf := make([]byte, 16<<10)
	return func() {
		if !good {
			sleep()
			good = watch()
			return
		}
		_, err := events.Read(buf) // what changed is seen by looking
		good = err == nil && watch()
	}
}

func sleeping(ctx context.Context) func() {
	return func() {
		t := time.NewTimer(lookEvery)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
}
