package mount

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// family is how the temporary directories of all runs begin, in os.TempDir();
// prefix how this run's do. Another run may be under way beside it.
const family = "ftpfs-run."

var prefix = fmt.Sprintf("%s%d.", family, os.Getpid())

// Main is TestMain: it runs the tests in a clean environment, and fails if a
// mount or a process is left in the end.
func Main(m *testing.M) {
	sweep()
	// Orphans, such as a daemon in the background, become our children: none can
	// slip away.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	home, err := os.MkdirTemp("", prefix+"home.")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // go's default for them is in the old one
		if out, err := exec.Command("go", "env", name).Output(); err == nil {
			os.Setenv(name, strings.TrimSpace(string(out)))
		}
	}
	os.Setenv("HOME", home)
	for _, name := range []string{"FTPFS_PASSWORD", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"} {
		os.Unsetenv(name)
	}
	if os.Geteuid() != 0 { // the directory of the control sockets stays when they go
		runtime := filepath.Join(home, "run")
		if err := os.Mkdir(runtime, 0o700); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		os.Setenv("XDG_RUNTIME_DIR", runtime)
	}
	os.Setenv("LC_ALL", "C.UTF-8")
	os.Setenv("TZ", "UTC")

	go endOnSignal(home)
	code := m.Run()
	if left := leftovers(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: left behind: %s\n", strings.Join(left, "; "))
		sweep()
		code = max(code, 1)
	}
	os.RemoveAll(home)
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// endOnSignal leaves nothing behind after Ctrl-C, which daemons and servers, in
// process groups of their own, do not see.
func endOnSignal(home string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	<-signals
	for range 100 { // what was forked meanwhile is found in the next round
		pids := children()
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
			ended(pid, time.Second)
		}
	}
	sweep()
	os.RemoveAll(home)
	os.Exit(130)
}

// children are the processes below this one, orphans among them.
func children() []int {
	var pids []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		text, _ := os.ReadFile(name)
		for _, f := range strings.Fields(string(text)) {
			if pid, _ := strconv.Atoi(f); pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// TempDir is a new directory, removed when the test ends. Unlike t.TempDir's it
// has a short name, and what cannot be removed does not fail the test.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// mountpoint is a new empty directory. It is removed only while empty: never a
// recursive removal where a file system may be mounted.
func mountpoint(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix+"mnt.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("remove the mountpoint: %v", err)
		}
	})
	return dir
}

// mountsBelow are the mountpoints whose path starts with start.
func mountsBelow(start string) []string {
	var points []string
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], start) {
			points = append(points, f[4])
		}
	}
	return points
}

func mounted(dir string) bool {
	for _, p := range mountsBelow(dir) {
		if p == dir {
			return true
		}
	}
	return false
}

// detach takes a mount away whatever uses it, aborting requests under way.
func detach(dir string) {
	_ = unix.Unmount(dir, unix.MNT_FORCE)
	if unix.Unmount(dir, unix.MNT_DETACH) != nil && mounted(dir) {
		_ = exec.Command("fusermount3", "-uz", dir).Run()
	}
}

// sweep takes away what this run has left, and earlier ones that were killed.
func sweep() {
	start := filepath.Join(os.TempDir(), family)
	for _, dir := range mountsBelow(start) {
		if !othersAlive(dir[len(start):]) {
			detach(dir)
		}
	}
	dirs, _ := filepath.Glob(start + "*")
	for _, dir := range dirs {
		if !othersAlive(dir[len(start):]) && len(mountsBelow(dir)) == 0 {
			os.RemoveAll(dir)
		}
	}
}

// othersAlive tells whether a name that goes on after family with a process id
// belongs to another run that is under way.
func othersAlive(rest string) bool {
	number, _, _ := strings.Cut(rest, ".")
	pid, err := strconv.Atoi(number)
	if err != nil || pid == os.Getpid() {
		return false
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.Contains(filepath.Base(program), ".test")
}

// leftovers names mounts below our prefix and processes below this one.
func leftovers() []string {
	left := mountsBelow(filepath.Join(os.TempDir(), prefix))
	for _, pid := range children() {
		if !ended(pid, time.Minute) {
			left = append(left, fmt.Sprintf("process %d (%s)", pid, CommandLine(pid)))
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return left
}

// ended reaps a child, waiting for it a little.
func ended(pid int, limit time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds())); n < 1 {
		return false
	}
	_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return true
}

// openBelow names what this process has open below dir.
func openBelow(dir string) []string {
	var open []string
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, dir+"/") {
			open = append(open, target)
		}
	}
	return open
}

// Watch winds the watchdog up anew: after limit the daemon dies with its stacks
// in the log, and the kernel fails whatever was blocked in the mount.
func (m *Mount) Watch(limit time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting != nil {
		m.waiting.Stop()
	}
	if m.gone {
		return
	}
	m.waiting = time.AfterFunc(limit, func() {
		m.tb.Errorf("watchdog: the test uses its mount for more than %v\n%s", limit, m.stacks())
		m.markGone()
		detach(m.Dir)
	})
}

// Alive is whether the daemon runs and nobody has told it to end.
func (m *Mount) Alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.done:
		return false
	default:
		return !m.gone
	}
}

// Detach takes a mount away if there still is one, for a test that mounts
// without New.
func Detach(dir string) {
	if mounted(dir) {
		detach(dir)
	}
}

// Gone waits until a process has ended; false if it does not within a minute.
func Gone(pid int) bool { return ended(pid, time.Minute) }

// CommandLine is the argv of a process as others see it.
func CommandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
}
