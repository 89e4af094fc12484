package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const start = `{"Action":"start","Package":"p"}` + "\n"
	const pass = `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n"
	const end = `{"Action":"pass","Package":"p","Elapsed":1}` + "\n"
	const skip = `{"Action":"output","Package":"p","Test":"TestB","Output":"    x_test.go:7: SKIPPED vsftpd: not here\n"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}` + "\n" +
		`{"Action":"skip","Package":"p","Test":"TestB"}` + "\n"
	const fail = `{"Action":"output","Package":"p","Test":"TestC","Output":"got 1, want 2\n"}` + "\n" +
		`{"Action":"fail","Package":"p","Test":"TestC"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n"
	for _, c := range []struct {
		name, in   string
		requireAll bool
		code       int
		says       []string
	}{
		{"all pass", start + pass + end, false, 0, []string{"1 passed, 0 failed, 0 skipped"}},
		{"skip is named", start + pass + skip + end, false, 0, []string{"p TestB: SKIPPED vsftpd: not here", "1 passed, 0 failed, 1 skipped"}},
		{"skip where all is required", start + pass + skip + end, true, 1, []string{"1 passed, 1 failed, 1 skipped"}},
		{"failure", start + pass + fail, false, 1, []string{"got 1, want 2", "failed:\n  p TestC", "1 passed, 1 failed, 0 skipped"}},
		{"broken off", start + pass, false, 1, []string{"broke off"}},
		{"no test at all", start + end, false, 1, nil},
		{"build failure", `{"Action":"build-fail","ImportPath":"p"}` + "\n" + start + pass + end, false, 1, nil},
	} {
		var out strings.Builder
		if code := run(strings.NewReader(c.in), &out, c.requireAll); code != c.code {
			t.Errorf("%s: exit code %d, want %d; said\n%s", c.name, code, c.code, &out)
		}
		for _, want := range c.says {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: does not say %q but\n%s", c.name, want, &out)
			}
		}
	}
}
