package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Program is the ftpfs under test: $FTPFS_BIN, else built once from this tree.
func Program() (string, error) { return program() }

var built string // directory of a program that was built here; Main removes it

var program = sync.OnceValues(func() (string, error) {
	if p := os.Getenv("FTPFS_BIN"); p != "" {
		return p, nil
	}
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", err
	}
	built = dir
	p := filepath.Join(dir, "ftpfs")
	cmd := exec.Command("go", "build", "-o", p, "ftpfs/cmd/ftpfs")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ftpfs: %w\n%s", err, out)
	}
	return p, nil
})

// Result of a command.
type Result struct {
	Out, Err string
	Code     int
}

// Ftpfs runs the program with args and returns what came of it. It fails the
// test only if the program cannot be run, or says nothing new for two minutes: sync
// tells of each file that arrives, and on a busy machine many take their time.
func Ftpfs(t testing.TB, args ...string) Result {
	t.Helper()
	p, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	return Command{Timeout: 2 * time.Minute}.Do(t, p, args...)
}

// Command is how to run a program.
type Command struct {
	Dir     string
	Env     []string      // beside the test's own
	Timeout time.Duration // how long it may go without saying anything; 0 is two minutes
}

// Do runs a program to its end.
func (c Command) Do(t testing.TB, name string, args ...string) Result {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	silent := time.AfterFunc(c.Timeout, cancel)
	defer silent.Stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	said := func() { silent.Reset(c.Timeout) }
	out, errOut := heard{said: said}, heard{said: said}
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s %q: no end, and nothing heard for %v; it said: %s%s", filepath.Base(name), args, c.Timeout, out.text.Bytes(), errOut.text.Bytes())
	case err != nil && !errors.As(err, &exit):
		t.Fatalf("%s %q: %v", filepath.Base(name), args, err)
	}
	return Result{Out: out.text.String(), Err: errOut.text.String(), Code: cmd.ProcessState.ExitCode()}
}

// heard keeps what a program says, and tells that it said something.
type heard struct {
	text bytes.Buffer
	said func()
}

func (h *heard) Write(p []byte) (int, error) {
	h.said()
	return h.text.Write(p)
}

// Run runs a program that must succeed, and returns what it printed.
func Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	r := Command{Dir: dir}.Do(t, name, args...)
	if r.Code != 0 {
		t.Fatalf("%s %q in %s: exit code %d: %s%s", name, args, dir, r.Code, r.Out, r.Err)
	}
	return r.Out
}

// Need skips the test if a program is missing, by its name; with
// FTPFS_REQUIRE_ALL=1 it fails.
func Need(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			lack(t, name, "not installed; run test/deps.sh")
		}
	}
}

func needFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		lack(t, "FUSE", err.Error())
	}
	f.Close()
	if os.Geteuid() != 0 {
		Need(t, "fusermount3")
	}
}

func lack(t testing.TB, what, why string) {
	t.Helper()
	if os.Getenv("FTPFS_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is required by FTPFS_REQUIRE_ALL=1: %s", what, why)
	}
	t.Skipf("SKIPPED %s: %s", what, why)
}
