package fs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func status(state string, own, shared, blocked, ignored uint64) []byte {
	return fmt.Appendf(nil, "Name:\tgit\nState:\t%s\nTgid:\t7\nSigQ:\t1/30\nSigPnd:\t%016x\nShdPnd:\t%016x\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n",
		state, own, shared, blocked, ignored, uint64(0))
}

func TestFatalStatus(t *testing.T) {
	const waiting = "D (disk sleep)"
	alarm, intr, kill := mask(unix.SIGALRM, unix.SIGURG, unix.SIGCHLD), mask(unix.SIGINT), mask(unix.SIGKILL)
	for _, c := range []struct {
		name string
		text []byte
		want bool
	}{
		{"nothing pending", status(waiting, 0, 0, 0, 0), false},
		{"a timer", status(waiting, 0, alarm, 0, 0), false},
		{"Ctrl-C", status(waiting, 0, intr, 0, 0), true},
		{"Ctrl-C beside a timer", status(waiting, alarm, intr, 0, 0), true},
		{"to the thread", status(waiting, mask(unix.SIGTERM), 0, 0, 0), true},
		{"hangup", status(waiting, 0, mask(unix.SIGHUP), 0, 0), true},
		{"quit", status(waiting, 0, mask(unix.SIGQUIT), 0, 0), true},
		{"killed", status(waiting, kill, 0, 0, 0), true},
		{"Ctrl-C blocked", status(waiting, 0, intr, intr, 0), false},
		{"Ctrl-C ignored (nohup)", status(waiting, 0, intr, 0, intr), false},
		{"killed, all blocked", status(waiting, kill, 0, ^uint64(0), ^uint64(0)), true},
		{"stopped by Ctrl-Z", status(waiting, 0, mask(unix.SIGTSTP), 0, 0), false},
		{"zombie", status("Z (zombie)", 0, 0, 0, 0), true},
		{"dead", status("X (dead)", 0, 0, 0, 0), true},
		{"garbage", []byte("SigPnd:\tzz\n\n:\n"), false},
	} {
		if got := fatalStatus(c.text); got != c.want {
			t.Errorf("%s: got %v, want %v\n%s", c.name, got, c.want, c.text)
		}
	}
}

func TestFatalPendingOfRealThreads(t *testing.T) {
	if fatalPending(uint32(os.Getpid())) {
		t.Error("this process is not about to die")
	}
	if fatalPending(0) {
		t.Error("a caller that cannot be seen counts as stopping")
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if !fatalPending(uint32(cmd.Process.Pid)) {
		t.Error("a process that is gone does not count as stopping")
	}
}

// The kernel interrupts once; the Ctrl-C that follows a timer's signal must count.
func TestCallEndsWhenTheSignalComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stop atomic.Bool
		cancel := make(chan struct{})
		c := begin(&fuse.Context{Cancel: cancel})
		c.fatal = func(uint32) bool { return stop.Load() }
		done := c.Done()
		close(cancel)
		time.Sleep(time.Minute) // on synctest's clock
		if c.Err() != nil {
			t.Fatal("a signal that stops nobody ended the call")
		}
		stop.Store(true)
		began := time.Now()
		<-done
		if took := time.Since(began); took > recheck {
			t.Errorf("noticed after %v", took)
		}
		if c.Err() != context.Canceled {
			t.Errorf("got %v, want context.Canceled", c.Err())
		}
		c.end()
	})
}

func TestCallEndStopsTheWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, interrupted := range []bool{false, true} {
			cancel := make(chan struct{})
			c := begin(&fuse.Context{Cancel: cancel})
			c.fatal = func(uint32) bool { return false }
			ctx, stop := context.WithCancel(c)
			if interrupted {
				close(cancel)
			}
			synctest.Wait()
			if ctx.Err() != nil || c.Err() != nil {
				t.Errorf("interrupted %v, nobody stops: derived %v, call %v", interrupted, ctx.Err(), c.Err())
			}
			c.end() // synctest fails if a goroutine stays
			synctest.Wait()
			if ctx.Err() == nil || c.Err() == nil {
				t.Error("the context outlives the call")
			}
			stop()
		}
	})
}

// Whoever keeps the context of a request that is answered must not wait on it.
func TestCallIsOverAfterEnd(t *testing.T) {
	c := begin(&fuse.Context{Cancel: make(chan struct{})})
	c.end()
	<-c.Done()
	if c.Err() != context.Canceled {
		t.Errorf("got %v", c.Err())
	}
}

func BenchmarkCallFromMemory(b *testing.B) {
	ctx := &fuse.Context{Cancel: make(chan struct{})}
	for b.Loop() {
		c := begin(ctx)
		if c.Err() != nil {
			b.Fatal()
		}
		c.end()
	}
}

// opener is a process whose thread waits in open(2).
type opener struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Scanner
	tid int
}

func startOpener(t *testing.T, path string) *opener {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := &opener{t: t, cmd: exec.Command(self)}
	o.cmd.Env = append(os.Environ(), roleEnv+"=opener", "FTPFS_FS_TEST_PATH="+path)
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o.out = bufio.NewScanner(out)
	if _, err := fmt.Sscanf(o.line(), "thread %d", &o.tid); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *opener) line() string {
	o.out.Scan()
	return o.out.Text()
}

func (o *opener) signal(s syscall.Signal) {
	o.t.Helper()
	if err := unix.Tgkill(o.cmd.Process.Pid, o.tid, s); err != nil {
		o.t.Fatal(err)
	}
}

func (o *opener) result() string {
	l := o.line()
	o.cmd.Wait()
	return strings.TrimPrefix(l, "opened: ")
}

// git's progress timer interrupts every call with SIGALRM and SA_RESTART.
func TestTimerSignalDoesNotFailAnOpen(t *testing.T) {
	d := start(t, order{Config: Config{Debug: true}})
	o := startOpener(t, d.path("slow/dir"))
	d.expect("asked for /slow/dir")
	o.signal(unix.SIGALRM)
	d.expect("interrupted")
	stat(t, d.path("plain")) // behind it
	d.tell("release")
	if got := o.result(); got != "ok" {
		t.Errorf("open: %s, want ok", got)
	}
}

func TestCtrlCEndsABlockedOpen(t *testing.T) {
	d := start(t, order{})
	o := startOpener(t, d.path("slow/dir"))
	d.expect("asked for /slow/dir")
	o.signal(unix.SIGINT)
	// The server never answers: if this returns, the signal did it.
	if got := o.result(); got != unix.EINTR.Error() {
		t.Errorf("open: %s, want %v", got, unix.EINTR)
	}
}

func TestCtrlCAfterATimerSignal(t *testing.T) {
	d := start(t, order{Config: Config{Debug: true}})
	o := startOpener(t, d.path("slow/dir"))
	d.expect("asked for /slow/dir")
	o.signal(unix.SIGALRM)
	d.expect("interrupted") // the only time the kernel says so
	stat(t, d.path("plain"))
	o.signal(unix.SIGINT)
	if got := o.result(); got != unix.EINTR.Error() {
		t.Errorf("open: %s, want %v", got, unix.EINTR)
	}
}

func TestKilledProcessDoesNotWaitForTheServer(t *testing.T) {
	d := start(t, order{})
	cmd := exec.Command("ls", d.path("slow/dir"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.expect("asked for /slow/dir")
	cmd.Process.Kill()
	cmd.Wait() // returns only if the daemon let it go
}
