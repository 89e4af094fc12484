package ftpconn

import (
	"strings"
	"unicode/utf8"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/codepage"
	"ftpfs/ftpconn/wire"
)

// wantUTF8 asks the server for UTF-8, or, where its names are in a code page, for those:
// some servers translate names if they are not told otherwise. (RFC 2640 has them do so by
// themselves.) One that knows neither gives the bytes it has.
func (c Config) wantUTF8() string {
	if c.Codepage != nil {
		return "OPTS UTF8 OFF"
	}
	return "OPTS UTF8 ON"
}

// keepPage takes the server's word on names in a code page.
func (s *Store) keepPage(w *wire.Conn, feats map[string]string) error {
	page := s.cfg.Codepage
	if page == nil {
		return nil // the library has taken it
	}
	r, err := w.KnownOr(s.cfg.wantUTF8())
	if err != nil {
		return err
	}
	if _, speaks := feats["UTF8"]; speaks && !r.OK() && s.hint() {
		s.log.Warn("the server does not turn UTF-8 off; if names look wrong, mount without codepage", "codepage", page, "said", r.String())
	}
	return nil
}

// hint is true once.
func (s *Store) hint() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.hinted
	s.hinted = true
	return first
}

// hintPage says, once, if the names of a directory are probably in another code page.
func (s *Store) hintPage(dir string, entries []remote.Entry) {
	page := s.cfg.Codepage
	var odd []string // as the server has them
	for i := range entries {
		name := entries[i].Name
		if page != nil {
			name, _ = encode(page, name)
		}
		if strings.IndexFunc(name, notASCII) >= 0 && utf8.ValidString(name) == (page != nil) {
			odd = append(odd, name)
		}
	}
	switch {
	case len(odd) == 0:
	case page == nil && s.hint():
		args := []any{"dir", dir, "name", odd[0]}
		if guess := codepage.Guess(odd); guess != "" {
			args = append(args, "perhaps", "codepage="+guess)
		}
		s.log.Warn("names are not UTF-8; if they look wrong, mount with codepage=NAME", args...)
	case page != nil && len(odd) >= 3 && s.hint():
		s.log.Warn("names look like UTF-8; if they look wrong here, mount without codepage", "dir", dir, "name", odd[0], "codepage", page)
	}
}

func notASCII(r rune) bool { return r >= utf8.RuneSelf }
