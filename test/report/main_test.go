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
	const byDesign = `{"Action":"output","Package":"p","Test":"TestD","Output":"    x_test.go:7: by design: FTP has no such thing\n"}` + "\n" +
		`{"Action":"skip","Package":"p","Test":"TestD"}` + "\n"
	say := func(test, text string) string {
		return `{"Action":"output","Package":"p","Test":"` + test + `","Output":"` + text + `\n"}` + "\n"
	}
	fuzz := say("FuzzX", "fuzz: elapsed: 3s, execs: 100 (33/sec), new interesting: 1 (total: 2)") +
		say("FuzzX", "fuzz: elapsed: 4s, execs: 250 (50/sec), new interesting: 1 (total: 2)")
	cell := func(test, action, text string) string {
		return say(test, "    x_test.go:7: cell: "+text) + `{"Action":"` + action + `","Package":"p","Test":"` + test + `"}` + "\n"
	}
	table := cell("TestM/1", "pass", "contract: ftpd, plain, LIST") + cell("TestM/2", "fail", "contract: other, TLS 1.3, MLSD") +
		say("TestM/3", "    x_test.go:7: cell: contract: other, TLS 1.3, LIST") + say("TestM/3", "    x_test.go:7: by design: it has none") + `{"Action":"skip","Package":"p","Test":"TestM/3"}` + "\n" +
		cell("TestN/1", "pass", "rsync: ftpd, plain, LIST") + cell("TestN/2", "pass", "rsync: other, TLS 1.3, MLSD")
	for _, c := range []struct {
		name, in   string
		requireAll bool
		code       int
		says       []string
	}{
		{"all pass", start + pass + end, false, 0, []string{"1 passed, 0 failed, 0 skipped for want of something, 0 by design: all is well"}},
		{"skip is named", start + pass + skip + end, false, 0, []string{"p TestB: SKIPPED vsftpd: not here", "1 passed, 0 failed, 1 skipped for want"}},
		{"skip where all is required", start + pass + skip + end, true, 1, []string{"1 skipped for want of something, 0 by design: FAILED"}},
		{"skip by design", start + pass + byDesign + end, true, 0, []string{"p TestD: by design: FTP has no such thing", "1 by design: all is well"}},
		{"two runs", "== first\n" + start + pass + end + "== second\n" + start + pass + end, true, 0, []string{"2 passed"}},
		{"the second run fails", "== first\n" + start + pass + end + "== second\n" + start + fail, true, 1, []string{"p TestC, second"}},
		{"the second run broke off", "== first\n" + start + pass + end + "== second\n" + start + pass, true, 1, []string{"broke off"}},
		{"failure", start + pass + fail, false, 1, []string{"got 1, want 2", "FAILED:\n  p TestC: got 1, want 2\n", "1 passed, 1 failed, 0 skipped"}},
		{"a test that did not end", start + pass + say("TestC", "goroutine 7 [select]") + `{"Action":"fail","Package":"p"}` + "\n", false, 1, []string{"TestC did not end:\ngoroutine 7 [select]\n"}},
		{"broken off", start + pass, false, 1, []string{"broke off"}},
		{"the second run is missing", "== first\n" + start + pass + end + "== second\n", true, 1, []string{"nothing ran, second"}},
		{"nothing at all", "", false, 1, []string{"p: it never ran"}},
		{"figures", start + say("TestA", "    x_test.go:7: figure: 7 kills, none lost") + pass + end, false, 0, []string{"figures:\n  p TestA: 7 kills, none lost\n"}},
		{"no figures of a failure", start + pass + say("TestC", "    x_test.go:7: figure: 7 kills") + fail, false, 1, []string{"got 1, want 2"}},
		{"fuzz", start + fuzz + `{"Action":"pass","Package":"p","Test":"FuzzX"}` + "\n" + end, false, 0, []string{"p FuzzX: 250\n", "fuzz: 1 targets, 250 executions, 0 failures\n"}},
		{"fuzz fails", start + fuzz + `{"Action":"fail","Package":"p","Test":"FuzzX"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n", false, 1, []string{"fuzz: 1 targets, 250 executions, 1 failures\n"}},
		{"a matrix", start + table + end, false, 1, []string{"matrix: 1 cells passed, 1 failed, 1 cannot be\n" +
			"                        contract  rsync\n" +
			"  ftpd   plain    LIST  pass      pass\n" +
			"  other  TLS 1.3  LIST  –         ·      it has none\n" +
			"  other  TLS 1.3  MLSD  FAILED    pass\n", "3 passed, 1 failed, 0 skipped for want of something, 0 by design: FAILED"}},
		{"no test at all", start + end, false, 1, nil},
		{"build failure", `{"Action":"build-fail","ImportPath":"p"}` + "\n" + start + pass + end, false, 1, nil},
	} {
		var out strings.Builder
		if code := run(strings.NewReader(c.in), &out, []string{"p"}, c.requireAll); code != c.code {
			t.Errorf("%s: exit code %d, want %d; said\n%s", c.name, code, c.code, &out)
		}
		for _, want := range c.says {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: does not say %q but\n%s", c.name, want, &out)
			}
		}
	}
}
