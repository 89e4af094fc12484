// Command report reads the stream of go test -json and prints what a person
// wants to see of it: one line for each package, everything about a test that
// failed, every skipped test by name with its reason, and the totals. It exits
// with 1 if something failed or the stream broke off.
//
// A test that lacks something skips with a reason that starts with "SKIPPED";
// with FTPFS_REQUIRE_ALL=1 such a skip is a failure. Other skips are by design.
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
	os.Exit(run(os.Stdin, os.Stdout, os.Getenv("FTPFS_REQUIRE_ALL") == "1"))
}

func run(in io.Reader, out io.Writer, requireAll bool) int {
	var (
		output                = map[test][]string{}
		skipped, lacking      []string
		failedTests           []test
		open                  = map[string]bool{} // packages not ended yet
		passed, failed        int
		packageFailed, broken bool
	)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(out, "%s", line) // not from test2json: a tool's own words
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
				if e.Test == "" {
					delete(open, e.Package)
					fmt.Fprintf(out, "ok    %-32s %6.1fs\n", e.Package, e.Elapsed)
				} else {
					passed++
					delete(output, t)
				}
			case "skip":
				if e.Test == "" {
					delete(open, e.Package) // no test files
					break
				}
				line := fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(output[t]))
				skipped = append(skipped, line)
				if strings.Contains(line, "SKIPPED") {
					lacking = append(lacking, line)
				}
				delete(output, t)
			case "fail":
				if e.Test == "" {
					delete(open, e.Package)
					packageFailed = true
					fmt.Fprintf(out, "FAIL  %-32s %6.1fs\n%s", e.Package, e.Elapsed, strings.Join(output[t], ""))
				} else {
					failed++
					failedTests = append(failedTests, t)
					fmt.Fprint(out, strings.Join(output[t], ""))
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
	list(out, "skipped", skipped)
	var names []string
	for _, t := range failedTests {
		names = append(names, t.pkg+" "+t.name)
	}
	list(out, "failed", names)
	if requireAll {
		list(out, "not allowed to be skipped here (FTPFS_REQUIRE_ALL=1)", lacking)
		failed += len(lacking)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, len(skipped))
	if failed > 0 || packageFailed || broken || passed == 0 {
		return 1
	}
	return 0
}

func list(out io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	fmt.Fprintf(out, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
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
