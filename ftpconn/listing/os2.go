package listing

import (
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// os2Line parses a line as IBM's server for OS/2 prints it: size, attributes, the
// word DIR, and a year since 1900 that has three digits from 2000 on:
//
//	36611      A    04-23-103  10:57  name
//	    0 DIR       02-11-103  16:15  name
func os2Line(line string, c clock) (e remote.Entry, ok bool) {
	e = remote.Entry{Size: -1}
	column, rest := nextColumn(line)
	size, ok := unixSize(column, '-')
	if !ok || !digits(column) {
		return e, false
	}
	for range 5 {
		column, rest = nextColumn(rest)
		if column == "DIR" {
			e.Type = remote.Dir
		} else if column == "" || strings.Trim(column, "RAHS") != "" {
			break
		}
	}
	parts := strings.Split(column, "-")
	if len(parts) != 3 {
		return e, false
	}
	month, isMonth := number(parts[0], 1, 2)
	d, isDay := number(parts[1], 1, 2)
	year, isYear := number(parts[2], 2, 3)
	column, rest = nextColumn(rest)
	h, m, sec, grain, isTime := timeOfDay(column)
	if !isMonth || !isDay || !isYear || month > 12 || d > 31 || !isTime || rest == "" {
		return e, false
	}
	if e.Type == remote.File {
		e.Size = size
	}
	e.MTime, e.MGrain = c.at(1900+year, time.Month(month), d, h, m, sec, grain)
	e.Name = strings.TrimLeft(rest, " ")
	return e, true
}
