package listing

import (
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// numericLine parses a line that holds the numbers of stat(2), with the mode in
// octal digits and the time in seconds since 1970:
//
//	0100644   500  101   12345    123456789       name
func numericLine(line string, _ clock) (e remote.Entry, ok bool) {
	e = remote.Entry{Size: -1}
	column, rest := nextColumn(line)
	mode, err := strconv.ParseUint(column, 8, 17)
	if err != nil || len(column) < 6 || len(column) > 7 || line[0] == ' ' {
		return e, false
	}
	switch mode >> 12 {
	case 4:
		e.Type = remote.Dir
	case 8:
		e.Type = remote.File
	case 10:
		e.Type = remote.Symlink
	case 1, 2, 6, 12:
		e.Type = remote.Other
	default:
		return e, false
	}
	var n [4]string // owner, group, size, time
	for i := range n {
		if n[i], rest = nextColumn(rest); !digits(n[i]) {
			return e, false
		}
	}
	seconds, err := strconv.ParseUint(n[3], 10, 33)
	if err != nil || rest == "" {
		return e, false
	}
	if size, err := strconv.ParseUint(n[2], 10, 63); err == nil && e.Type != remote.Other {
		e.Size = int64(size)
	}
	e.Mode, e.HasMode = uint32(mode)&0o7777, true
	e.Owner, e.Group = n[0], n[1]
	e.MTime, e.MGrain = time.Unix(int64(seconds), 0).UTC(), time.Second
	e.Name = strings.TrimLeft(rest, " \t")
	return e, true
}
