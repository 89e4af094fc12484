package ftpconn

import (
	"errors"
	"strings"
	"sync"
	"time"

	"ftpfs/ftpconn/listing"
)

// How many kinds of lines that were not understood are logged in unreadMemory, and how
// much of each.
const (
	maxUnread     = 50
	unreadMemory  = 24 * time.Hour
	maxUnreadLine = 300
)

// unread remembers which lines of listings are in the log already: each directory may hold
// thousands of one kind, and is listed again and again.
type unread struct {
	mu    sync.Mutex
	since time.Time
	seen  map[string]bool // shapes
}

// unreadLine logs a line that was not understood, once a day for each kind of line. Why is
// what became of it, nil if it was passed over. What is odd in it the log escapes.
func (s *Store) unreadLine(dir, verb, line string, why error) {
	if why != nil && !errors.Is(why, listing.ErrSyntax) && !errors.Is(why, listing.ErrHostile) && !errors.Is(why, listing.ErrAmbiguous) {
		return
	}
	if !s.unread.first(line, time.Now()) {
		return
	}
	length := len(line)
	if length > maxUnreadLine {
		line = line[:maxUnreadLine]
	}
	outcome := "passed over: it names nothing"
	if why != nil {
		outcome = "the directory cannot be listed, since the line may hide a file"
	}
	s.log.Warn("a line of a listing was not understood", "directory", dir, "command", verb, "line", line, "bytes", length, "outcome", outcome)
}

// first says whether such a line is to be logged.
func (u *unread) first(line string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil || now.Sub(u.since) > unreadMemory {
		u.seen, u.since = make(map[string]bool), now
	}
	k := shape(line)
	if u.seen[k] || len(u.seen) >= maxUnread {
		return false
	}
	u.seen[k] = true
	return true
}

// shape is what lines of one kind have in common: their beginning, with words and numbers
// of whatever length.
func shape(line string) string {
	if len(line) > 100 {
		line = line[:100]
	}
	var b strings.Builder
	last := byte(0)
	for i := range len(line) {
		c := line[i]
		switch {
		case '0' <= c && c <= '9':
			c = '0'
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= 0x80:
			c = 'a'
		}
		if c == last && (c == '0' || c == 'a' || c == ' ') {
			continue
		}
		b.WriteByte(c)
		last = c
	}
	return b.String()
}
