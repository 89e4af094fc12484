package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// mostInAWorkload is what the daemon may have resident in any of the workloads.
const mostInAWorkload = 64 << 20

// known is how much memory the daemon may ever have resident when it knows of so many files.
type known struct {
	entries  int
	few, all int64 // when the kernel holds few of their inodes, and when it holds all
}

var (
	aMillion     = known{1_000_000, 400 << 20, 1 << 30}
	aTenthOfThat = known{100_000, 64 << 20, 180 << 20} // a tenth, and what a small heap may have of garbage
)

// TestMemoryOfKnownEntries walks over a server's files with find, which asks for each one's size
// and time, until the daemon knows all of them. The kernel has an inode for each file that it
// was told of, and so have we; a machine that needs its memory for something else takes them
// back, as mount -o remount does.
func TestMemoryOfKnownEntries(t *testing.T) {
	mount.Need(t, "find")
	k := aTenthOfThat
	if c0.full {
		k = aMillion
	}
	t.Run("few inodes", func(t *testing.T) { walkOver(t, k.entries, k.few, true) })
	t.Run("all inodes", func(t *testing.T) { walkOver(t, k.entries, k.all, false) })
}

const perDirectory = 1000

func walkOver(t *testing.T, entries int, most int64, forget bool) {
	srv := ftpscript.Start(t, ftpscript.Options{Listing: generated})
	dirs := make([]string, entries/perDirectory)
	for i := range dirs {
		dirs[i] = fmt.Sprintf("d%04d", i)
		srv.Tree.MkdirAll("/" + dirs[i])
	}
	m := mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, Watchdog: 15 * time.Minute,
		O: []string{"log_level=info", "dir_cache_time=3600"}})
	r := &run{course: &course{patience: 10 * time.Minute}, t: t, who: "ftpfs", m: mounted{dir: m.Dir, pid: m.PID()}}
	began := time.Now()
	for some := range slices.Chunk(dirs, max(len(dirs)/25, 1)) {
		args := make([]string, len(some))
		for i, d := range some {
			args[i] = r.path(d)
		}
		r.lines(len(some)*(perDirectory+1), "find", append(args, "-printf", "%p %s %T@\n")...)
		if !forget {
			continue
		}
		if err := unix.Mount("", m.Dir, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			t.Skipf("SKIPPED inodes that are taken back: not without root: %v", err)
		}
	}
	took, n := time.Since(began), len(srv.Since(0).Verbs("MLSD"))
	if n != len(dirs) && n != len(dirs)+1 { // and of the root
		t.Errorf("%d directories were listed %d times", len(dirs), n)
	}
	peak := memory(m.PID())
	t.Logf("figure: peak memory with %d known entries, the kernel has %s: %d MiB, %d B each, in %v", entries, t.Name()[strings.Index(t.Name(), "/")+1:], peak>>20, peak/int64(entries), took.Round(time.Second))
	if peak > most {
		t.Errorf("%d MiB resident at the peak, want at most %d", peak>>20, most>>20)
	}
}

// generated makes a listing of a directory that has its name only in the server's tree.
func generated(verb, dir string, lines []string) []string {
	if dir == "/" || verb != "MLSD" {
		return lines
	}
	lines = make([]string, perDirectory)
	for i := range lines {
		lines[i] = fmt.Sprintf("type=file;size=%d;modify=20200101000000;unix.mode=0644;unique=fd01g%x; %s-%05d.jpg", i, i*7919, dir[1:], i)
	}
	return lines
}
