package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long one command may take, and the daemon to end once unmounted.
const (
	commandTimeout = 2 * time.Minute
	endTimeout     = 20 * time.Second
)

// stage runs the commands of the story. After the first failure it runs no more,
// and keeps the error.
type stage struct {
	ctx     context.Context
	program string // absolute path of ftpfs
	mnt     string
	env     []string // beside the demo's own
	mounted bool     // clear has to unmount
	err     error
}

// newStage makes this process the parent of every orphan below it, so that the
// daemon, which leaves the shell that started it, can be found again.
func newStage(ctx context.Context, program, mnt string) (*stage, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("adopt orphans: %w", err)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w; make builds it", err)
	}
	return &stage{ctx: ctx, program: program, mnt: mnt}, nil
}

func (s *stage) say(text string) {
	if s.err == nil {
		fmt.Printf("\n%s\n", text)
	}
}

// run prints a command, then runs it with the shell and lets it print.
func (s *stage) run(format string, args ...any) {
	if s.err != nil {
		return
	}
	command := fmt.Sprintf(format, args...)
	fmt.Printf("\n$ %s\n", command)
	ctx, cancel := context.WithTimeout(s.ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), s.env...)
	// "ftpfs" means the program shown, whatever is installed.
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(s.program)+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	switch {
	case s.ctx.Err() != nil:
		s.err = errors.New("interrupted")
	case ctx.Err() != nil:
		s.err = fmt.Errorf("%s: no end within %v", command, commandTimeout)
	case err != nil:
		s.err = fmt.Errorf("%s: %w", command, err)
	}
}

// check is a comparison that prints nothing unless it fails.
func (s *stage) check(what string, ok func() error) {
	if s.err != nil {
		return
	}
	if err := ok(); err != nil {
		s.err = fmt.Errorf("%s: %w", what, err)
	}
}

// clear unmounts what is still mounted and ends what still runs. It is an error
// if something had to be killed.
func (s *stage) clear() error {
	if isMounted(s.mnt) {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		if exec.CommandContext(ctx, s.program, "unmount", s.mnt).Run() != nil || isMounted(s.mnt) {
			detach(s.mnt)
		}
	}
	var left []string
	for _, pid := range children() {
		if waitFor(pid, endTimeout) {
			continue
		}
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		left = append(left, fmt.Sprintf("%s (%d)", bytes.TrimSpace(name), pid))
		_ = syscall.Kill(pid, syscall.SIGKILL)
		waitFor(pid, endTimeout)
	}
	var err error
	if left != nil {
		err = fmt.Errorf("had to kill what did not end by itself: %s", strings.Join(left, ", "))
	}
	if isMounted(s.mnt) {
		err = errors.Join(err, fmt.Errorf("%s is still mounted", s.mnt))
	}
	return err
}

func detach(mnt string) {
	if unix.Unmount(mnt, unix.MNT_DETACH) != nil {
		_ = exec.Command("fusermount3", "-uz", mnt).Run()
	}
}

func isMounted(mnt string) bool {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	return bytes.Contains(text, []byte(" "+mnt+" "))
}

// children are the processes to wait for: this one's, adopted ones included.
func children() []int {
	var pids []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		text, _ := os.ReadFile(name)
		for _, f := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(f)
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitFor reaps a child; false if it did not end within limit.
func waitFor(pid int, limit time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true // it has gone
	}
	defer unix.Close(fd)
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 {
			_, _ = unix.Wait4(pid, nil, 0, nil)
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
	return false
}

func contains(name, want string) error {
	text, err := os.ReadFile(name)
	if err == nil && !bytes.Contains(text, []byte(want)) {
		err = fmt.Errorf("%s does not contain %q but %q", name, want, text)
	}
	return err
}

func absent(name string) error {
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: got %v, want that it does not exist", name, err)
	}
	return nil
}
