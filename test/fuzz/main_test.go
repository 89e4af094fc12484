package main

import "testing"

// What go test -json says when the coordinator takes the end of the time for a failure, and
// what it says of inputs that fail, also for a deadline of the target's own.
func TestOvertime(t *testing.T) {
	over := `{"Action":"output","Test":"FuzzX","Output":"--- FAIL: FuzzX (14.17s)\n"}
{"Action":"output","Test":"FuzzX","Output":"    context deadline exceeded\n"}
{"Action":"fail","Test":"FuzzX"}
`
	if !overtime(over) {
		t.Error("the end of the time is taken for a failure")
	}
	for _, more := range []string{
		`{"Output":"    Failing input written to testdata/fuzz/FuzzX/0123\n"}`,
		`{"Output":"    x_test.go:12: context deadline exceeded\n"}`,
		`{"Output":"panic: out of range\n"}`,
	} {
		if overtime(over + more) {
			t.Errorf("a failure is taken for the end of the time: %s", more)
		}
	}
	if overtime(`{"Output":"    fuzzing process hung or terminated unexpectedly\n"}`) {
		t.Error("a process that died is taken for the end of the time")
	}
}
