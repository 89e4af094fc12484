package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"ftpfs/test/mount"
)

// site makes a local tree of n files in directories, with times of every age.
func site(t *testing.T, n int) string {
	t.Helper()
	dir := mount.TempDir(t)
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("section %d", i%7), fmt.Sprintf("chapter-%d", i%11), fmt.Sprintf("page %04d.html", i))
		mkdir(t, filepath.Dir(name))
		size := i * 37 % 9000
		if i%100 == 99 {
			size = 300_000
		}
		put(t, name, noise(uint64(i), size))
		at := time.Date(2001+i%24, time.Month(1+i%12), 1+i%28, i%24, i%60, (i*7)%60, 0, time.UTC)
		must(t, os.Chtimes(name, at, at))
	}
	return dir
}

// What rsync -i says of a file that it sends, and of one whose time is another.
var (
	fileSent  = regexp.MustCompile(`(?m)^[<>c]f.*$`)
	timeDiffs = regexp.MustCompile(`(?m)^.f..[tT].*$`)
)

func rsyncInAndAgain(t *testing.T, w work, dir string) {
	mount.Need(t, "rsync")
	local := site(t, 1000)
	mount.Run(t, local, "rsync", "-a", "./", dir+"/")
	syncNow(t, w.Mount)
	same(t, local, w.behind(dir))
	same(t, local, dir)
	if sent := fileSent.FindAllString(mount.Run(t, local, "rsync", "-ai", "./", dir+"/"), 10); sent != nil {
		t.Errorf("a second rsync -ai sent files: %q", sent)
	}
	said := mount.Run(t, local, "rsync", "-nai", "--checksum", "./", w.behind(dir)+"/")
	if sent := fileSent.FindAllString(said, 10); sent != nil {
		t.Errorf("rsync -aic to the server's own directory sent files: %q", sent)
	}
	// All four can set a file's time.
	if diffs := timeDiffs.FindAllString(said, 10); diffs != nil {
		t.Errorf("times on the server are not exact: %q", diffs)
	}
}

func copyOut(t *testing.T, w work, dir string) {
	local := site(t, 200)
	mount.Run(t, local, "cp", "-a", local, w.behind(dir)+"/site")
	w.srv.Own(w.behind(dir))
	eventually(t, "see what is on the server", func() bool { _, err := os.Stat(dir + "/site"); return err == nil })
	out := mount.TempDir(t)
	mount.Run(t, "/", "cp", "-r", dir+"/site", out)
	same(t, local, out+"/site")
}

func copyIn(t *testing.T, w work, dir string) {
	local := site(t, 100)
	mount.Run(t, local, "cp", "-a", local, dir+"/site")
	same(t, local, dir+"/site")
	syncNow(t, w.Mount)
	same(t, local, w.behind(dir)+"/site")
}
