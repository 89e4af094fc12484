package listing

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
)

// FuzzParser reads whole listings, as List does: in one pass to find out what they are,
// then again in another zone.
func FuzzParser(f *testing.F) {
	var whole []string
	for _, s := range corpus(f) {
		f.Add(s.line)
		if s.first && len(whole) > 0 {
			f.Add(strings.Join(whole, "\n"))
			whole = nil
		}
		whole = append(whole, s.line)
	}
	now := utc(2026, 3, 10, 12, 0, 0)
	zone := time.FixedZone("", -5*3600)
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		if len(lines) > 100 {
			lines = lines[:100]
		}
		p := NewParser(now, nil)
		first := readAll(t, p, lines)
		again := readAll(t, p.Again(zone), lines)
		for i, e := range readAll(t, p.Again(zone), lines) {
			if e != again[i] {
				t.Errorf("%q: %+v, the second time %+v", lines[i], again[i], e)
			}
		}
		for _, r := range first {
			if r.class == Invalid {
				return // List has ended here
			}
		}
		for i, r := range first {
			if a := again[i]; r.class != a.class || r.Name != a.Name || r.Type != a.Type || r.Size != a.Size || r.Target != a.Target {
				t.Errorf("%q: %+v, knowing the listing %+v", lines[i], r, a)
			}
		}
	})
}

// result is what came of one line.
type result struct {
	remote.Entry
	class Class
}

func readAll(t *testing.T, p *Parser, lines []string) (out []result) {
	half := ""
	for _, l := range lines {
		e, class, err := p.Line(l)
		checkResult(t, l, e, class, err)
		if errors.Is(err, ErrAmbiguous) {
			t.Errorf("%q: two formats read it", l)
		}
		if class == IsEntry && !strings.Contains(l, e.Name) && !strings.Contains(half, e.Name) {
			t.Errorf("%q: name %q is not in the line", l, e.Name)
		}
		if class == Half {
			half = l
		}
		out = append(out, result{e, class})
	}
	if p.End() == nil && len(out) > 0 && out[len(out)-1].class == Half {
		t.Errorf("%q: the end of an entry is missing, without an error", lines[len(lines)-1])
	}
	return out
}

// No two formats read the same line, unless one of them has seen its header: of each line
// of the corpus at most one format makes something.
func TestFormatsAreDistinct(t *testing.T) {
	for _, s := range corpus(t) {
		if strings.HasSuffix(s.file, "mlsd.txt") {
			continue
		}
		n := 0
		for _, f := range formats() {
			if _, k := f.read(s.line, clockIn(s.now, s.zone)); k != foreign {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%s:%d: %q is read by %d formats", s.file, s.at, s.line, n)
		}
	}
}

// A line that two formats read is an error, and not the first one's.
func TestAmbiguousLine(t *testing.T) {
	as := func(name string) simple {
		return simple{parse: func(line string, _ clock) (remote.Entry, bool) { return remote.Entry{Name: name}, line == "x" }}
	}
	p := NewParser(utc(2026, 3, 10, 12, 0, 0), nil)
	p.tried = []format{as("one"), as("two")}
	if e, class, err := p.Line("x"); class != Invalid || shown(e, class, err) != "ambiguous" {
		t.Errorf("%v, %v, %v", e, class, err)
	}
}
