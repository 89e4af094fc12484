package listing

import (
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ahead is how far in the future a time without a year may lie before it counts
// as last year's: the server's clock may be fast, and its zone another one.
const ahead = 36 * time.Hour

// clock reads the times of a listing.
type clock struct {
	now  time.Time
	zone *time.Location
}

// date reads the date and time at the start of s, after blanks, and the one
// blank after it; after is the rest, which begins the name. Forms:
//
//	Jan  5 12:34        5 Jan 12:34      01-05 12:34
//	Jan  5  2024        5 Jan 2024       2024-01-05
//	Jan  5 12:34:56 2024                 2024-01-05 12:34[:56[.789]] [+0100]
//
// A date that is well formed and does not exist (Jan 0) has grain 0, the mark of
// an unknown time: the entry is still there.
func (c clock) date(s string) (t time.Time, grain time.Duration, after string, ok bool) {
	first, rest := nextColumn(s)
	if strings.IndexByte(first, '-') > 0 {
		return c.isoDate(first, rest)
	}
	second, rest := nextColumn(rest)
	month, isMonth := monthOf(first)
	dayOf := second
	if !isMonth {
		if month, isMonth = monthOf(second); !isMonth {
			return t, 0, "", false
		}
		dayOf = strings.TrimSuffix(first, ".")
	}
	d, isDay := number(dayOf, 1, 2)
	if !isDay || d > 39 {
		return t, 0, "", false
	}
	third, rest := nextColumn(rest)
	if after, ok = strings.CutPrefix(rest, " "); !ok {
		return t, 0, "", false
	}
	if year, isYear := number(third, 4, 4); isYear {
		t, grain = c.at(year, month, d, 0, 0, 0, day)
		return t, grain, after, true
	}
	h, m, sec, grain, ok := timeOfDay(third)
	if !ok {
		return t, 0, "", false
	}
	if grain == time.Second { // BSD's ls -T: the year follows
		word, rest, found := strings.Cut(after, " ")
		if year, isYear := number(word, 4, 4); isYear && found {
			t, grain = c.at(year, month, d, h, m, sec, grain)
			return t, grain, rest, true
		}
	}
	t, grain = c.recent(month, d, h, m, sec, grain)
	return t, grain, after, true
}

// isoDate reads the dates of `ls --time-style=long-iso`, `full-iso` and `iso`;
// the last prints old dates without a time and one blank more.
func (c clock) isoDate(first, rest string) (t time.Time, grain time.Duration, after string, ok bool) {
	after, ok = strings.CutPrefix(rest, " ")
	if !ok {
		return t, 0, "", false
	}
	clockTime, afterTime, hasTime := strings.Cut(after, " ")
	h, m, sec, timeGrain, isTime := timeOfDay(clockTime)
	isTime = isTime && hasTime

	parts := strings.Split(first, "-")
	var n [3]int
	if len(parts) > 3 {
		return t, 0, "", false
	}
	for i, p := range parts {
		width := 2
		if i == 0 && len(parts) == 3 {
			width = 4
		}
		if n[i], ok = number(p, width, width); !ok {
			return t, 0, "", false
		}
	}
	switch {
	case len(parts) == 2 && isTime:
		t, grain = c.recent(time.Month(n[0]), n[1], h, m, sec, timeGrain)
		return t, grain, afterTime, true
	case len(parts) == 2:
		return t, 0, "", false
	case !isTime:
		t, grain = c.at(n[0], time.Month(n[1]), n[2], 0, 0, 0, day)
		return t, grain, strings.TrimPrefix(after, " "), true
	}
	zone, afterZone, hasZone := strings.Cut(afterTime, " ")
	if offset, isZone := zoneOf(zone); isZone && hasZone && timeGrain == time.Second {
		c.zone = time.FixedZone("", offset)
		afterTime = afterZone
	}
	t, grain = c.at(n[0], time.Month(n[1]), n[2], h, m, sec, timeGrain)
	return t, grain, afterTime, true
}

// at is the moment of a wall time, or grain 0 if there is no such day.
func (c clock) at(year int, month time.Month, d, h, m, sec int, grain time.Duration) (time.Time, time.Duration) {
	t := time.Date(year, month, d, h, m, sec, 0, c.zone)
	if !exists(year, month, d) {
		return time.Time{}, 0
	}
	return t.UTC(), grain
}

// recent is the last such moment that is not in the future, but for ahead.
func (c clock) recent(month time.Month, d, h, m, sec int, grain time.Duration) (time.Time, time.Duration) {
	latest := c.now.Add(ahead)
	for year := latest.Year(); year >= latest.Year()-8; year-- { // 8: from 1904 back to 1896
		t, g := c.at(year, month, d, h, m, sec, grain)
		if g != 0 && !t.After(latest) {
			return t, g
		}
	}
	return time.Time{}, 0
}

func exists(year int, month time.Month, d int) bool {
	if month < 1 || month > 12 || d < 1 {
		return false
	}
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Day() == d
}

// timeOfDay reads 12:34, 9:05, 12:34:56 and 12:34:56.789; fractions are dropped.
func timeOfDay(s string) (h, m, sec int, grain time.Duration, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, 0, 0, 0, false
	}
	h, okH := number(parts[0], 1, 2)
	m, okM := number(parts[1], 2, 2)
	if !okH || !okM || h > 24 || m > 59 {
		return 0, 0, 0, 0, false
	}
	if len(parts) == 2 {
		return h, m, 0, time.Minute, true
	}
	whole, fraction, dotted := strings.Cut(parts[2], ".")
	sec, okS := number(whole, 2, 2)
	if !okS || sec > 60 || dotted && !digits(fraction) {
		return 0, 0, 0, 0, false
	}
	return h, m, sec, time.Second, true
}

// zoneOf reads +0100 as seconds east of Greenwich.
func zoneOf(s string) (int, bool) {
	if len(s) != 5 || s[0] != '+' && s[0] != '-' || !digits(s[1:]) {
		return 0, false
	}
	n, _ := strconv.Atoi(s[1:])
	seconds := n/100*3600 + n%100*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

var months = map[string]time.Month{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
	"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}

func monthOf(s string) (time.Month, bool) {
	m, ok := months[strings.ToLower(s)]
	return m, ok
}

// number reads between least and most decimal digits.
func number(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most || !digits(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
