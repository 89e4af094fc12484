package listing

import (
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// ParseMLSx parses one line of an MLSD listing (RFC 3659 section 7): facts, one
// space, and the name byte for byte. Leading blanks before the facts, as in an
// MLST reply, are allowed. Size is -1 without a size fact, and MGrain 0 without
// a modify fact that can be read. Lines of type cdir and pdir are Noise, and
// still fill the entry (of type Dir). Without a type fact a line is an error,
// because a directory must not be taken for a file.
func ParseMLSx(line string) (remote.Entry, Class, error) {
	e, self, class, err := parseFacts(line)
	if err != nil || class == Noise || self {
		return e, class, err
	}
	return finish(e, line)
}

// ParseMLST parses the line of facts in an MLST reply. It looks at the facts
// alone and leaves Name empty, since servers send a path, a bare name or
// something else there and the caller knows what was asked for. A directory is
// a Dir even if the server calls it cdir or pdir. A blank line is Noise.
func ParseMLST(line string) (remote.Entry, Class, error) {
	e, self, class, err := parseFacts(line)
	if err == nil && self {
		class = IsEntry
	}
	e.Name = ""
	return e, class, err
}

// parseFacts fills an entry from facts and name, which it does not judge. self
// says that the line is about the listed directory itself or its parent.
func parseFacts(line string) (e remote.Entry, self bool, class Class, err error) {
	if strings.Trim(line, " \t\r") == "" {
		return e, false, Noise, nil
	}
	if len(line) > maxLine {
		return e, false, Invalid, bad(ErrSyntax, line)
	}
	var room [16]fact // more than servers tell
	facts, name, ok := splitFacts(room[:0], strings.TrimLeft(line, " "))
	if !ok {
		return e, false, Invalid, bad(ErrSyntax, line)
	}
	e = remote.Entry{Name: name, Size: -1}
	var typed bool
	var owner, group rank
	for _, f := range facts {
		var key [keyRoom]byte
		switch string(lower(key[:], f.key)) {
		case "type":
			typed = true
			e.Type, e.Target, self = factType(f.value)
		case "size", "sizd":
			if n, err := strconv.ParseUint(f.value, 10, 63); err == nil {
				e.Size = int64(n)
			}
		case "modify":
			if t, ok := factTime(f.value); ok {
				e.MTime, e.MGrain = t, time.Second
			}
		case "unix.mode":
			// pyftpdlib writes 0o644.
			if m, err := strconv.ParseUint(strings.TrimPrefix(f.value, "0o"), 8, 32); err == nil {
				e.Mode, e.HasMode = uint32(m)&0o7777, true
			}
		case "unix.ownername":
			owner.set(3, f.value)
		case "unix.owner":
			owner.set(2, f.value)
		case "unix.uid":
			owner.set(1, f.value)
		case "unix.groupname":
			group.set(3, f.value)
		case "unix.group":
			group.set(2, f.value)
		case "unix.gid":
			group.set(1, f.value)
		case "unique":
			e.Unique = f.value
		}
	}
	if !typed {
		return remote.Entry{}, false, Invalid, bad(ErrSyntax, line)
	}
	e.Owner, e.Group = owner.value, group.value
	if self {
		return e, true, Noise, nil
	}
	return e, false, IsEntry, nil
}

// rank keeps the best of several spellings of one thing: a name beats a number.
type rank struct {
	best  int
	value string
}

func (r *rank) set(n int, v string) {
	if v != "" && n > r.best {
		r.best, r.value = n, v
	}
}

type fact struct{ key, value string }

// keyRoom is as long as the keys that mean something here, and longer.
const keyRoom = 16

// lower is s in lower case, put into room, or "" if it is longer than that. A million lines
// are read where a million files are.
func lower(room []byte, s string) []byte {
	if len(s) > len(room) {
		return nil
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		room[i] = c
	}
	return room[:len(s)]
}

// splitFacts adds to facts what it splits "key=value;key=value; name". It follows what servers do
// beyond the RFC: a value with blanks in it (a link's target, "Domain Users"),
// a target with a semicolon, and a last fact without its semicolon.
func splitFacts(facts []fact, s string) (all []fact, name string, ok bool) {
	for {
		if strings.HasPrefix(s, " ") {
			return facts, s[1:], len(facts) > 0
		}
		piece, rest, closed := strings.Cut(s, ";")
		key, value, isFact := strings.Cut(piece, "=")
		if isFact && !strings.ContainsAny(key, " /") {
			free := strings.EqualFold(key, "type") || len(key) >= len("unix.") && strings.EqualFold(key[:len("unix.")], "unix.")
			if blank := strings.IndexByte(value, ' '); blank >= 0 && (!closed || !free) {
				facts = append(facts, fact{key, value[:blank]})
				return facts, value[blank+1:] + s[len(piece):], true
			}
			if !closed {
				return nil, "", false
			}
			facts = append(facts, fact{key, value})
		} else if n := len(facts); closed && n > 0 && isLink(facts[n-1]) {
			facts[n-1].value += ";" + piece
		} else {
			return nil, "", false
		}
		s = rest
	}
}

func isLink(f fact) bool {
	return strings.EqualFold(f.key, "type") && strings.Contains(strings.ToLower(f.value), "slink:")
}

// factType reads the type fact. Local types begin with "OS."; links come as
// OS.unix=slink:TARGET (Pure-FTPd, ProFTPD's UseSlink), OS.unix=symlink, or
// with no OS prefix at all. What is none of them is shown, not opened.
func factType(v string) (t remote.EntryType, target string, self bool) {
	switch v { // as nearly all servers spell it
	case "file":
		return remote.File, "", false
	case "dir":
		return remote.Dir, "", false
	}
	lower := strings.ToLower(v)
	switch lower {
	case "file":
		return remote.File, "", false
	case "dir":
		return remote.Dir, "", false
	case "cdir", "pdir":
		return remote.Dir, "", true
	}
	if rest, ok := strings.CutPrefix(lower, "os."); ok {
		_, lower, _ = strings.Cut(rest, "=")
	}
	kind, _, hasTarget := strings.Cut(lower, ":")
	switch kind {
	case "slink", "symlink", "link":
		if hasTarget {
			target = v[strings.IndexByte(v, ':')+1:]
		}
		return remote.Symlink, target, false
	}
	return remote.Other, "", false
}

// factTime reads YYYYMMDDHHMMSS with or without a fraction, in UTC, in whole
// seconds: no way to set a time over FTP is finer. Some old servers write the
// year 2024 as "19124".
func factTime(v string) (time.Time, bool) {
	v, _, _ = strings.Cut(v, ".")
	if len(v) == 15 && strings.HasPrefix(v, "191") {
		century, err := strconv.Atoi(v[2:5])
		if err != nil {
			return time.Time{}, false
		}
		v = strconv.Itoa(1900+century) + v[5:]
	}
	if len(v) != len("20060102150405") {
		return time.Time{}, false
	}
	var n [6]int // year, month, day, hour, minute, second
	for i, digits := 0, 4; i < len(n); i, digits = i+1, 2 {
		for _, c := range []byte(v[:digits]) {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
		v = v[digits:]
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	// A 31st of February is a day of March to Date, and none here.
	return t, t.Year() == n[0] && int(t.Month()) == n[1] && t.Day() == n[2] && t.Hour() == n[3] && t.Minute() == n[4] && t.Second() == n[5]
}

// ParseTime reads a time as MDTM, MFMT and the modify fact spell it: UTC,
// fractions dropped. It reports false for anything else.
func ParseTime(v string) (time.Time, bool) { return factTime(v) }
