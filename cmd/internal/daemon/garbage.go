package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage may lie about. Go collects when there is as much of it as of what lives, so
// that a mount with a million inodes in the kernel, 800 MiB, would have 1.6 GiB resident.
const (
	mostGarbage  = 16 << 20 // bytes; where that is more than what lives, as much as that
	leastGarbage = 4 << 20  // or as much as what lives
	heapAim      = 44 << 20 // bytes with what lives, as far as that leaves leastGarbage: with the program itself that is less than 64 MiB
	leastPercent = 10       // of what lives: each collection looks at all of it
)

// garbagePercent is the percentage for debug.SetGCPercent with so many bytes alive.
func garbagePercent(live uint64) int {
	room := min(max(heapAim-int64(live), leastGarbage), mostGarbage)
	return int(min(max(room*100/max(int64(live), 1), leastPercent), 100))
}

// boundGarbage keeps to it from now on, unless the environment says what to do.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		watchHeap(100)
	}
}

// watchHeap looks at the heap after the next collection, and from then on after each: what is
// told here of an object's end is told once for each of them.
func watchHeap(percent int) {
	type marker struct{ _ *byte } // with a pointer: others share their memory
	runtime.AddCleanup(new(marker), func(percent int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if live[0].Value.Kind() == metrics.KindUint64 {
			if now := garbagePercent(live[0].Value.Uint64()); now != percent {
				debug.SetGCPercent(now)
				percent = now
			}
		}
		watchHeap(percent)
	}, percent)
}
