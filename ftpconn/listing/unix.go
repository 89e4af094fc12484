package listing

import (
	"strconv"
	"strings"

	"ftpfs/cache/remote"
)

// unixLine parses a line as `ls -l` prints it, and as most servers imitate it:
//
//	-rw-r--r--.  1 root root  1234 Jan  5 12:34 name
//	lrwxrwxrwx   1 1000 100      6 5 Jan 2023 name -> target
//
// The group may be left out, owner and group may hold blanks, and the count of
// links may stick to the mode. The date is what settles where the name begins:
// exactly one blank after it, so that a name's own leading blanks survive.
func unixLine(line string, c clock) (e remote.Entry, ok bool) {
	if len(line) < 10 {
		return e, false
	}
	e = remote.Entry{Size: -1}
	switch line[0] {
	case '-', 'C', 'f', 'm', 'M': // plain; contiguous; plain on some System V; migrated to tape
		e.Type = remote.File
	case 'd':
		e.Type = remote.Dir
	case 'l':
		e.Type = remote.Symlink
	case 'b', 'c', 'p', 's', 'D', 'P', 'n', 'w', '?':
		e.Type = remote.Other
	default:
		return e, false
	}
	rest := line[10:]
	if line[1:10] == "?????????" {
		return unixUnknown(e, rest)
	}
	if e.Mode, ok = unixMode(line[1:10]); !ok {
		return e, false
	}
	e.HasMode = true
	if rest != "" && strings.IndexByte(".+@", rest[0]) >= 0 { // SELinux label, ACL, attributes
		rest = rest[1:]
	}

	var before []string // the columns between mode and size
	for len(before) < 12 {
		var column string
		column, rest = nextColumn(rest)
		if rest == "" {
			return e, false
		}
		if size, isSize := unixSize(column, line[0]); isSize {
			if t, grain, after, isDate := c.date(rest); isDate {
				if e.Type != remote.Other {
					e.Size = size
				}
				e.MTime, e.MGrain = t, grain
				if isNetPresenz(before, size) {
					e.Size, before = -1, nil
				}
				setOwners(&e, before)
				setName(&e, after)
				return e, true
			}
		} else if len(before) > 0 && sizeStuck(column) {
			if t, grain, after, isDate := c.date(rest); isDate {
				e.MTime, e.MGrain = t, grain
				setOwners(&e, before)
				setName(&e, after)
				return e, true
			}
		}
		before = append(before, column)
	}
	return e, false
}

// nextColumn returns the next run of non-blanks and what follows it.
func nextColumn(s string) (column, rest string) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

// unixSize reads the last column before the date: a size, which some servers
// let overflow into the negative, or a device's minor number ("1," before it
// is one more column; "1,3" and BSD's 0x1f are whole).
func unixSize(s string, kind byte) (int64, bool) {
	if kind == 'b' || kind == 'c' {
		return -1, s != "" && strings.Trim(s, "0123456789abcdefx,") == "" && isDigit(s[0])
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		return int64(n), true
	}
	if n := len(s); n > 1 && isDigit(s[0]) && strings.IndexByte("kKMGTB", s[n-1]) >= 0 { // 34.5k: how many bytes?
		return -1, strings.Trim(s[:n-1], "0123456789.,") == ""
	}
	return -1, digits(strings.TrimPrefix(s, "-"))
}

// sizeStuck says that a size is stuck to the group before it, as where servers do not make
// room for a long one: "webmasters10485760". What belongs to which, nobody knows.
func sizeStuck(s string) bool {
	return len(s) > 1 && !isDigit(s[0]) && s[0] != '-' && s[0] != '+' && isDigit(s[len(s)-1])
}

// isNetPresenz knows the lines of files of NetPresenz, on the Mac, which have three
// numbers: resource fork, data fork, and both together, of which neither is what a transfer gives.
//
//	-------r--         326  1391972  1392298 Nov 22  1995 name
func isNetPresenz(before []string, size int64) bool {
	if len(before) != 2 || !digits(before[0]) || !digits(before[1]) || size <= 0 {
		return false
	}
	resource, err1 := strconv.ParseInt(before[0], 10, 63)
	data, err2 := strconv.ParseInt(before[1], 10, 63)
	return err1 == nil && err2 == nil && resource+data == size
}

// setOwners sorts out the columns before the size: links, owner, group; links
// and group may be missing, and a group may hold blanks ("Domain Users").
func setOwners(e *remote.Entry, columns []string) {
	if n := len(columns); n > 0 && e.Type == remote.Other && strings.HasSuffix(columns[n-1], ",") {
		columns = columns[:n-1] // a device's major number
	}
	if len(columns) > 0 && digits(columns[0]) {
		if n, err := strconv.ParseUint(columns[0], 10, 32); err == nil {
			e.Nlink = uint32(n)
		}
		columns = columns[1:]
	}
	if len(columns) > 0 {
		e.Owner = columns[0]
		e.Group = strings.Join(columns[1:], " ")
	}
}

// setName takes the name, and of a symlink the target. A name may itself hold
// " -> ": the size of a link is the length of its target, and where that does
// not settle it the first arrow does.
func setName(e *remote.Entry, s string) {
	const arrow = " -> "
	e.Name = s
	if e.Type != remote.Symlink {
		return
	}
	first := strings.Index(s, arrow)
	if first < 0 {
		return
	}
	at := first
	if cut := len(s) - len(arrow) - int(min(e.Size, int64(len(s)))); e.Size > 0 && cut >= first && strings.HasPrefix(s[cut:], arrow) {
		at = cut
	}
	e.Name, e.Target = s[:at], s[at+len(arrow):]
}

// unixMode reads "rwxr-sr-t" into permission bits.
func unixMode(s string) (mode uint32, ok bool) {
	for i := 0; i < 9; i++ {
		bit := uint32(0o400) >> i
		special := uint32(0o4000) >> (i / 3)
		switch {
		case s[i] == '-':
		case s[i] == "rwx"[i%3]:
			mode |= bit
		case i%3 != 2:
			return 0, false
		case i < 6 && s[i] == 's', i == 8 && s[i] == 't':
			mode |= bit | special
		case i < 6 && s[i] == 'S', i == 8 && s[i] == 'T', i == 5 && (s[i] == 'l' || s[i] == 'L'):
			mode |= special
		default:
			return 0, false
		}
	}
	return mode, true
}

// unixUnknown reads what ls prints of a name it could not stat:
//
//	-????????? ? ? ? ?            ? name
//
// The name is there; that is all anyone knows.
func unixUnknown(e remote.Entry, rest string) (remote.Entry, bool) {
	for range 5 {
		var column string
		if column, rest = nextColumn(rest); column != "?" {
			return e, false
		}
	}
	if rest == "" {
		return e, false
	}
	e.Type = remote.Other
	e.Name = rest[1:]
	return e, true
}
