package daemon

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

func TestGarbagePercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 8 << 20: 100, 16 << 20: 100, 20 << 20: 80, 32 << 20: 37, 38 << 20: 15, 64 << 20: 10, 8 << 30: 10} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d MiB alive: %d %%, want %d", live>>20, got, want)
		}
	}
}

// A process of its own, as the settings are the whole process's.
func TestGarbageIsBounded(t *testing.T) {
	if os.Getenv("FTPFS_TEST_GARBAGE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGarbageIsBounded$", "-test.v")
		cmd.Env = append(os.Environ(), "FTPFS_TEST_GARBAGE=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestGarbageIsBounded") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	boundGarbage()
	goal := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	await := func(what string, ok func(uint64) bool) {
		t.Helper()
		for range 100 {
			runtime.GC()
			if ok(goal()) {
				return
			}
			time.Sleep(50 * time.Millisecond) // what is done after a collection is done by another goroutine
		}
		t.Errorf("%s: the next collection is at %d MiB", what, goal()>>20)
	}
	const alive = 300 << 20
	kept := make([]byte, alive)
	await("with 300 MiB alive", func(goal uint64) bool { return goal < alive+mostGarbage+16<<20 })
	runtime.KeepAlive(kept)
	await("with nothing alive", func(goal uint64) bool { return goal < 32<<20 })
}
