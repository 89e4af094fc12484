package mounted

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// A file is gone from the server, and the daemon knows, while a program that holds the
// directory's lock waits for the daemon. If the daemon waited for that lock to tell the
// kernel, SIGKILL would not end it, and the program would hang for ever.
func TestADaemonThatIsKilledDies(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "dir_cache_time=1")
	srv.Tree.Put("/d/x", []byte("x"))
	f, err := os.Open(m.Path("d", "x"))
	must(t, err)
	defer f.Close()
	goOn := make(chan struct{})
	held := srv.Add(ftpscript.Rule{Verb: "MKD", Hold: goOn})
	made := make(chan error, 1)
	go func() { made <- os.Mkdir(m.Path("d", "new"), 0o755) }()
	<-held.Hit()
	srv.Tree.Remove("/d/x")
	eventually(t, "see that the file is gone", func() bool {
		var st unix.Stat_t
		return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0
	})
	if where, waits := waitsForALock(m.PID()); waits {
		t.Errorf("a thread of the daemon waits in %s", where)
	}
	m.Kill() // fails the test unless it dies
	close(goOn)
	wantCut(t, "mkdir", <-made)
}

// The daemon is killed among many changes of one directory, while the server is gone: each
// of them is in doubt, and the directory's lock is always taken.
func TestADaemonThatIsKilledAmongChangesDies(t *testing.T) {
	const rounds, programs = 4, 8
	srv, m := scripted(t, ftpscript.Options{}, "timeout=1", "dir_cache_time=1")
	for round := range rounds {
		for i := range programs {
			srv.Tree.Put(fmt.Sprintf("/d/old%d", i), []byte("x"))
			srv.Tree.Put(fmt.Sprintf("/d/gone%d", i), []byte("x"))
		}
		var all sync.WaitGroup
		dead := make(chan struct{})
		for i := range programs {
			p := func(name string) string { return m.Path("d", fmt.Sprint(name, i)) }
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-dead:
						return
					default:
					}
					os.Rename(p("old"), p("new"))
					os.Remove(p("gone"))
					os.Mkdir(p("dir"), 0o755)
					os.WriteFile(p(fmt.Sprint("file", n, "-")), nil, 0o644)
					os.Remove(p("dir"))
					os.Rename(p("new"), p("old"))
				}
			})
		}
		lost := srv.Add(ftpscript.Rule{Hangup: true, Skip: 20 + 7*round}) // done, without a word
		<-lost.Hit()
		eventually(t, "lose some answers", func() bool { return lost.Hits() > 2 })
		m.Kill()
		close(dead)
		all.Wait()
		lost.Remove()
		m = m.Again(mount.Options{Password: ftpscript.Password, O: []string{"timeout=1", "dir_cache_time=1"}})
	}
}

// The daemon is killed, and something keeps its device and its socket open, as a thread of
// it would that a local disk does not let go. The kernel goes on waiting for it, until the
// next mount has it give up.
func TestADeadMountWithAnOpenDevice(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	srv.Tree.Put("/kept", []byte("kept"))
	defer keepOpen(t, m.PID())()
	m.Kill()
	made := make(chan error, 1)
	go func() { made <- os.Mkdir(m.Path("new"), 0o755) }()
	again := m.Again(mount.Options{Password: ftpscript.Password})
	wantCut(t, "mkdir", <-made)
	holds(t, again.Path("kept"), []byte("kept"))
}

// keepOpen takes copies of a daemon's descriptors of /dev/fuse and of its sockets.
func keepOpen(t *testing.T, pid int) (letGo func()) {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	defer unix.Close(process)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	var kept []int
	for _, fd := range fds {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if target != "/dev/fuse" && !strings.HasPrefix(target, "socket:") {
			continue
		}
		n, err := strconv.Atoi(fd.Name())
		must(t, err)
		own, err := unix.PidfdGetfd(process, n, 0)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
			t.Skipf("cannot take a descriptor of the daemon: %v", err)
		}
		must(t, err)
		kept = append(kept, own)
	}
	return func() {
		for _, fd := range kept {
			unix.Close(fd)
		}
	}
}

// wantCut fails the test unless err is what a program gets whose daemon is gone.
func wantCut(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("%s in the mount whose daemon was killed: %v, want ECONNABORTED or ENOTCONN", what, err)
	}
}

// waitsForALock says whether a thread of a process waits in the kernel for a directory's
// lock, or a page's, on account of a message of its own.
func waitsForALock(pid int) (function string, waits bool) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	for _, task := range tasks {
		switch text, _ := os.ReadFile(task); string(text) {
		case "fuse_reverse_inval_entry", "fuse_reverse_inval_inode", "invalidate_inode_pages2_range":
			return string(text), true
		}
	}
	return "", false
}
