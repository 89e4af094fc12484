package credentials

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// entry of a netrc file; host "" is the default entry.
type entry struct {
	host            string
	login, password string
	hasPassword     bool
}

// fromNetrc takes the first entry for host that fits the user, else the default
// entry. A file that others can read is refused only when it holds what is wanted.
func (l *Login) fromNetrc(name, host string) (done bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, nil // none, or not ours to read
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, cause(err))
	}
	e, ok := choose(parseNetrc(string(b)), host, l.User)
	if !ok {
		return false, nil
	}
	if err := onlyOurs(f); err != nil {
		return false, fmt.Errorf("%s %w", name, err)
	}
	if clean(e.password) != nil || clean(e.login) != nil {
		return false, fmt.Errorf("%s: %w", name, errors.New("the entry holds a control character"))
	}
	l.User, l.Password, l.From = e.login, e.password, name
	return true, nil
}

func choose(entries []entry, host, user string) (entry, bool) {
	for _, e := range entries {
		if e.host != "" && !strings.EqualFold(e.host, host) {
			continue
		}
		if e.login == "" {
			e.login = user
		}
		if e.login == "" || user != "" && e.login != user {
			continue
		}
		if !e.hasPassword {
			if e.login != Anonymous {
				continue
			}
			e.password = anonymousPassword
		}
		return e, true
	}
	return entry{}, false
}

// parseNetrc reads what ftp(1), curl and wget agree on: words between blanks,
// quoted where they hold blanks, macdef running to an empty line, and comments
// from a word that begins with #. A default entry ends the list.
func parseNetrc(text string) []entry {
	var entries []entry
	s := words{rest: strings.TrimPrefix(text, "\ufeff")}
	var cur *entry
	for {
		w, ok := s.next()
		if !ok {
			return entries
		}
		switch w {
		case "machine":
			host, ok := s.next()
			if !ok {
				return entries
			}
			entries = append(entries, entry{host: host})
			cur = &entries[len(entries)-1]
		case "default":
			entries = append(entries, entry{})
			cur = &entries[len(entries)-1]
		case "login", "password", "account":
			v, ok := s.next()
			if !ok {
				return entries
			}
			switch {
			case cur == nil:
			case w == "login":
				cur.login = v
			case w == "password":
				cur.password, cur.hasPassword = v, true
			}
		case "macdef":
			s.skipMacro()
		default:
			if strings.HasPrefix(w, "#") {
				s.skipLine()
			}
		}
	}
}

// words cuts a netrc file.
type words struct{ rest string }

const blanks = " \t\r\n"

func (s *words) next() (string, bool) {
	s.rest = strings.TrimLeft(s.rest, blanks)
	if s.rest == "" {
		return "", false
	}
	if s.rest[0] == '"' {
		var b strings.Builder
		for i := 1; i < len(s.rest); i++ {
			switch c := s.rest[i]; {
			case c == '\\' && i+1 < len(s.rest):
				i++
				b.WriteByte(s.rest[i])
			case c == '"':
				s.rest = s.rest[i+1:]
				return b.String(), true
			default:
				b.WriteByte(c)
			}
		}
		s.rest = ""
		return b.String(), true
	}
	end := strings.IndexAny(s.rest, blanks)
	if end < 0 {
		end = len(s.rest)
	}
	w := s.rest[:end]
	s.rest = s.rest[end:]
	return w, true
}

func (s *words) skipLine() {
	_, s.rest, _ = strings.Cut(s.rest, "\n")
}

// skipMacro drops a macro's name and body, which an empty line ends.
func (s *words) skipMacro() {
	s.skipLine()
	for s.rest != "" {
		line, rest, _ := strings.Cut(s.rest, "\n")
		s.rest = rest
		if strings.Trim(line, "\r") == "" {
			return
		}
	}
}
