package servers

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stop   = syscall.SIGSTOP
	resume = syscall.SIGCONT
)

// process is a server's main process with the sessions it forked.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the main process was reaped
	err  error         // why it ended; valid after done
}

// startProcess runs argv in a network, in a process group of its own, with its
// output in log. The kernel kills it if this process dies first.
func startProcess(in Network, argv []string, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Stdin = out // where vsftpd says what is wrong with its configuration
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Dir = filepath.Dir(log)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread that forked: keep it until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := in.Do(p.cmd.Start)
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	return p, nil
}

// awaitGreeting returns once a connection to addr, from the same network, is
// greeted with 220, by implicit TLS if so.
func (p *process) awaitGreeting(in Network, addr string, implicit bool, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		err := in.Do(func() error { return greeted(addr, implicit, deadline) })
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no greeting on %s within %v: %w", addr, limit, err)
		}
		select {
		case <-p.done:
			return fmt.Errorf("ended before it answered on %s: %v", addr, p.err)
		case <-retry.C:
		}
	}
}

func greeted(addr string, implicit bool, deadline time.Time) error {
	c, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(deadline)
	if implicit {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	var code [3]byte
	if _, err := io.ReadFull(c, code[:]); err != nil {
		return err
	}
	if string(code[:]) != "220" {
		return fmt.Errorf("greeted with %q", code)
	}
	_, _ = io.WriteString(c, "QUIT\r\n") // else vsftpd logs a broken session
	_, _ = io.Copy(io.Discard, c)
	return nil
}

// kill ends the main process and everything it forked, and waits for it.
func (p *process) kill() {
	family := p.freeze()
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
	for _, pid := range family {
		awaitExit(pid)
	}
}

// freeze stops the main process and everything it forked, until nobody is left who could
// fork any more: vsftpd's sessions do when somebody logs in, and what is missed would serve
// on.
func (p *process) freeze() (family []int) {
	for {
		more := p.family()
		if len(more) <= len(family) {
			return family
		}
		family = more
		for _, pid := range family {
			_ = syscall.Kill(pid, stop)
		}
	}
}

// family is the main process and its descendants; empty once it was reaped.
func (p *process) family() []int {
	select {
	case <-p.done:
		return nil
	default:
	}
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		stat, err := os.ReadFile(d + "/stat")
		if err != nil {
			continue // it has gone
		}
		// "pid (name) state ppid …"; the name may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 {
			ppid, _ := strconv.Atoi(fields[1])
			children[ppid] = append(children[ppid], pid)
		}
	}
	family := []int{p.cmd.Process.Pid}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}

// awaitExit returns when a killed process holds its sockets no longer.
func awaitExit(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has gone
	}
	defer unix.Close(fd)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	if sig == stop {
		s.proc.freeze()
		return
	}
	for _, pid := range s.proc.family() {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.tb.Errorf("%v to %s (%d): %v", sig, s.Kind, pid, err)
		}
	}
}

// showLogs tells what the server said, for a test that failed.
func (s *Server) showLogs() {
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		if len(text) == 0 {
			continue
		}
		if over := len(text) - 8192; over > 0 {
			text = append([]byte("…"), text[over:]...)
		}
		s.tb.Logf("%s, %s:\n%s", s.Kind, filepath.Base(name), text)
	}
}
