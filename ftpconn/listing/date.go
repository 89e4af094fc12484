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

func clockIn(now time.Time, zone *time.Location) clock {
	if zone == nil {
		zone = time.UTC
	}
	return clock{now: now.In(zone), zone: zone}
}

// date reads the date and time at the start of s, after blanks, and the one
// blank after it; after is the rest, which begins the name. Forms:
//
//	Jan  5 12:34        5 Jan 12:34      01-05 12:34     01-05 2024
//	Jan  5  2024        5 Jan 2024       2024-01-05      2024/01/05   2024.01.05
//	Jan  5 12:34:56 2024                 2024-01-05 12:34[:56[.789]] [+0100]
//	Jan 05, 2024 12:34  05-Jan-24        25-01-2024 12:34
//	1月  5 12:34        1月  5日 2024年  2024年 1月  5日
//
// Months may have the names of other languages, and commas or dots behind them. A
// date that is well formed and does not exist (Jan 0), or may be another one
// (05-01-2024), has grain 0, the mark of an unknown time: the entry is still there.
func (c clock) date(s string) (t time.Time, grain time.Duration, after string, ok bool) {
	first, rest := nextColumn(s)
	if at := strings.IndexAny(first, "-/."); at > 0 && at < len(first)-1 {
		return c.digitDate(first, rest)
	}
	second, rest := nextColumn(rest)
	month, isMonth := monthOf(first)
	dayOf := second
	if !isMonth {
		if month, isMonth = monthOf(second); !isMonth {
			return t, 0, "", false
		}
		dayOf = first
	}
	third, rest := nextColumn(rest)
	if after, ok = strings.CutPrefix(rest, " "); !ok {
		return t, 0, "", false
	}
	comma := strings.HasSuffix(dayOf, ",")
	d, isDay := number(trimUnit(strings.TrimRight(dayOf, ".,"), dayUnits), 1, 2)
	year, isYear := yearOf(third)
	if yearFirst, is := yearOf(first); is && len(first) > 4 && dayOf == first { // 2024年 1月 5日
		if d, isDay = number(trimUnit(third, dayUnits), 1, 2); isDay && d <= 31 {
			t, grain = c.at(yearFirst, month, d, 0, 0, 0, day)
			return t, grain, after, true
		}
	}
	if !isDay || d > 39 {
		return t, 0, "", false
	}
	if isYear {
		if clockTime, afterTime, found := strings.Cut(after, " "); comma && found {
			if h, m, sec, grain, isTime := timeOfDay(clockTime); isTime {
				t, grain = c.at(year, month, d, h, m, sec, grain)
				return t, grain, afterTime, true
			}
		}
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

// digitDate reads dates in one word: those of `ls --time-style=long-iso`, `full-iso` and
// `iso`, of which the last prints old dates without a time and one blank more, and others.
func (c clock) digitDate(first, rest string) (t time.Time, grain time.Duration, after string, ok bool) {
	after, ok = strings.CutPrefix(rest, " ")
	if !ok {
		return t, 0, "", false
	}
	next, afterNext, hasNext := strings.Cut(after, " ")
	h, m, sec, timeGrain, isTime := timeOfDay(next)
	isTime = isTime && hasNext

	sep := first[strings.IndexAny(first, "-/.")]
	parts := strings.Split(first, string(sep))
	if len(parts) == 2 && sep == '-' { // MM-DD
		month, okMonth := number(parts[0], 2, 2)
		d, okDay := number(parts[1], 2, 2)
		year, isYear := number(next, 4, 4)
		switch {
		case !okMonth || !okDay:
		case isTime:
			t, grain = c.recent(time.Month(month), d, h, m, sec, timeGrain)
			return t, grain, afterNext, true
		case isYear && hasNext:
			t, grain = c.at(year, time.Month(month), d, 0, 0, 0, day)
			return t, grain, afterNext, true
		}
		return t, 0, "", false
	}
	if len(parts) != 3 {
		return t, 0, "", false
	}
	year, month, d, ok := dayIn(parts)
	if !ok {
		return t, 0, "", false
	}
	if !isTime {
		t, grain = c.at(year, month, d, 0, 0, 0, day)
		return t, grain, strings.TrimPrefix(after, " "), true
	}
	zone, afterZone, hasZone := strings.Cut(afterNext, " ")
	if offset, isZone := zoneOf(zone); isZone && hasZone && timeGrain == time.Second {
		c.zone = time.FixedZone("", offset)
		afterNext = afterZone
	}
	t, grain = c.at(year, month, d, h, m, sec, timeGrain)
	return t, grain, afterNext, true
}

// dayIn reads 2024 01 05; 05 Jan 24; and 25 01 2024 or 01 25 2024, where the month is 0 if
// both could be it.
func dayIn(parts []string) (year int, month time.Month, d int, ok bool) {
	if year, ok = number(parts[0], 4, 4); ok {
		m, okMonth := number(parts[1], 2, 2)
		d, okDay := number(parts[2], 2, 2)
		return year, time.Month(m), d, okMonth && okDay
	}
	one, ok := number(parts[0], 1, 2)
	if !ok {
		return 0, 0, 0, false
	}
	if month, ok = monthOf(parts[1]); ok && !isDigit(parts[1][0]) {
		if year, ok = number(parts[2], 2, 2); ok {
			return century(year), month, one, true
		}
		year, ok = number(parts[2], 4, 4)
		return year, month, one, ok
	}
	two, okTwo := number(parts[1], 2, 2)
	if year, ok = number(parts[2], 4, 4); !ok || !okTwo || one > 31 || two > 31 || one > 12 && two > 12 {
		return 0, 0, 0, false
	}
	switch {
	case one > 12 || one == two:
		return year, time.Month(two), one, true
	case two > 12:
		return year, time.Month(one), two, true
	}
	return year, 0, one, true
}

// century is the year of one told with two digits.
func century(year int) int {
	if year < 70 {
		return 2000 + year
	}
	return 1900 + year
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

// number reads between least and most decimal digits.
func number(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most || !digits(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
