package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// cellMark begins what a test of a cell of a matrix says about itself: what it does
// there, and which cell it is:
//
//	t.Log("cell: contract: vsftpd, plain, passive, LIST")
const cellMark = "cell: "

// cells is the table of what was done in which cell, and how it went.
type cells struct {
	done []string            // what was done: the columns, in order of appearance
	rows map[string][]string // outcomes by cell, as long as done, "" where there is none
	why  map[string][]string // reasons of skips by cell
}

// take looks for a cell in what a test printed; ok says that there was one.
func (c *cells) take(output []string, outcome, why string) (ok bool) {
	for _, line := range output {
		_, words, found := strings.Cut(line, cellMark)
		column, cell, named := strings.Cut(strings.TrimSpace(words), ": ")
		if !found || !named {
			continue
		}
		i := slices.Index(c.done, column)
		if i < 0 {
			i = len(c.done)
			c.done = append(c.done, column)
		}
		if c.rows == nil {
			c.rows, c.why = map[string][]string{}, map[string][]string{}
		}
		row := c.rows[cell]
		for len(row) <= i {
			row = append(row, "")
		}
		if row[i] != "FAILED" { // of two runs the worse counts
			row[i] = outcome
		}
		c.rows[cell] = row
		if why = strings.TrimPrefix(why, "by design: "); why != "" && !slices.Contains(c.why[cell], why) {
			c.why[cell] = append(c.why[cell], why)
		}
		ok = true
	}
	return ok
}

// print prints a line for each cell; what a cell is, is told by words with commas between.
func (c *cells) print(out io.Writer) {
	if len(c.rows) == 0 {
		return
	}
	lines := [][]string{append([]string{}, c.done...)}
	names := make([]string, 0, len(c.rows))
	most := 0
	for name := range c.rows {
		names = append(names, name)
		most = max(most, strings.Count(name, ", ")+1)
	}
	lines[0] = append(make([]string, most), lines[0]...)
	slices.Sort(names)
	count := map[string]int{}
	for _, name := range names {
		words := strings.Split(name, ", ")
		line := append(words, make([]string, most-len(words))...)
		row := append(c.rows[name], make([]string, len(c.done)-len(c.rows[name]))...)
		worst := ""
		for i, outcome := range row {
			if outcome == "" {
				row[i] = "·"
			}
			if worst == "" || outcome == "FAILED" {
				worst = outcome
			}
		}
		count[worst]++
		line = append(append(line, row...), c.why[name]...)
		lines = append(lines, line)
	}
	fmt.Fprintf(out, "matrix: %d cells passed, %d failed, %d cannot be\n", count["pass"], count["FAILED"], count["–"])
	widths := map[int]int{}
	for _, line := range lines {
		for i, word := range line {
			widths[i] = max(widths[i], len([]rune(word)))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, word := range line {
			b.WriteString("  " + word)
			if i < len(line)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-len([]rune(word))))
			}
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
}
