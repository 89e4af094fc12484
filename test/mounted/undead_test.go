package mounted

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// The daemon is killed while it tells the kernel of a name that is gone, and waits for
// the directory's lock, which a program holds that waits for the daemon: neither would
// ever end. The next mount has the kernel let go of both.
func TestADaemonThatCannotDieIsReplaced(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "dir_cache_time=1")
	srv.Tree.Put("/d/x", []byte("x"))
	srv.Tree.Put("/kept", []byte("kept"))
	f, err := os.Open(m.Path("d", "x"))
	must(t, err)
	goOn := make(chan struct{})
	held := srv.Add(ftpscript.Rule{Verb: "MKD", Hold: goOn})
	made := make(chan error, 1)
	go func() { made <- os.Mkdir(m.Path("d", "new"), 0o755) }()
	<-held.Hit()
	srv.Tree.Remove("/d/x")
	eventually(t, "tell the kernel that the file is gone", func() bool {
		go f.Stat() // may wait as well
		return inKernel(m.PID(), "fuse_reverse_inval_entry")
	})
	must(t, syscall.Kill(m.PID(), syscall.SIGKILL))
	eventually(t, "lose its main thread", func() bool { return processState(m.PID()) == 'Z' })
	again := m.Again(mount.Options{Password: ftpscript.Password})
	m.Kill() // now it can be reaped
	close(goOn)
	if err := <-made; !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("mkdir in the mount whose daemon was killed: %v, want ECONNABORTED", err)
	}
	f.Close()
	holds(t, again.Path("kept"), []byte("kept"))
}

// inKernel says whether a thread of a process waits in a function of the kernel.
func inKernel(pid int, function string) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil && string(text) == function {
			return true
		}
	}
	return false
}

func processState(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if _, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" ")); err == nil && ok && len(rest) > 0 {
		return rest[0]
	}
	return 0
}
