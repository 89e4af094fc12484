package listing

import (
	"strings"
	"time"
	"unicode/utf8"
)

// monthNames are the abbreviations that ls(1) prints in the languages of systems, as
// far as they are known here, in UTF-8. Of servers that send Latin-1 see monthOf.
var monthNames = [13]string{
	1:  "jan january januar janvier janv jän jänner gen ene oca led sty sij jaan tammi янв січ яну ιαν",
	2:  "feb february februar février févr fév fevr fev febr úno lut velj veebr helmi şub фев лют φεβ",
	3:  "mar mars march märz mär mrz mrt maalis bře márc már ožu märts мар бер μαρ",
	4:  "apr april avril avr abr dub kwi nis tra huhti ápr апр кві απρ",
	5:  "may mai maj mei mag maio kvě máj svi touko май мая тра μαΐ μάι",
	6:  "jun june juni juin jui giu čen cze kesä jún haz lip июн чер юни ιουν ιούν",
	7:  "jul july juli juil juillet jui lug čec lip srp heinä júl tem июл лип юли ιουλ ιούλ",
	8:  "aug august août aoû aout ago avg sie srp kol elo ağu ágú авг сер αυγ αύγ",
	9:  "sep sept september set wrz zář ruj syys szept eyl сен вер сеп σεπ",
	10: "oct october okt oktober ott out paź říj lis loka eki окт жов οκτ",
	11: "nov november lis stu marras kas ноя ное νοε νοέ",
	12: "dec december dez dezember déc dic gru pro des joulu ara дек гру δεκ",
}

// months are the names by lower case. A name that is that of two months, in two languages,
// has month 0: the date is one, but nobody knows which.
var months = func() map[string]time.Month {
	out := make(map[string]time.Month)
	for m, names := range monthNames {
		for _, name := range strings.Fields(names) {
			if other, twice := out[name]; twice && other != time.Month(m) {
				out[name] = 0
			} else {
				out[name] = time.Month(m)
			}
		}
	}
	return out
}()

// units are how "month" ends the number of one, in Chinese, Japanese and Korean: in
// UTF-8, Shift-JIS, EUC-JP, GB 2312, Big5 and EUC-KR; likewise of year and day.
var (
	monthUnits = []string{"月", "월", "\x8c\x8e", "\xb7\xee", "\xd4\xc2", "\xa4\xeb", "\xbf\xf9"}
	dayUnits   = []string{"日", "일", "\x93\xfa", "\xc6\xfc", "\xc8\xd5", "\xa4\xe9", "\xc0\xcf"}
	yearUnits  = []string{"年", "년", "\x94\x4e", "\xc7\xaf", "\xc4\xea", "\xa6\x7e", "\xb3\xe2"}
)

func trimUnit(s string, units []string) string {
	for _, u := range units {
		if short, ok := strings.CutSuffix(s, u); ok {
			return short
		}
	}
	return s
}

// monthOf reads the name of a month, or its number with the word for "month" behind it.
func monthOf(s string) (time.Month, bool) {
	if n, ok := number(trimUnit(s, monthUnits), 1, 2); ok {
		return time.Month(n), len(s) > 2 && n >= 1 && n <= 12
	}
	if !utf8.ValidString(s) { // Latin-1
		runes := make([]rune, len(s))
		for i := range len(s) {
			runes[i] = rune(s[i])
		}
		s = string(runes)
	}
	m, ok := months[strings.ToLower(strings.TrimRight(s, ".,"))]
	return m, ok
}

// yearOf reads a year of four digits, with or without the word for "year".
func yearOf(s string) (int, bool) { return number(trimUnit(s, yearUnits), 4, 4) }
