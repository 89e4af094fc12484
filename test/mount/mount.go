// Package mount runs the real ftpfs program for tests: each Mount is a daemon in
// the foreground as a process of its own (a test that serves the mount it looks
// at would deadlock), with a mountpoint and a cache of its own. New returns once
// the daemon says that it is ready.
//
// It owns processes, mounts and temporary directories, and gives them back:
// when a test ends, its daemon is asked to unmount, and a mount or process that
// outlives that fails the test. A watchdog ends a test that hangs, by having the
// kernel abort the mount. Main, called from TestMain, sweeps what an earlier run
// left and fails if this one leaves something.
//
// It knows ftpfs by its command line only. Mount.mu guards the process's state
// and is a leaf.
package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long a step of the harness may take before the test fails. A machine under
// load needs seconds where an idle one needs milliseconds.
const (
	readyTimeout = 60 * time.Second
	endTimeout   = 60 * time.Second
)

// Options of a mount.
type Options struct {
	URL      string
	Password string   // handed over in $FTPFS_PASSWORD
	O        []string // further mount options: "timeout=2"
	// CacheDir holds cache and spool; "" is a new one. Give that of a mount that
	// was killed to go on where it was.
	CacheDir string
	// Dir is the mountpoint; "" is a new one.
	Dir string
	Env []string // further environment of the daemon
	// In starts the daemon somewhere else, such as in another network; nil here.
	In func(start func() error) error
	// Watchdog is how long the test may use the mount; 0 is two minutes.
	Watchdog time.Duration
}

// Mount is a mounted ftpfs.
type Mount struct {
	Dir      string // mountpoint
	CacheDir string
	URL      string

	tb   testing.TB
	argv []string
	log  string // file with the daemon's stderr
	cmd  *exec.Cmd
	done chan struct{} // closed once the daemon was reaped

	mu      sync.Mutex // guards what follows
	gone    bool       // unmounted or killed on purpose
	exit    error      // of the daemon; valid once done is closed
	waiting *time.Timer
}

// New mounts until the test ends; it fails the test if that does not succeed.
func New(t testing.TB, o Options) *Mount {
	t.Helper()
	m, err := Try(t, o)
	if err != nil {
		t.Fatalf("mount %s: %v", o.URL, err)
	}
	return m
}

// Try is New for a mount that may fail; err then holds what the daemon said.
func Try(t testing.TB, o Options) (*Mount, error) {
	t.Helper()
	needFUSE(t)
	if o.CacheDir == "" {
		o.CacheDir = TempDir(t)
	}
	if o.Dir == "" {
		o.Dir = mountpoint(t)
	}
	options := append([]string{"cache_dir=" + o.CacheDir, "log_level=debug"}, o.O...)
	m := &Mount{Dir: o.Dir, CacheDir: o.CacheDir, URL: o.URL, tb: t, done: make(chan struct{}),
		argv: []string{"-f", "-o", strings.Join(options, ","), o.URL, o.Dir},
		log:  filepath.Join(TempDir(t), "stderr")}
	ready, err := newNotifySocket(t)
	if err != nil {
		return nil, err
	}
	defer ready.close()
	env := append([]string{"FTPFS_PASSWORD=" + o.Password, "NOTIFY_SOCKET=" + ready.path}, o.Env...)
	if o.In == nil {
		o.In = func(start func() error) error { return start() }
	}
	if err := m.start(env, o.In); err != nil {
		return nil, err
	}
	t.Cleanup(m.cleanup)
	if err := ready.await(m.done, readyTimeout); err != nil {
		_ = m.cmd.Process.Kill()
		<-m.done
		m.markGone()
		return nil, fmt.Errorf("%w: %v; it said: %s", err, m.exit, strings.TrimSpace(m.Log()))
	}
	if o.Watchdog == 0 {
		o.Watchdog = 2 * time.Minute
	}
	m.Watch(o.Watchdog)
	return m, nil
}

func (m *Mount) start(env []string, in func(func() error) error) error {
	program, err := Program()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	m.cmd = exec.Command(program, m.argv...)
	m.cmd.Env = append(os.Environ(), env...)
	m.cmd.Stdout, m.cmd.Stderr = out, out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C on the tests is not for the daemon
	if err := in(m.cmd.Start); err != nil {
		return err
	}
	go func() {
		m.exit = m.cmd.Wait()
		close(m.done)
	}()
	return nil
}

// Path is a path in the mount.
func (m *Mount) Path(elem ...string) string {
	return filepath.Join(append([]string{m.Dir}, elem...)...)
}

// PID of the daemon.
func (m *Mount) PID() int { return m.cmd.Process.Pid }

// Log is what the daemon has written to stderr.
func (m *Mount) Log() string {
	text, _ := os.ReadFile(m.log)
	return string(text)
}

// Sync waits until everything is on the server, as a user would.
func (m *Mount) Sync() {
	m.tb.Helper()
	if r := Ftpfs(m.tb, "sync", m.Dir); r.Code != 0 {
		m.tb.Fatalf("ftpfs sync: exit code %d, want 0: %s%s", r.Code, r.Out, r.Err)
	}
}

// Unmount asks ftpfs to unmount, and waits for the end of the daemon. It fails
// the test unless everything was on the server.
func (m *Mount) Unmount() {
	m.tb.Helper()
	if r := Ftpfs(m.tb, "unmount", m.Dir); r.Code != 0 {
		m.tb.Fatalf("ftpfs unmount: exit code %d, want 0: %s%s", r.Code, r.Out, r.Err)
	}
	m.AwaitEnd()
}

// AwaitEnd waits for a daemon that was told to end. It fails the test if it does
// not, or if the mount outlives it.
func (m *Mount) AwaitEnd() {
	m.tb.Helper()
	m.markGone()
	select {
	case <-m.done:
	case <-time.After(endTimeout):
		m.tb.Errorf("the daemon still runs %v after it was told to end\n%s", endTimeout, m.stacks())
	}
	if mounted(m.Dir) {
		m.tb.Errorf("%s is still mounted after the daemon ended", m.Dir)
		detach(m.Dir)
	}
}

// Signal sends a signal to the daemon.
func (m *Mount) Signal(sig syscall.Signal) {
	m.tb.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.tb.Errorf("%v to the daemon: %v", sig, err)
	}
}

// Kill ends the daemon with SIGKILL, as a crash would, if it has not just ended by
// itself. The dead mount stays: a new daemon at the same Dir has to replace it.
func (m *Mount) Kill() {
	m.tb.Helper()
	m.markGone()
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.tb.Errorf("kill the daemon: %v", err)
	}
	select {
	case <-m.done:
	case <-time.After(endTimeout / 2):
		m.tb.Errorf("the daemon does not die of SIGKILL; its threads:\n%s", m.threads())
		detach(m.Dir)
		<-m.done
	}
}

// threads says where in the kernel each thread of the daemon is.
func (m *Mount) threads() string {
	var b strings.Builder
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", m.PID()))
	for _, task := range tasks {
		for _, name := range []string{"stat", "wchan", "syscall", "stack"} {
			text, _ := os.ReadFile(filepath.Join(task, name))
			fmt.Fprintf(&b, "%s: %s\n", filepath.Join(filepath.Base(task), name), bytes.TrimSpace(text))
		}
	}
	return b.String()
}

// Again mounts once more with the same arguments: after Kill or Unmount.
func (m *Mount) Again(o Options) *Mount {
	m.tb.Helper()
	o.CacheDir, o.Dir = m.CacheDir, m.Dir
	if o.URL == "" {
		o.URL = m.URL
	}
	return New(m.tb, o)
}

func (m *Mount) markGone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	if m.waiting != nil {
		m.waiting.Stop()
	}
}

// cleanup ends the mount, however the test left it.
func (m *Mount) cleanup() {
	m.mu.Lock()
	gone := m.gone
	m.mu.Unlock()
	if gone {
		m.forceEnd()
		return
	}
	if open := openBelow(m.Dir); len(open) > 0 {
		m.tb.Errorf("the test left files open in the mount: %s", strings.Join(open, ", "))
	}
	select {
	case <-m.done:
		m.tb.Errorf("the daemon ended by itself: %v", m.exit)
	default:
		// What a test leaves owed (its server may be stopped) is not the harness's
		// concern: do not wait for it.
		m.Signal(syscall.SIGTERM)
		m.AwaitEnd()
	}
	if m.tb.Failed() {
		m.tb.Logf("the daemon said (%s):\n%s", strings.Join(m.argv, " "), tail(m.Log(), 16<<10))
	}
	if text := m.Log(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
		m.tb.Errorf("the daemon raced or panicked:\n%s", tail(text, 32<<10))
	}
	m.forceEnd()
}

// forceEnd makes sure that neither process nor mount stay; what went well has
// left nothing to do.
func (m *Mount) forceEnd() {
	select {
	case <-m.done:
	default:
		_ = m.cmd.Process.Kill()
		<-m.done
	}
	if mounted(m.Dir) {
		detach(m.Dir)
	}
}

func tail(text string, n int) string {
	if over := len(text) - n; over > 0 {
		return "…" + text[over:]
	}
	return text
}

// stacks has the daemon die with all its goroutines' stacks.
func (m *Mount) stacks() string {
	before := len(m.Log())
	_ = m.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-m.done:
	case <-time.After(5 * time.Second):
	}
	text := m.Log()
	return tail(string(bytes.ToValidUTF8([]byte(text[min(before, len(text)):]), nil)), 60<<10)
}
