package ftpconn

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ftpfs/cache/remote"
)

// What the listing of one directory may make us hold: a directory of more entries is
// an error. Together, listings under way may not hold more than maxListed.
const (
	maxListLine = 64 << 10
	maxEntries  = 1_000_000
	maxListing  = 256 << 20 // bytes of lines
	maxListed   = 512 << 20
	perEntry    = 200 // bytes that an entry takes beside its line
)

// A listing may come slowly, but not as slowly as this.
const (
	leastRate = 256 // bytes a second, on the average
	leastTime = 4   // timeouts before that counts
)

// How long a listing that was too long is not asked for again, and of how many
// directories that is remembered.
const (
	tooLongMemory = 10 * time.Minute
	maxTooLong    = 100
)

// bounds are what one listing may take.
type bounds struct {
	lines, bytes int
	until        func(bytes int) time.Time
	held         int64         // of all
	all          *atomic.Int64 // held by all listings together
	most         int64         // that
}

// budget is that of a listing which begins now.
func (s *Store) budget() *bounds {
	begun, timeout := time.Now(), s.cfg.Timeout
	return &bounds{lines: maxEntries, bytes: maxListing, all: &s.listed, most: maxListed, until: func(bytes int) time.Time {
		return begun.Add(leastTime*timeout + time.Duration(bytes)*time.Second/leastRate)
	}}
}

func (b *bounds) giveBack() { b.all.Add(-b.held) }

// take counts line n, with which there are so many bytes.
func (b *bounds) take(n, line, bytes int) error {
	switch cost := int64(line + perEntry); {
	case bytes > b.bytes || n > b.lines:
		return tooMuch(fmt.Sprintf("the listing is longer than %d bytes or %d lines", b.bytes, b.lines))
	case b.all.Add(cost) > b.most:
		b.held += cost
		return fault(remote.Temporary, "other long listings are under way")
	default:
		b.held += cost
	}
	if n%1000 == 0 && time.Now().After(b.until(bytes)) || n < 1000 && time.Now().After(b.until(bytes)) {
		return &remote.Error{Kind: remote.Timeout, Err: fmt.Errorf("the listing comes too slowly: %d bytes so far", bytes)}
	}
	return nil
}

// tooMuch is a listing beyond its bounds.
type tooMuch string

func (t tooMuch) Error() string { return string(t) }

// scan splits a listing into lines, each without its line end.
func scan(r io.Reader, most *bounds, f func(line string) error) error {
	br := bufio.NewReaderSize(r, maxListLine)
	bytes := 0
	for n := 0; ; n++ {
		b, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return fmt.Errorf("a line of the listing is longer than %d bytes", maxListLine)
		}
		if err != nil && err != io.EOF {
			return err
		}
		bytes += len(b)
		if err := most.take(n, len(b), bytes); err != nil {
			return err
		}
		if l := len(b); l > 0 {
			if b[l-1] != '\n' {
				return fmt.Errorf("the listing ends in the middle of a line: %.200q", b)
			}
			b = b[:l-1]
			if l > 1 && b[l-2] == '\r' {
				b = b[:l-2]
			}
		}
		if len(b) > 0 {
			if err := f(string(b)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// gathered are the entries of a listing whose length is not known. A slice that grows would be copied a dozen
// times, and leave four times its size behind.
type gathered struct {
	full [][]remote.Entry
	last []remote.Entry
}

func (g *gathered) add(e remote.Entry) {
	if len(g.last) == cap(g.last) {
		if len(g.last) > 0 {
			g.full = append(g.full, g.last)
		}
		g.last = make([]remote.Entry, 0, min(max(16, 2*cap(g.last)), 2048))
	}
	g.last = append(g.last, e)
}

// entries are all of them, in order.
func (g *gathered) entries() []remote.Entry {
	if len(g.full) == 0 {
		return g.last
	}
	return slices.Concat(append(g.full, g.last)...)
}

// keeper has entries hold what they need of their lines, and what many of them
// share only once.
type keeper map[string]string

func (k keeper) shared(s string) string {
	if kept, ok := k[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	if len(k) < 1000 {
		k[s] = s
	}
	return s
}

func (k keeper) entry(e remote.Entry) remote.Entry {
	e.Name, e.Target, e.Unique = strings.Clone(e.Name), strings.Clone(e.Target), strings.Clone(e.Unique)
	e.Owner, e.Group = k.shared(e.Owner), k.shared(e.Group)
	return e
}

// tooLong returns why dir is not listed for now, or nil.
func (v *server) tooLong(dir string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	l, ok := v.long[dir]
	if !ok || time.Since(l.at) > tooLongMemory {
		delete(v.long, dir)
		return nil
	}
	return &remote.Error{Kind: remote.Protocol, Err: l.err}
}

func (v *server) noteTooLong(dir string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.long == nil {
		v.long = make(map[string]long)
	}
	for other := range v.long {
		if len(v.long) < maxTooLong {
			break
		}
		delete(v.long, other)
	}
	v.long[dir] = long{time.Now(), err}
}

// long is a listing that was longer than we take.
type long struct {
	at  time.Time
	err error
}
