package mounted

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/mount"
)

func gitWork(t *testing.T, w work, dir string) {
	mount.Need(t, "git")
	git := func(args ...string) string {
		t.Helper()
		return mount.Run(t, dir, "git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.org",
			"-c", "safe.directory=*", "-c", "init.defaultBranch=main", "-c", "gc.auto=0"}, args...)...)
	}
	git("init", "-q")
	mount.Run(t, dir, "cp", "-r", site(t, 60)+"/.", dir)
	git("add", ".")
	git("commit", "-q", "-m", "first")
	put(t, filepath.Join(dir, "new.txt"), []byte("new\n"))
	git("add", "new.txt")
	git("commit", "-q", "-m", "second")
	git("checkout", "-q", "-b", "side", "HEAD~1")
	absent(t, filepath.Join(dir, "new.txt"))
	git("checkout", "-q", "main")
	git("repack", "-q", "-a", "-d")
	git("fsck", "--full", "--strict")
	if s := git("status", "--porcelain"); s != "" {
		t.Errorf("git status after commit: %q, want nothing", s)
	}
	w.there(t, dir)
	mount.Run(t, w.behind(dir), "git", "-c", "safe.directory=*", "fsck", "--full", "--strict")
}

func tarExtract(t *testing.T, w work, dir string) {
	local := site(t, 150)
	archive := filepath.Join(mount.TempDir(t), "site.tar.gz")
	mount.Run(t, local, "tar", "czf", archive, ".")
	mount.Run(t, dir, "tar", "xzf", archive)
	w.there(t, dir)
	same(t, local, dir)
	// And back out of the mount.
	again := filepath.Join(mount.TempDir(t), "again.tar")
	mount.Run(t, dir, "tar", "cf", again, ".")
	mount.Run(t, local, "tar", "df", again)
}

func moveAndRemove(t *testing.T, w work, dir string) {
	local := site(t, 80)
	mount.Run(t, dir, "cp", "-r", local, "a")
	mount.Run(t, dir, "mv", "a", "b") // while its files are still owed
	same(t, local, filepath.Join(dir, "b"))
	w.there(t, dir)
	mount.Run(t, dir, "mv", "b", "c") // now that they are there
	mount.Run(t, dir, "mv", "c/section 0", "moved")
	put(t, filepath.Join(dir, "target"), []byte("old"))
	put(t, filepath.Join(dir, "source"), []byte("new"))
	mount.Run(t, dir, "mv", "source", "target")
	holds(t, filepath.Join(dir, "target"), []byte("new"))
	w.there(t, dir)
	holds(t, filepath.Join(w.behind(dir), "target"), []byte("new"))
	same(t, filepath.Join(local, "section 0"), filepath.Join(w.behind(dir), "moved"))

	mount.Run(t, dir, "cp", "-r", local, "doomed")
	if err := os.Remove(filepath.Join(dir, "doomed")); err == nil {
		t.Error("rmdir of a directory whose files are still owed succeeded")
	}
	mount.Run(t, dir, "rm", "-r", "doomed", "c", "moved")
	if got := strings.Join(names(t, dir), " "); got != "target" {
		t.Errorf("after rm -r: %q, want only target", got)
	}
	w.there(t, dir)
}

func sedInPlace(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "config")
	w.putOnServer(t, name, bytes.Repeat([]byte("colour=red\n"), 500))
	mount.Run(t, dir, "sed", "-i", "s/red/green/", "config")
	want := bytes.Repeat([]byte("colour=green\n"), 500)
	holds(t, name, want)
	syncNow(t, w.Mount)
	holds(t, w.behind(name), want)
}
