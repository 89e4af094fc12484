package listing

import (
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// as400 reads listings of IBM i (AS/400, iSeries) with LISTFMT 0:
//
//	ANN              36864 03/24/24 14:06:34 *DIR       src/
//	ANN               4019 03/18/24 18:58:16 *STMF      report.zip
//	ANN                                      *MEM       QSRC.FILE/MAIN.MBR
//
// The date is in the order that the server's job has; see order. Members
// that are told of in the listing of their library are no names in it.
type as400 struct{ order order }

func (a *as400) again() format { return &as400{order: a.order.settled()} }
func (a *as400) halfway() bool { return false }

func (a *as400) read(line string, c clock) (e remote.Entry, k kind) {
	e = remote.Entry{Size: -1}
	var before []string
	column, rest := "", line
	for {
		if column, rest = nextColumn(rest); column == "" || len(before) > 4 {
			return e, foreign
		}
		if column[0] == '*' {
			break
		}
		before = append(before, column)
	}
	e.Name = strings.TrimLeft(rest, " ")
	kindOf := column[1:]
	if len(kindOf) < 2 || len(kindOf) > 10 || strings.Trim(kindOf, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || e.Name == "" {
		return e, foreign
	}
	if n := len(before); n >= 2 && strings.ContainsAny(before[n-1], ":.") && !digits(before[n-2]) {
		h, m, sec, grain, okTime := timeOfDay(strings.ReplaceAll(before[n-1], ".", ":"))
		one, okDate := a.order.parse(before[n-2], c)
		if !okTime || !okDate {
			return e, foreign
		}
		if !one.IsZero() {
			e.MTime, e.MGrain = c.at(one.Year(), one.Month(), one.Day(), h, m, sec, grain)
		}
		if before = before[:n-2]; len(before) > 0 && digits(before[len(before)-1]) {
			e.Size, _ = unixSize(before[len(before)-1], '-')
			before = before[:len(before)-1]
		}
	}
	switch len(before) {
	case 0:
	case 1:
		e.Owner = before[0]
	default:
		return e, foreign
	}

	bare := strings.TrimSuffix(e.Name, "/")
	switch upper := strings.ToUpper(bare); kindOf {
	case "DIR", "DDIR", "LIB", "FLR":
		e.Type, e.Name, e.Size = remote.Dir, bare, -1
	case "FILE": // a file of members, which is entered; a save file is one to fetch
		if !strings.HasSuffix(upper, ".SAVF") {
			e.Type, e.Name, e.Size = remote.Dir, bare, -1
		}
	case "MEM":
		if file, member, within := strings.Cut(upper, ".FILE/"); within && file != "" && strings.HasSuffix(member, ".MBR") && !strings.Contains(file+member, "/") {
			return e, aside
		}
	case "STMF", "DSTMF", "DOC":
	case "SYMLNK":
		e.Type = remote.Symlink
	default: // programs, queues and other objects
		e.Type, e.Size = remote.Other, -1
		e.Name = bare
	}
	return e, complete
}

// order finds out in which order a listing has year, month and day, by what the
// dates in it rule out: months beyond 12, days beyond 31, days to come. While
// more than one order is left, a date is only told where they agree on it.
type order struct {
	out   [3]bool // ruled out: month first, day first, year first
	fixed bool    // all lines have been seen
}

func (o order) settled() order {
	o.fixed = true
	return o
}

// parse reads three numbers of two digits. The time is zero if nobody can tell.
func (o *order) parse(s string, c clock) (time.Time, bool) {
	sep := strings.IndexAny(s, "/-.,")
	if sep < 0 {
		return time.Time{}, false
	}
	parts := strings.Split(s, s[sep:sep+1])
	if len(parts) != 3 {
		return time.Time{}, false
	}
	var n [3]int
	for i, p := range parts {
		var ok bool
		if n[i], ok = number(p, 2, 2); !ok {
			return time.Time{}, false
		}
	}
	if s[sep] == '.' { // only with the day first
		o.out[0], o.out[2] = true, true
	}
	var date [3]time.Time
	for i, f := range [3][3]int{{n[2], n[0], n[1]}, {n[2], n[1], n[0]}, {n[0], n[1], n[2]}} {
		year := century(f[0])
		date[i] = time.Date(year, time.Month(f[1]), f[2], 0, 0, 0, 0, time.UTC)
		if !exists(year, time.Month(f[1]), f[2]) || date[i].After(c.now.Add(ahead)) {
			date[i] = time.Time{}
			o.out[i] = o.out[i] || !o.fixed
		}
	}
	var one time.Time
	for i, t := range date {
		switch {
		case o.out[i]:
		case t.IsZero() || !one.IsZero() && !one.Equal(t):
			return time.Time{}, true
		default:
			one = t
		}
	}
	return one, true
}
