package listing

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
)

// testdata/corpus holds listings, a file for each format, with what is to come of each
// line. README there describes how they are written.

var rewrite = flag.Bool("rewrite", false, "write into the corpus what comes out now, to be read through")

// sample is a line of the corpus; want is as shown prints it.
type sample struct {
	file, line, want string
	at               int // line of the file
	first            bool
	now              time.Time
	zone             *time.Location
}

func corpus(t testing.TB) []sample {
	files, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var out []sample
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		now, zone, first := utc(2026, 3, 10, 12, 0, 0), time.UTC, true
		in := bufio.NewScanner(f)
		for n := 1; in.Scan(); n++ {
			text := in.Text()
			mark, rest, _ := strings.Cut(text, " ")
			switch mark {
			case "":
				first = true
			case "@now":
				if now, err = time.Parse("2006-01-02T15:04Z", rest); err != nil {
					t.Fatalf("%s:%d: %v", name, n, err)
				}
			case "@zone":
				offset, ok := zoneOf(rest)
				if !ok {
					t.Fatalf("%s:%d: no zone", name, n)
				}
				zone = time.FixedZone("", offset)
			case ">", ">>":
				if mark == ">>" {
					if rest, err = strconv.Unquote(rest); err != nil {
						t.Fatalf("%s:%d: %v", name, n, err)
					}
				}
				out = append(out, sample{file: name, line: rest, at: n, first: first, now: now, zone: zone})
				first = false
			case "=":
				out[len(out)-1].want = rest
			}
		}
		f.Close()
	}
	return out
}

// shown is an entry for people: type, size, time as exact as it is known, mode, name,
// and what else there is.
func shown(e remote.Entry, class Class, err error) string {
	switch {
	case errors.Is(err, ErrHostile):
		return "refused"
	case errors.Is(err, ErrAmbiguous):
		return "ambiguous"
	case err != nil:
		return "not understood"
	case class != IsEntry:
		return class.String()
	}
	words := []string{[]string{"file", "dir", "link", "other"}[e.Type], "-", "-", "-", strconv.Quote(e.Name)}
	if e.Size >= 0 {
		words[1] = strconv.FormatInt(e.Size, 10)
	}
	switch e.MGrain {
	case 0:
	case time.Second:
		words[2] = e.MTime.Format("2006-01-02T15:04:05Z")
	case time.Minute:
		words[2] = e.MTime.Format("2006-01-02T15:04Z")
	case day:
		words[2] = e.MTime.Format("2006-01-02")
		if e.MTime.Hour() != 0 || e.MTime.Minute() != 0 {
			words[2] = e.MTime.Format("2006-01-02+15:04")
		}
	default:
		words[2] = e.MGrain.String()
	}
	if e.HasMode {
		words[3] = fmt.Sprintf("%04o", e.Mode)
	}
	if e.Nlink != 0 {
		words = append(words, fmt.Sprint("links=", e.Nlink))
	}
	for _, f := range [][2]string{{"owner", e.Owner}, {"group", e.Group}, {"target", e.Target}, {"unique", e.Unique}} {
		if f[1] != "" {
			words = append(words, f[0]+"="+strconv.Quote(f[1]))
		}
	}
	return strings.Join(words, " ")
}

// TestCorpus reads each listing as the mount does: once from the first line on, and
// again with what was learned of it. The second reading counts.
func TestCorpus(t *testing.T) {
	samples := corpus(t)
	if n := len(samples); n < 200 {
		t.Errorf("the corpus has %d lines", n)
	}
	got := make([]string, len(samples))
	for from := 0; from < len(samples); {
		to := from + 1
		for to < len(samples) && !samples[to].first {
			to++
		}
		read(samples[from:to], got[from:to])
		from = to
	}
	entries := 0
	for i, s := range samples {
		if got[i] != s.want && !*rewrite {
			t.Errorf("%s:%d: %q\n got %s\nwant %s", s.file, s.at, s.line, got[i], s.want)
		}
		if strings.Contains(s.want, `"`) {
			entries++
		}
	}
	t.Logf("figure: listing corpus: %d lines of %d formats, %d of them entries, all as expected", len(samples), len(formats())+1, entries)
	if *rewrite {
		rewritten(t, samples, got)
	}
}

func read(samples []sample, out []string) {
	s := samples[0]
	if strings.HasSuffix(s.file, "mlsd.txt") {
		for i, s := range samples {
			out[i] = shown(ParseMLSx(s.line))
		}
		return
	}
	p := NewParser(s.now, nil)
	for _, s := range samples {
		p.Line(s.line)
	}
	p = p.Again(s.zone)
	for i, s := range samples {
		out[i] = shown(p.Line(s.line))
	}
}

func rewritten(t *testing.T, samples []sample, got []string) {
	for len(samples) > 0 {
		name := samples[0].file
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for i, l := range strings.Split(string(b), "\n") {
			if !strings.HasPrefix(l, "= ") {
				out = append(out, l)
			}
			if len(samples) > 0 && samples[0].file == name && samples[0].at == i+1 {
				out = append(out, "= "+got[0])
				samples, got = samples[1:], got[1:]
			}
		}
		if err := os.WriteFile(name, []byte(strings.Join(out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
