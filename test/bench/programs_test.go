package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/mount"
)

// mounted is a program's mount of the server, with nothing in its caches.
type mounted struct {
	dir  string
	pid  int
	wire func() (commands, logins int64) // nil: the program does not tell
}

// program mounts the course's server. The mount ends with the test.
type program struct {
	name  string
	start func(t *testing.T, c *course) (mounted, error)
}

var ours = program{"ftpfs", func(t *testing.T, c *course) (mounted, error) {
	o := mount.Options{URL: c.srv.URL(""), Password: c.srv.Password, Watchdog: c.patience + time.Minute, O: append([]string{"log_level=info"}, c.options...)}
	if c.line != nil {
		o.In = c.line.Near.Do
	}
	m := mount.New(t, o)
	if slices.Contains(c.options, "trace_ftp") {
		t.Cleanup(func() { t.Log(m.Log()) })
	}
	return mounted{dir: m.Dir, pid: m.PID(), wire: func() (commands, logins int64) {
		k := m.Status().Connections
		return k.Commands, k.Logins
	}}, nil
}}

// peers are the other programs that are there.
func peers() []program {
	var all []program
	if path, err := exec.LookPath("rclone"); err == nil {
		all = append(all, program{"rclone", func(t *testing.T, c *course) (mounted, error) { return rclone(t, c, path) }})
	}
	if path, err := exec.LookPath("curlftpfs"); err == nil && c0.encrypted == "" {
		all = append(all, program{"curlftpfs", func(t *testing.T, c *course) (mounted, error) { return curlftpfs(t, c, path) }})
	}
	return all
}

func rclone(t *testing.T, c *course, path string) (mounted, error) {
	hidden := strings.TrimSpace(mount.Run(t, "", path, "obscure", c.srv.Password))
	args := []string{"mount", ":ftp:", "", "--config", os.DevNull, "--cache-dir", mount.TempDir(t), "--vfs-cache-mode", "full",
		"--ftp-host", c.srv.Host, "--ftp-port", strconv.Itoa(c.srv.Port), "--ftp-user", c.srv.User, "--ftp-pass", hidden}
	if c0.cap > 0 { // it does not find out by itself
		args = append(args, "--ftp-concurrency", strconv.Itoa(c0.cap))
	}
	switch c0.encrypted {
	case "explicit":
		args = append(args, "--ftp-explicit-tls", "--ftp-no-check-certificate")
	case "implicit":
		args = append(args, "--ftp-tls", "--ftp-no-check-certificate")
	}
	return foreign(t, c, path, func(dir string) []string { args[2] = dir; return args })
}

func curlftpfs(t *testing.T, c *course, path string) (mounted, error) {
	return foreign(t, c, path, func(dir string) []string {
		return []string{"-f", "-o", fmt.Sprintf("user=%s:%s", c.srv.User, c.srv.Password), fmt.Sprintf("ftp://%s:%d/", c.srv.Host, c.srv.Port), dir}
	})
}

// foreign starts a program that mounts in the foreground, and waits for its mount.
func foreign(t *testing.T, c *course, path string, args func(dir string) []string) (mounted, error) {
	dir := mount.TempDir(t)
	cmd := exec.Command(path, args(dir)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	start := cmd.Start
	if c.line != nil {
		start = func() error { return c.line.Near.Do(cmd.Start) }
	}
	if err := start(); err != nil {
		return mounted{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second): // it may still be sending
			_ = cmd.Process.Kill()
			<-ended
		}
		mount.Detach(dir)
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if isMount(dir) {
			return mounted{dir: dir, pid: cmd.Process.Pid}, nil
		}
		select {
		case err := <-ended:
			ended <- err
			return mounted{}, fmt.Errorf("%s did not mount: %v: %s", filepath.Base(path), err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			return mounted{}, fmt.Errorf("%s did not mount within a minute", filepath.Base(path))
		}
	}
}

func isMount(dir string) bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(table), " "+dir+" ")
}

// memory is the greatest amount of memory that a process has had so far, in bytes.
func memory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(words[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// processor is the processor time that a process has used so far.
func processor(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	words := strings.Fields(rest)
	if len(words) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(words[11], 10, 64)
	system, _ := strconv.ParseInt(words[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ is 100 on Linux
}
