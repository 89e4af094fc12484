package cache

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// footprint of this process when no tree is open.
type footprint struct {
	heap            uint64 // bytes, after a collection
	rss             int    // KiB
	goroutines, fds int
}

func footprintNow(t *testing.T) footprint {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held
	runtime.ReadMemStats(&m)
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	rss := 0
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			rss, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return footprint{m.HeapAlloc, rss, runtime.NumGoroutine(), len(fds)}
}

// TestSoak is TestModelInAStorm for $FTPFS_SOAK operations, one plan after the other. At
// its end nothing of the trees that were opened and closed is left behind.
func TestSoak(t *testing.T) {
	ops, err := strconv.Atoi(os.Getenv("FTPFS_SOAK"))
	if err != nil {
		t.Skip("by design: make soak runs it, with FTPFS_SOAK operations")
	}
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64N(1e9)
	}
	var sum figures
	var at []footprint
	for k := 0; int(sum.ops) < ops; k++ {
		for i := range plans {
			t.Run(fmt.Sprint("plan", i), func(t *testing.T) {
				f := stormy(t, i, seed+uint64(1000*k), 800)
				sum.add(f)
			})
			if t.Failed() {
				return
			}
		}
		at = append(at, footprintNow(t))
	}
	// The first passes warm up: caches of the runtime, the longest of each buffer.
	first, last := at[min(2, len(at)-1)], at[len(at)-1]
	if last.heap > first.heap+8<<20 || last.rss > first.rss+32<<10 || last.goroutines > first.goroutines || last.fds > first.fds+2 {
		t.Errorf("after 3 of %d passes %+v, at the end %+v; want no more", len(at), first, last)
	}
	t.Logf("figure: soak, in process: %d operations done (%d tried), %d faults, %d restarts, %d changes by another client, 0 differences; "+
		"heap %.1f→%.1f MiB, RSS %d→%d MiB, descriptors %d→%d, goroutines %d→%d (seed %d)", sum.ops, sum.tried, sum.faults, sum.restarts, sum.changes,
		float64(first.heap)/(1<<20), float64(last.heap)/(1<<20), first.rss>>10, last.rss>>10, first.fds, last.fds, first.goroutines, last.goroutines, seed)
}
