// Command report reads the output of go test -json, of several runs one after
// the other if need be, and prints what a person wants to see of it: one line for
// each package, everything about a test that failed, and at the end every test
// that was skipped or failed, by name, and the totals. It exits with 1 if
// something failed, if the stream broke off, or if one of the packages named as
// its arguments never ended.
//
// A skip whose reason starts with "by design" says what FTP has not, or what
// another test does. Any other means that this machine lacks something; with
// FTPFS_REQUIRE_ALL=1 that is a failure.
//
// What a passed test logs as "figure: words" is printed at the end, and so are the
// executions of fuzz targets (figures.go). A test that logs "cell: …" gets a line in a
// table (cells.go).
//
// A line "== words" in the stream is a heading, and names the run that follows.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of the stream; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

type test struct {
	pkg, name string
}

func main() {
	os.Exit(run(os.Stdin, os.Stdout, os.Args[1:], os.Getenv("FTPFS_REQUIRE_ALL") == "1"))
}

// run returns the exit code. Each of the packages has to end at least once.
func run(in io.Reader, out io.Writer, packages []string, requireAll bool) int {
	var (
		output                = map[test][]string{}
		byDesign, lacking     []string
		failures              []string
		open                  = map[string]bool{} // packages that have not ended yet
		ended                 = map[string]bool{}
		heading               string   // of the run
		idle                  []string // runs of which no package has ended yet
		passed                int
		packageFailed, broken bool
		figures               figures
		cells                 cells
	)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(out, "%s", line) // not from test2json: a tool's own words
				if words, ok := strings.CutPrefix(string(line), "== "); ok {
					heading = ", " + strings.TrimSpace(words)
					idle = append(idle, heading)
				}
				continue
			}
			t := test{e.Package, e.Test}
			switch e.Action {
			case "start":
				open[e.Package] = true
			case "output", "build-output":
				if e.Action == "build-output" {
					fmt.Fprint(out, e.Output)
				}
				output[t] = append(output[t], e.Output)
			case "build-fail":
				packageFailed = true
			case "pass":
				figures.take(t, output[t], true)
				if e.Test == "" {
					delete(open, e.Package)
					ended[e.Package], idle = true, nil
					fmt.Fprintf(out, "ok    %-32s %6.1fs\n", e.Package, e.Elapsed)
				} else {
					passed++
					cells.take(output[t], "pass", "")
					delete(output, t)
				}
			case "skip":
				if e.Test == "" {
					delete(open, e.Package) // no test files
					ended[e.Package], idle = true, nil
					break
				}
				why := reason(output[t])
				line := fmt.Sprintf("%s %s: %s", e.Package, e.Test, why)
				if strings.HasPrefix(why, "by design") {
					if cells.take(output[t], "–", why) {
						break // the table says it
					}
					byDesign = append(byDesign, line)
				} else {
					lacking = append(lacking, line+heading)
				}
				delete(output, t)
			case "fail":
				figures.take(t, output[t], false)
				if e.Test == "" {
					delete(open, e.Package)
					ended[e.Package], idle = true, nil
					packageFailed = true
					fmt.Fprintf(out, "FAIL  %-32s %6.1fs\n%s", e.Package, e.Elapsed, strings.Join(output[t], ""))
					for u, lines := range output { // of a test that never ended, the stacks among it
						if u.pkg == e.Package && u.name != "" {
							fmt.Fprintf(out, "%s did not end:\n%s", u.name, strings.Join(lines, ""))
						}
					}
				} else {
					cells.take(output[t], "FAILED", "")
					failures = append(failures, t.pkg+" "+t.name+heading+first(output[t]))
					fmt.Fprint(out, strings.Join(output[t], ""))
					delete(output, t)
				}
			}
		}
		if err != nil {
			broken = err != io.EOF
			break
		}
	}
	for pkg := range open {
		broken = true
		fmt.Fprintf(out, "FAIL  %s: its output broke off\n", pkg)
		for t, text := range output {
			if t.pkg == pkg {
				fmt.Fprint(out, strings.Join(text, ""))
			}
		}
	}
	for _, pkg := range packages {
		if !ended[pkg] && !open[pkg] {
			broken = true
			fmt.Fprintf(out, "FAIL  %s: it never ran\n", pkg)
		}
	}
	for _, heading := range idle {
		broken = true
		fmt.Fprintf(out, "FAIL  nothing ran%s\n", heading)
	}
	list(out, "skipped by design", byDesign)
	list(out, "SKIPPED, since this machine lacks something", lacking)
	list(out, "FAILED", failures)
	cells.print(out)
	figures.print(out)
	failed := len(failures)
	verdict := "all is well"
	switch {
	case failed > 0 || packageFailed || broken || passed == 0:
		verdict = "FAILED"
	case len(lacking) > 0 && requireAll:
		verdict = "FAILED: FTPFS_REQUIRE_ALL=1 allows no test to be skipped for want of something"
	case len(lacking) > 0:
		verdict = "well as far as it could be tried here"
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped for want of something, %d by design: %s\n",
		passed, failed, len(lacking), len(byDesign), verdict)
	if strings.HasPrefix(verdict, "FAILED") {
		return 1
	}
	return 0
}

func list(out io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	lines = slices.Compact(lines) // two runs of one package skip the same
	fmt.Fprintf(out, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
}

// first is what a failed test said first, for the list at the end: the rest of a long run
// may have been cut off by whoever kept it.
func first(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "===") {
			continue
		}
		if runes := []rune(line); len(runes) > 400 {
			line = string(runes[:400]) + " …"
		}
		return ": " + line
	}
	return ""
}

// reason is what a skipped test said last, without the place in the source.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "===") {
			continue
		}
		if _, said, ok := strings.Cut(line, ".go:"); ok {
			_, line, _ = strings.Cut(said, ": ")
		}
		return line
	}
	return "no reason given"
}
