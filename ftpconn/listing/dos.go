package listing

import (
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// dos reads lines as IIS and other Windows servers print them:
//
//	01-29-24  11:32PM       <DIR>          name
//	2024-01-29  23:32         1,234,567 name
//	01-29-2024  11:32 PM    <JUNCTION>     name [C:\target]
//
// IIS puts the month first whatever the country. Where a line of the listing shows
// that the day comes first, it does in all of them.
type dos struct {
	dayFirst, monthFirst bool // shown by a day beyond 12
	assumed              bool // that the day is first, where nothing shows it
}

func (f *dos) again() format { g := *f; return &g }
func (f *dos) halfway() bool { return false }

func (f *dos) read(line string, c clock) (remote.Entry, kind) {
	if e, ok := f.line(line, c); ok {
		return e, complete
	}
	return remote.Entry{}, foreign
}

func (f *dos) line(line string, c clock) (e remote.Entry, ok bool) {
	e = remote.Entry{Size: -1}
	date, rest := nextColumn(line)
	year, month, d, ok := f.date(date)
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

// date reads 01-29-24, 01/29/2024, 2024-01-29, and 29.01.2024, where dots
// put the day first. The month is 0 where nobody can tell it from the day.
func (f *dos) date(s string) (year int, month time.Month, d int, ok bool) {
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
	if len(parts[0]) == 4 {
		return n[0], time.Month(n[1]), n[2], n[1] <= 12 && n[2] <= 31
	}
	first, second := n[0], n[1]
	if first > 31 || second > 31 || first > 12 && second > 12 {
		return 0, 0, 0, false
	}
	f.dayFirst = f.dayFirst || first > 12 && s[sep] != '.'
	f.monthFirst = f.monthFirst || second > 12
	usual := !f.dayFirst && (!f.assumed || f.monthFirst)
	switch {
	case second > 12, s[sep] != '.' && first <= 12 && usual, first == second:
		month, d = time.Month(first), second
	case first > 12, s[sep] == '.', !f.monthFirst:
		d, month = first, time.Month(second)
	}
	year = n[2]
	if len(parts[2]) <= 2 {
		year = century(year)
	}
	return year, month, d, true
}
