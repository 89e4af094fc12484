package ftpconn

import (
	"hash/maphash"
	"sync"
	"time"
)

// In a directory of more than manyTimes files not all exact times are asked for each time it
// is listed, where LIST has no exact ones: those of lines that are as they were are still
// known. A file that changes has another line, unless it changes twice in the minute that
// LIST tells: only times that are older than settledAfter when they are asked for are kept,
// since nothing happens in that minute any more, however the server's clock is set.
// What is left is a change of an old file that leaves its size and sets its time to
// another second of the same minute.
const (
	manyTimes    = 20_000
	settledAfter = 48 * time.Hour
	maxKeptTimes = 2_000_000 // of all directories; one takes about 30 bytes
)

// keptTimes are exact times by what stands in LIST.
type keptTimes struct {
	many, most int // manyTimes and maxKeptTimes; less in tests

	mu   sync.Mutex
	seed maphash.Seed
	dirs map[string]map[uint64]int64 // by directory, hash of the line: seconds since 1970
	held int
}

func (k *keptTimes) init() { k.many, k.most, k.seed = manyTimes, maxKeptTimes, maphash.MakeSeed() }

// split takes the entries that are known out of those to be asked for; lines are those of all
// entries. What is known goes into exact.
func (k *keptTimes) split(dir string, lines []string, timed []int, exact stamps) (ask []int) {
	if len(timed) <= k.many {
		return timed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.dirs[dir]
	for _, i := range timed {
		if at, ok := of[maphash.String(k.seed, lines[i])]; ok {
			exact[i] = at
		} else {
			ask = append(ask, i)
		}
	}
	return ask
}

// keep takes down the exact times of one listing, in place of those of the one before.
func (k *keptTimes) keep(dir string, lines []string, exact stamps, now time.Time) {
	if exact.known() <= k.many {
		return
	}
	of := make(map[uint64]int64, len(exact))
	for i, at := range exact {
		if at != untold && now.Sub(time.Unix(at, 0)) > settledAfter {
			of[maphash.String(k.seed, lines[i])] = at
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held += len(of) - len(k.dirs[dir])
	if k.dirs == nil {
		k.dirs = make(map[string]map[uint64]int64)
	}
	k.dirs[dir] = of
	for other, of := range k.dirs {
		if k.held <= k.most {
			break
		}
		k.held -= len(of)
		delete(k.dirs, other)
	}
}
