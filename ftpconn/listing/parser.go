package listing

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"ftpfs/cache/remote"
)

// Parser parses the lines LIST answers with. A listing is in one format, and the
// Parser finds out which: while it is not known, each line is shown to all
// formats. The first line that exactly one of them reads decides, and from then
// on only that one reads. A line that two formats read is an error
// (ErrAmbiguous), as is one that the format decided on does not: a guess could
// hide a file, or invent one. The formats are strict enough that no line is known
// which two of them read; those of MVS, whose lines could be anything, are
// believed after their header only.
type Parser struct {
	clock  clock    // how times are read
	tried  []format // while none is decided on
	chosen format
}

// format is one kind of listing. It is shown the lines in their order and may
// remember what it needs of them.
type format interface {
	// read parses one line. It does not judge the name.
	read(line string, c clock) (remote.Entry, kind)
	// again returns the format as it is before the first line, but with what the lines
	// have told of the listing as a whole, such as the order of day and month.
	again() format
	// halfway says that the next line belongs to an entry that was begun.
	halfway() bool
}

// kind is what a format makes of a line.
type kind uint8

const (
	foreign  kind = iota // not of this format
	complete             // an entry
	half                 // the beginning of an entry that ends in the next line
	header               // names nothing, and stands in listings of this format only
	aside                // names nothing that is in this directory, and is of this format
)

// simple is a format whose every line is an entry and stands for itself.
type simple struct {
	name     string
	parse    func(line string, c clock) (e remote.Entry, ok bool)
	absolute bool // times are in no zone
	hides    bool // names that begin with a dot may be left out
}

func (f simple) read(line string, c clock) (remote.Entry, kind) {
	if e, ok := f.parse(line, c); ok {
		return e, complete
	}
	return remote.Entry{}, foreign
}

func (f simple) again() format { return f }
func (f simple) halfway() bool { return false }

// formats of listings; none of them has read a line yet.
func formats() []format {
	return []format{simple{name: "Unix", parse: unixLine, hides: true}, new(dos), simple{name: "EPLF", parse: eplfLine, absolute: true}, new(vms),
		simple{name: "NetWare", parse: netwareLine}, new(as400), new(mvs), simple{name: "OS/2", parse: os2Line}, new(vxworks),
		simple{name: "numeric", parse: numericLine, absolute: true}}
}

// NewParser returns a parser of LIST lines. Times in them are wall time in zone
// (nil: UTC), and now tells the year of those that leave it out.
func NewParser(now time.Time, zone *time.Location) *Parser {
	return &Parser{clock: clockIn(now, zone), tried: formats()}
}

// Again returns a parser for the same lines from the beginning, with times in zone
// (nil: UTC). It knows what p has found out about the listing as a whole: its
// format, and whether the day or the month comes first.
func (p *Parser) Again(zone *time.Location) *Parser {
	q := &Parser{clock: clockIn(p.clock.now, zone)}
	if p.chosen != nil {
		q.chosen = p.chosen.again()
		return q
	}
	for _, f := range p.tried {
		q.tried = append(q.tried, f.again())
	}
	return q
}

// Line parses one line. The entry is valid when the class is IsEntry, and also
// for the lines of "." and "..", which are Noise.
func (p *Parser) Line(line string) (remote.Entry, Class, error) {
	if len(line) > maxLine {
		return remote.Entry{}, Invalid, bad(ErrSyntax, line)
	}
	e, k, err := p.read(line)
	switch {
	case err != nil:
		return remote.Entry{}, Invalid, err
	case k == complete:
		return finish(e, line)
	case k == half:
		return remote.Entry{}, Half, nil
	case k == header || k == aside || isNoise(line):
		return remote.Entry{}, Noise, nil
	}
	if strings.IndexFunc(line, tells) < 0 {
		return remote.Entry{}, Strange, nil
	}
	return remote.Entry{}, Invalid, bad(ErrSyntax, line)
}

// tells says that r is more than ornament. Every entry, in each of the formats, has a letter or
// a digit.
func tells(r rune) bool {
	return r >= 0x80 || unicode.IsLetter(r) || unicode.IsDigit(r) || r < ' ' && r != '\t'
}

func (p *Parser) read(line string) (e remote.Entry, k kind, err error) {
	if p.chosen != nil {
		e, k = p.chosen.read(line, p.clock)
		return e, k, nil
	}
	var by format
	for _, f := range p.tried {
		got, what := f.read(line, p.clock)
		if what == foreign {
			continue
		}
		if by != nil {
			return e, foreign, bad(ErrAmbiguous, line)
		}
		e, k, by = got, what, f
	}
	if by != nil {
		p.chosen, p.tried = by, nil
	}
	return e, k, nil
}

// End reports an entry whose end has not come.
func (p *Parser) End() error {
	if p.chosen != nil && p.chosen.halfway() {
		return fmt.Errorf("%w: the listing ends in the middle of an entry", ErrSyntax)
	}
	return nil
}

// Format names the format, for people; "" while it is not known.
func (p *Parser) Format() string {
	switch f := p.chosen.(type) {
	case simple:
		return f.name
	case *dos:
		return "DOS"
	case *vms:
		return "VMS"
	case *as400:
		return "IBM i"
	case *mvs:
		return "MVS"
	case *vxworks:
		return "VxWorks"
	}
	return ""
}

// Absolute says that the times in this listing are in no zone, and exact.
func (p *Parser) Absolute() bool {
	s, ok := p.chosen.(simple)
	return ok && s.absolute
}

// HidesDots says that the listing is as of ls(1), which leaves out names that begin with a
// dot unless it is told not to.
func (p *Parser) HidesDots() bool {
	s, ok := p.chosen.(simple)
	return ok && s.hides
}

// DayFirst says that the listing shows that days stand before months, in a format that
// leaves it open. AssumeDayFirst has p take it for granted where its listing shows
// nothing: it is to be called before the first line.
func (p *Parser) DayFirst() bool {
	d, ok := p.chosen.(*dos)
	return ok && d.dayFirst && !d.monthFirst
}

func (p *Parser) AssumeDayFirst() {
	for _, f := range p.tried {
		if d, ok := f.(*dos); ok {
			d.assumed = true
		}
	}
}

// totals are the first words of the line in which ls(1) counts blocks, as
// servers that call it send it in the system's language.
var totals = map[string]bool{
	"total": true, "totale": true, "totaal": true, "totalt": true, "gesamt": true, "insgesamt": true,
	"celkem": true, "razem": true, "summe": true, "sammanlagt": true, "итого": true, "всего": true,
	"合計": true, "总计": true, "总用量": true, "總計": true, "합계": true, "toplam": true, "yhteensä": true, "ukupno": true,
	"összesen": true, "σύνολο": true, "skupaj": true, "spolu": true, "загалом": true, "łącznie": true, "totalo": true,
	"samtals": true, "kokku": true, "iš": true,
}

// isNoise tells blank lines, ls's "total 12" (or "total 4.0K", "итого 12"), and the
// heading of the directory itself.
func isNoise(line string) bool {
	words := strings.Fields(line)
	switch len(words) {
	case 0:
		return true
	case 1:
		return line == ".:"
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
