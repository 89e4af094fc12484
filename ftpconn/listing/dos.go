package listing

import (
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// dosLine parses a line as IIS and other Windows servers print it:
//
//	01-29-24  11:32PM       <DIR>          name
//	2024-01-29  23:32         1,234,567 name
//	01-29-2024  11:32 PM    <JUNCTION>     name [C:\target]
//
// The month comes first, save where that cannot be.
func dosLine(line string, c clock) (e remote.Entry, ok bool) {
	e = remote.Entry{Size: -1}
	date, rest := nextColumn(line)
	year, month, d, ok := dosDate(date)
	if !ok {
		return e, false
	}
	word, rest := nextColumn(rest)
	upper := strings.ToUpper(word)
	half := ""
	if n := len(upper); n > 2 && (strings.HasSuffix(upper, "AM") || strings.HasSuffix(upper, "PM")) {
		upper, half = upper[:n-2], upper[n-2:]
	} else if next, after := nextColumn(rest); strings.EqualFold(next, "AM") || strings.EqualFold(next, "PM") {
		half, rest = strings.ToUpper(next), after
	}
	h, m, sec, grain, ok := timeOfDay(upper)
	if !ok || half != "" && (h < 1 || h > 12) {
		return e, false
	}
	if half != "" {
		h %= 12
	}
	if half == "PM" {
		h += 12
	}
	e.MTime, e.MGrain = c.at(year, month, d, h, m, sec, grain)

	column, rest := nextColumn(rest)
	if rest == "" {
		return e, false
	}
	switch upper = strings.ToUpper(column); upper {
	case "<DIR>":
		e.Type = remote.Dir
		e.Name = dosPadding(rest, len("<DIR>"))
	case "<JUNCTION>", "<SYMLINK>", "<SYMLINKD>":
		e.Type = remote.Symlink
		e.Name = dosPadding(rest, len(upper))
		if name, target, found := strings.Cut(e.Name, " ["); found && strings.HasSuffix(target, "]") {
			e.Name, e.Target = name, strings.TrimSuffix(target, "]")
		}
	default:
		n, ok := dosSize(column)
		if !ok {
			return e, false
		}
		e.Size = n
		e.Name = rest[1:]
	}
	return e, true
}

// dosPadding strips the blanks that fill the 15 columns of "<DIR>" and its like;
// more of them belong to the name.
func dosPadding(s string, used int) string {
	for pad := max(15-used, 1); pad > 0 && strings.HasPrefix(s, " "); pad-- {
		s = s[1:]
	}
	return s
}

// dosSize reads a size with or without thousands separators.
func dosSize(s string) (int64, bool) {
	if strings.ContainsAny(s, ",.") {
		groups := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '.' })
		for i, g := range groups {
			if !digits(g) || i > 0 && len(g) != 3 || len(g) > 3 {
				return 0, false
			}
		}
		if len(groups)-1 != strings.Count(s, ",")+strings.Count(s, ".") {
			return 0, false
		}
		s = strings.Join(groups, "")
	}
	if !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1, true // a size beyond 63 bits: the file is there, its size unknown
	}
	return n, true
}

// dosDate reads 01-29-24, 01/29/2024, 2024-01-29, and 29.01.2024, where dots
// put the day first.
func dosDate(s string) (year int, month time.Month, d int, ok bool) {
	sep := strings.IndexAny(s, "-/.")
	if sep < 0 {
		return 0, 0, 0, false
	}
	parts := strings.Split(s, s[sep:sep+1])
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, p := range parts {
		if n[i], ok = number(p, 1, 4); !ok || len(p) == 3 {
			return 0, 0, 0, false
		}
	}
	switch {
	case len(parts[0]) == 4:
		return n[0], time.Month(n[1]), n[2], n[1] <= 12 && n[2] <= 31
	case s[sep] == '.' || n[0] > 12:
		d, month = n[0], time.Month(n[1])
	default:
		month, d = time.Month(n[0]), n[1]
	}
	year = n[2]
	if len(parts[2]) <= 2 {
		year += 1900
		if n[2] < 70 {
			year += 100
		}
	}
	return year, month, d, month <= 12 && d <= 31
}
