package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mark begins what a test wants to be read at the end of the report, with the
// numbers that make its success worth something:
//
//	t.Logf("figure: %d kills, %d files acknowledged, none lost", kills, files)
const mark = "figure: "

// figures are collected from the tests that passed.
type figures struct {
	said  []string
	execs map[test]int64 // of a fuzz target's runs in this report
	broke int            // fuzz targets that failed
}

var executions = regexp.MustCompile(`^fuzz: elapsed: .*, execs: (\d+) `)

// take looks through what a test printed.
func (f *figures) take(t test, output []string, passed bool) {
	var execs int64
	fuzzed := false
	for _, line := range output {
		if _, words, ok := strings.Cut(line, mark); ok && passed {
			f.said = append(f.said, fmt.Sprintf("%s %s: %s", t.pkg, t.name, strings.TrimSpace(words)))
		}
		fuzzed = fuzzed || strings.HasPrefix(line, "fuzz: elapsed: ")
		if m := executions.FindStringSubmatch(line); m != nil {
			execs, _ = strconv.ParseInt(m[1], 10, 64) // the line counts from the start: the last one tells
		}
	}
	if !fuzzed {
		return // no target, or only its corpus was run
	}
	if f.execs == nil {
		f.execs = map[test]int64{}
	}
	f.execs[t] += execs
	if !passed {
		f.broke++
	}
}

func (f *figures) print(out io.Writer) {
	list(out, "figures", f.said)
	if len(f.execs) == 0 {
		return
	}
	var lines []string
	var total int64
	for t, n := range f.execs {
		total += n
		lines = append(lines, fmt.Sprintf("%s %s: %d", t.pkg, t.name, n))
	}
	slices.Sort(lines)
	list(out, "executions", lines)
	fmt.Fprintf(out, "fuzz: %d targets, %d executions, %d failures\n", len(f.execs), total, f.broke)
}
