// Command fuzz runs every fuzz target of the module, one after the other, for an
// equal share of a given time, and writes what go test -json says of it; make
// pipes that into test/report, which adds up the executions. Targets are found in
// the sources, so that a new one needs no entry anywhere.
//
// Inputs that fail are written to the package's testdata/fuzz by go test, to be
// committed with the fix; inputs that are merely new stay in Go's build cache and
// are where the next run begins.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// target is one fuzz function.
type target struct {
	pkg, name string
}

func main() {
	total := flag.Duration("time", 10*time.Minute, "for all targets together")
	only := flag.String("run", ".", "regexp of the targets to run, matched with `package.Name`")
	flag.Parse()
	if err := run(*total, *only); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(total time.Duration, only string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	targets, err := find(wanted)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no target matches %q", only)
	}
	share := max(total/time.Duration(len(targets)), time.Second).Round(100 * time.Millisecond)
	failed := 0
	for _, t := range targets {
		if t.fuzz(share) != nil {
			failed++ // the stream says why
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d targets failed", failed, len(targets))
	}
	return nil
}

// fuzz runs the target. Go's coordinator now and then takes the end of the time for a
// failure of the target's (golang/go#75804, mended in Go 1.27): then it is run again.
func (t target) fuzz(share time.Duration) error {
	for try := 1; ; try++ {
		var out bytes.Buffer
		cmd := exec.Command("go", "test", "-json", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", share.String(), "-fuzzminimizetime", "20x", t.pkg)
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		err := cmd.Run()
		if err != nil && try < 3 && overtime(out.String()) {
			fmt.Fprintf(os.Stderr, "fuzz: %s.%s ended with its time, which Go took for a failure; once more\n", t.pkg, t.name)
			continue
		}
		if _, werr := os.Stdout.Write(out.Bytes()); err == nil {
			err = werr
		}
		return err
	}
}

// overtime says that a run failed for nothing but its time's being over: no input is to
// blame, and nothing else is said.
func overtime(out string) bool {
	return strings.Contains(out, `"Output":"    context deadline exceeded\n"`) &&
		!strings.Contains(out, "Failing input") && !strings.Contains(out, "panic") && !strings.Contains(out, "_test.go:")
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// find lists the targets in the test files of the module's packages.
func find(wanted *regexp.Regexp) ([]target, error) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}\t{{.Dir}}", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []target
	for line := range strings.Lines(string(out)) {
		pkg, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
				if wanted.MatchString(pkg + "." + m[1]) {
					all = append(all, target{pkg, m[1]})
				}
			}
		}
	}
	return all, nil
}
