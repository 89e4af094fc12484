package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// watch keeps what was said last, on all connections.
type watch struct {
	secret *regexp.Regexp // immutable; blanked, also where a server says it back; nil: nothing

	mu    sync.Mutex // guards what follows
	lines []line
	first int // the number of lines[0]
}

type line struct {
	conn int
	text string
}

const (
	maxWatched = 4000 // lines kept
	maxShown   = 300  // bytes of one that is shown
)

// secret finds a password in what is said; one that is short as a word only, since it
// would be found everywhere.
func secret(password string) *regexp.Regexp {
	if password == "" {
		return nil
	}
	p := regexp.QuoteMeta(password)
	if len(password) < 4 {
		p = `(?:^|\b)` + p + `(?:$|\b)`
	}
	return regexp.MustCompile(p)
}

func (w *watch) hear(conn int, text string) {
	if w.secret != nil {
		text = w.secret.ReplaceAllLiteralString(text, "****")
	}
	if len(text) > 8*maxShown {
		text = text[:8*maxShown]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line{conn, text})
	if over := len(w.lines) - maxWatched; over > maxWatched/4 {
		w.lines = append([]line(nil), w.lines[over:]...)
		w.first += over
	}
}

// mark is a moment, for failure.
func (w *watch) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first + len(w.lines)
}

// failure returns the last command since mark that was refused, or else got no answer,
// and what came. Both are "" when all went well.
func (w *watch) failure(mark int) (sent, came string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	due := map[int][]string{} // commands without a final reply
	last := 0
	for _, l := range w.lines[min(max(mark-w.first, 0), len(w.lines)):] {
		text, isReply := strings.CutPrefix(l.text, "< ")
		cmd, isCommand := strings.CutPrefix(l.text, "> ")
		switch {
		case isCommand:
			due[l.conn], last = append(due[l.conn], cmd), l.conn
		case isReply && text != "" && text[0] != '1':
			cmd = "(connect)"
			if q := due[l.conn]; len(q) > 0 {
				cmd, due[l.conn] = q[0], q[1:]
			}
			if text[0] >= '4' {
				sent, came = plain(cmd), plain(text)
			}
		}
	}
	if q := due[last]; len(q) > 0 && q[0] != "QUIT" {
		return plain(q[0]), ""
	}
	return sent, came
}

// greeting is the first reply since mark.
func (w *watch) greeting(mark int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines[min(max(mark-w.first, 0), len(w.lines)):] {
		if text, is := strings.CutPrefix(l.text, "< "); is {
			return plain(text)
		}
	}
	return ""
}

// said reports whether a command that begins so was sent since mark.
func (w *watch) said(mark int, begin string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines[min(max(mark-w.first, 0), len(w.lines)):] {
		if strings.HasPrefix(l.text, "> "+begin) {
			return true
		}
	}
	return false
}

// plain bounds and escapes a text that a server may have made.
func plain(s string) string {
	s = strings.TrimSpace(s)
	if over := len(s) - maxShown; over > 0 {
		s = s[:maxShown/2] + fmt.Sprintf("…(%d bytes)…", over) + s[len(s)-maxShown/2:]
	}
	return escape(s)
}

// escape makes any bytes printable UTF-8.
func escape(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
