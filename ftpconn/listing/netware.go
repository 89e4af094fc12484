package listing

import (
	"strings"

	"ftpfs/cache/remote"
)

// netwareLine parses a line as NetWare's own server prints it, and Hellsoft's,
// which leaves out the first blank:
//
//	d [R----F--] supervisor            512       Jan 16 18:53    login
//	-[RWCEAFMS] 1 admin             214059       Oct 20  1999    cx.exe
//
// The letters are rights of a trustee, not permissions. Blanks before the name
// fill columns.
func netwareLine(line string, c clock) (e remote.Entry, ok bool) {
	if line == "" {
		return e, false
	}
	e = remote.Entry{Size: -1}
	switch line[0] {
	case 'd':
		e.Type = remote.Dir
	case '-':
		e.Type = remote.File
	default:
		return e, false
	}
	rights, rest, ok := strings.Cut(strings.TrimPrefix(line[1:], " "), "]")
	if !ok || len(rights) < 8 || len(rights) > 10 || rights[0] != '[' || strings.Trim(rights[1:], "-RWCEAFMSrwceafms") != "" {
		return e, false
	}
	var before []string
	for len(before) < 6 {
		var column string
		column, rest = nextColumn(rest)
		if rest == "" {
			return e, false
		}
		if size, isSize := unixSize(column, line[0]); isSize {
			if t, grain, after, isDate := c.date(rest); isDate {
				e.Size, e.MTime, e.MGrain = size, t, grain
				setOwners(&e, before)
				e.Name = strings.TrimLeft(after, " ")
				return e, true
			}
		}
		before = append(before, column)
	}
	return e, false
}
