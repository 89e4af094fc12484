package daemon

import (
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"ftpfs/cmd/internal/place"
)

// raiseLimits gives the process room for many open files, and a ceiling for its
// memory where the environment names none.
func raiseLimits() {
	const want = 1 << 16
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) == nil && lim.Cur < want {
		if lim.Max < want && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: want, Max: want}) == nil {
			lim.Max = want
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: min(want, lim.Max), Max: lim.Max})
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit())
	}
	boundGarbage()
}

// memoryLimit is a quarter of the machine's memory, from 256 MiB to 2 GiB: a
// million known names need 250 MiB, and 1 GiB while the kernel holds an inode of each. It is
// where the collector works harder, not where anything fails.
func memoryLimit() int64 {
	const least, most = 256 << 20, 2 << 30
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return most
	}
	return min(max(int64(si.Totalram)*int64(si.Unit)/4, least), most)
}

const defaultSize = 10 << 30

// sizes are what the options said, or 10 GiB each, and less on a small disk: of
// what is free where they lie, half for the cache and three quarters for the
// spool. They are bounds, not reservations.
func sizes(cacheSize, spoolSize int64, d place.Dirs) (int64, int64) {
	if cacheSize <= 0 {
		cacheSize = defaultSize
		if free := place.Free(d.Cache); free >= 0 {
			cacheSize = min(cacheSize, max(free/2, 64<<20))
		}
	}
	if spoolSize <= 0 {
		spoolSize = defaultSize
		if free := place.Free(d.State); free >= 0 {
			spoolSize = min(spoolSize, max(free/4*3, 64<<20))
		}
	}
	return cacheSize, spoolSize
}
