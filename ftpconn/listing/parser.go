package listing

import (
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// Parser parses the lines LIST answers with, in whichever format the server
// lists. It remembers the format that matched last and tries it first.
type Parser struct {
	clock   clock    // how times are read
	formats []format // in the order to try; the last one that matched is first
}

// format parses one line of one kind of listing; ok is false when the line is
// not of that kind at all. Names are judged by the caller. A new format (VMS,
// MVS, Novell) is one more function in NewParser's list; one that needs to
// remember lines is a method value.
type format func(line string, c clock) (e remote.Entry, ok bool)

// NewParser returns a parser of LIST lines. Times in them are wall time in zone
// (nil: UTC), and now tells the year of those that leave it out.
func NewParser(now time.Time, zone *time.Location) *Parser {
	if zone == nil {
		zone = time.UTC
	}
	return &Parser{
		clock:   clock{now: now.In(zone), zone: zone},
		formats: []format{unixLine, dosLine, eplfLine},
	}
}

// Line parses one line. The entry is valid when the class is IsEntry, and also
// for the lines of "." and "..", which are Noise.
func (p *Parser) Line(line string) (remote.Entry, Class, error) {
	if len(line) > maxLine {
		return remote.Entry{}, Invalid, bad(ErrSyntax, line)
	}
	for i, f := range p.formats {
		e, ok := f(line, p.clock)
		if !ok {
			continue
		}
		if i > 0 {
			copy(p.formats[1:i+1], p.formats[:i])
			p.formats[0] = f
		}
		return finish(e, line)
	}
	if isNoise(line) {
		return remote.Entry{}, Noise, nil
	}
	return remote.Entry{}, Invalid, bad(ErrSyntax, line)
}

// totals are the first words of the line in which ls(1) counts blocks, as
// servers that call it send it in the system's language.
var totals = map[string]bool{
	"total": true, "totale": true, "totaal": true, "totalt": true, "gesamt": true, "insgesamt": true,
	"celkem": true, "razem": true, "summe": true, "sammanlagt": true, "итого": true, "всего": true,
	"合計": true, "总计": true, "总用量": true, "합계": true, "toplam": true,
}

// isNoise tells blank lines and ls's "total 12" (or "total 4.0K").
func isNoise(line string) bool {
	words := strings.Fields(line)
	switch len(words) {
	case 0:
		return true
	case 2:
		word := strings.TrimSuffix(strings.ToLower(words[0]), ":")
		return totals[word] && isDigit(words[1][0]) && strings.Trim(words[1], "0123456789.,KMGTkB") == ""
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits says whether s is a non-empty run of ASCII digits.
func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
