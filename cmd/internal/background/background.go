// Package background runs the daemon behind the command's back. Go cannot fork,
// so the program starts itself anew; what the daemon must know, its password
// included, goes over a pipe, and so comes back whether the mount is usable. It
// knows nothing of mounts.
package background

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mark tells a new process that it is the daemon: descriptors 3 and 4 are its pipes.
const mark = "FTPFS_DAEMON_PIPES"

// Report is the daemon's one message to the command that started it.
type Report struct {
	Code int    `json:"code"` // 0: usable; else the exit code
	Text string `json:"text"` // one line; "" says nothing
}

// Start runs this program again with args as its visible arguments (without a
// program name) and payload on its pipe, and waits for its report. SIGINT and
// SIGTERM are handed on to it. err is of starting it, or that it died.
func Start(args []string, payload any) (Report, error) {
	in, out, err := pipes()
	if err != nil {
		return Report{}, err
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(without(without(os.Environ(), mark), "NOTIFY_SOCKET"), mark+"=1")
	cmd.ExtraFiles = []*os.File{in.r, out.w}
	cmd.Stderr = os.Stderr // panics before the report; afterwards it is closed
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(sig)
	err = cmd.Start()
	in.r.Close()
	out.w.Close()
	defer out.r.Close()
	if err != nil {
		in.w.Close()
		return Report{}, fmt.Errorf("starting the daemon: %w", err)
	}
	err = json.NewEncoder(in.w).Encode(payload)
	in.w.Close()
	if err != nil && !errors.Is(err, syscall.EPIPE) { // it died: waiting tells how
		_ = cmd.Process.Kill()
	}
	type answer struct {
		r   Report
		err error
	}
	got := make(chan answer, 1)
	go func() { // ends when the daemon reports or is gone
		var a answer
		a.err = json.NewDecoder(out.r).Decode(&a.r)
		got <- a
	}()
	signals := 0
	for {
		select {
		case s := <-sig:
			if signals++; signals > 1 {
				_ = cmd.Process.Kill()
			} else {
				_ = cmd.Process.Signal(s)
			}
		case a := <-got:
			if a.err == nil {
				if a.r.Code != 0 {
					_ = cmd.Wait()
				}
				return a.r, nil
			}
			err := cmd.Wait()
			if err == nil {
				err = errors.New("it ended without a word")
			}
			return Report{}, fmt.Errorf("the daemon died while mounting: %w", err)
		}
	}
}

type pipe struct{ r, w *os.File }

func pipes() (in, out pipe, err error) {
	if in.r, in.w, err = os.Pipe(); err != nil {
		return
	}
	if out.r, out.w, err = os.Pipe(); err != nil {
		in.r.Close()
		in.w.Close()
	}
	return
}

func without(env []string, name string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			out = append(out, e)
		}
	}
	return out
}

// Daemon is the side of the daemon.
type Daemon struct{ report *os.File }

// Started says whether this process is a daemon that Start made; then payload is
// filled. To be called before anything opens a descriptor or reads arguments.
func Started(payload any) (*Daemon, bool, error) {
	if os.Getenv(mark) == "" {
		return nil, false, nil
	}
	os.Unsetenv(mark)
	// Started through /proc/self/exe, it would be called "exe" in ps and top.
	_ = os.WriteFile("/proc/self/comm", []byte("ftpfs"), 0)
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	in, report := os.NewFile(3, "payload"), os.NewFile(4, "report")
	if in == nil || report == nil {
		return nil, true, errors.New("started as a daemon without its pipes")
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err == nil {
		err = json.Unmarshal(b, payload)
	}
	for i := range b { // it holds a password
		b[i] = 0
	}
	return &Daemon{report: report}, true, err
}

// Fail reports why there is no mount. The process is to exit with code then.
func (d *Daemon) Fail(code int, text string) { d.send(Report{Code: code, Text: text}) }

// Ready reports that the mount is usable and lets go of the starter: its session,
// its directory, and its standard streams, which lead nowhere then; catch may give
// standard error, where panics are told, another place. Not earlier: autofs knows its
// own mounts by their process group.
func (d *Daemon) Ready(text string, catch func()) {
	_, _ = unix.Setsid()
	_ = os.Chdir("/")
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err == nil {
		for fd := range 3 {
			_ = unix.Dup2(int(null.Fd()), fd)
		}
		null.Close()
	}
	catch()
	d.send(Report{Text: text})
}

func (d *Daemon) send(r Report) {
	// A starter that was killed reads no more; the mount is good all the same.
	_ = json.NewEncoder(d.report).Encode(r)
	d.report.Close()
}
