package listing

import (
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// eplfLine parses a line of the Easily Parsed List Format (publicfile, anonftpd):
//
//	+i8388621.44468,m839956783,r,s10376,up644,<tab>name
//
// Times are seconds since 1970. What can be neither entered nor retrieved is
// Other; facts not known here are passed over.
func eplfLine(line string, _ clock) (e remote.Entry, ok bool) {
	facts, name, ok := strings.Cut(line, "\t")
	if !ok || !strings.HasPrefix(facts, "+") {
		return e, false
	}
	e = remote.Entry{Name: name, Type: remote.Other, Size: -1}
	for f := range strings.SplitSeq(facts[1:], ",") {
		if f == "" {
			continue
		}
		value := f[1:]
		switch f[0] {
		case '/':
			e.Type = remote.Dir
		case 'r':
			if e.Type != remote.Dir {
				e.Type = remote.File
			}
		case 's':
			if n, err := strconv.ParseUint(value, 10, 63); err == nil {
				e.Size = int64(n)
			}
		case 'm':
			if n, err := strconv.ParseUint(value, 10, 33); err == nil {
				e.MTime, e.MGrain = time.Unix(int64(n), 0).UTC(), time.Second
			}
		case 'i':
			e.Unique = value
		case 'u':
			if octal, isMode := strings.CutPrefix(value, "p"); isMode {
				if m, err := strconv.ParseUint(octal, 8, 32); err == nil {
					e.Mode, e.HasMode = uint32(m)&0o7777, true
				}
			}
		}
	}
	return e, true
}
