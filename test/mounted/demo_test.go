package mounted

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/mount"
)

// What make demo runs, without a terminal: it ends by itself, with the right exit
// code, and leaves nothing mounted, running or lying about. (That no process
// outlives it, TestMain sees: orphans become its children.)
func TestDemo(t *testing.T) {
	program, err := mount.Program()
	must(t, err)
	dir := mount.TempDir(t)
	demo := filepath.Join(dir, "demo")
	mount.Run(t, ".", "go", "build", "-o", demo, "ftpfs/test/demo")
	temp := mkdir(t, filepath.Join(dir, "tmp"))
	env := []string{"TMPDIR=" + temp}
	clean := func(t *testing.T) {
		t.Helper()
		if got := names(t, temp); len(got) > 0 {
			t.Errorf("left behind: %q", got)
		}
		if strings.Contains(string(get(t, "/proc/self/mountinfo")), temp) {
			t.Errorf("still mounted below %s", temp)
		}
	}

	t.Run("shows its work", func(t *testing.T) {
		r := mount.Command{Env: env}.Do(t, demo, "-ftpfs", program)
		if r.Code != 0 || !strings.Contains(r.Out, "ftpfs sync") || !strings.Contains(r.Out, "Everything was as it should be") {
			t.Errorf("exit code %d: %s%s", r.Code, r.Out, r.Err)
		}
		clean(t)
	})
	t.Run("says that it failed", func(t *testing.T) {
		r := mount.Command{Env: env}.Do(t, demo, "-ftpfs", "/bin/false")
		if r.Code == 0 || r.Err == "" || strings.Contains(r.Out, "Everything was") {
			t.Errorf("with a program that fails: exit code %d: %s%s", r.Code, r.Out, r.Err)
		}
		clean(t)
	})
	t.Run("is ended in the middle", func(t *testing.T) {
		cmd := exec.Command(demo, "-ftpfs", program)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		signalled := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !signalled && strings.Contains(lines.Text(), "Look around.") {
				must(t, cmd.Process.Signal(syscall.SIGTERM))
				signalled = true
			}
		}
		if err := cmd.Wait(); err == nil || !signalled {
			t.Errorf("after SIGTERM, sent: %v: %v, want a failure", signalled, err)
		}
		clean(t)
	})
}
