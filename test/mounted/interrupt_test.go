package mounted

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/test/ftpscript"
)

// A blocked call ends with Ctrl-C; without it, by its deadline.
func TestNothingHangs(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"lookup", `exec stat "$0"/silent/x`},
		{"listing", `exec ls "$0"/silent`},
		// A listing that has grown old is asked for again before an open is answered:
		// sooner or later, one of these has to wait.
		{"open", `while :; do exec 3<"$0"/known/uncached || exit; done`},
		{"mkdir", `exec mkdir "$0"/known/new`},
		{"unlink", `exec rm -f "$0"/known/uncached`},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			t.Run(fmt.Sprintf("%s %v", c.name, sig), func(t *testing.T) {
				t.Parallel()
				srv, m := scripted(t, ftpscript.Options{}, "timeout=60", "dir_cache_time=1")
				srv.Tree.Put("/silent/x", nil)
				srv.Tree.Put("/known/uncached", []byte("x"))
				names(t, m.Path("known"))
				names(t, m.Dir)
				silent := srv.Add(silence())
				cmd := exec.Command("sh", "-c", c.script, m.Dir)
				said := &strings.Builder{}
				cmd.Stdout, cmd.Stderr = said, said
				must(t, cmd.Start())
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				select {
				case <-silent.Hit():
				case err := <-ended:
					t.Fatalf("%q ended without asking the server: %v, %s", c.script, err, said)
				case <-time.After(30 * time.Second):
					_ = cmd.Process.Kill()
					t.Fatalf("%q: nothing was asked of the server", c.script)
				}
				if c.name == "open" { // what was asked may have been read-ahead
					eventually(t, "block in open", func() bool { return blocked(cmd.Process.Pid, unix.SYS_OPENAT) })
				}
				begun := time.Now()
				must(t, cmd.Process.Signal(sig))
				select {
				case err := <-ended:
					if err == nil {
						t.Errorf("%q succeeded although nothing was answered: %s", c.script, said)
					}
					t.Logf("%q ended %v after %v", c.script, time.Since(begun).Round(time.Millisecond), sig)
				case <-time.After(30 * time.Second):
					_ = cmd.Process.Kill()
					t.Fatalf("%q still runs 30 s after %v, with a timeout of 60 s", c.script, sig)
				}
			})
		}
	}
	t.Run("read", func(t *testing.T) {
		t.Parallel()
		srv, m := scripted(t, ftpscript.Options{}, "timeout=2")
		srv.Tree.Put("/known/f", noise(1, 2<<20))
		lists(t, m.Path("known"))
		srv.Add(ftpscript.Rule{Verb: "RETR", Data: &ftpscript.DataFault{After: 1000, Hold: make(chan struct{})}})
		_, err := os.ReadFile(m.Path("known", "f"))
		wantErrno(t, "read from a transfer that stalls", err, syscall.EIO, syscall.ETIMEDOUT)
	})
	t.Run("lookup until its deadline", func(t *testing.T) {
		t.Parallel()
		srv, m := scripted(t, ftpscript.Options{}, "timeout=2")
		srv.Tree.Put("/silent/x", nil)
		lists(t, m.Dir)
		srv.Add(silence())
		_, err := os.Stat(m.Path("silent", "x"))
		wantErrno(t, "stat with a silent server", err, syscall.EIO, syscall.ETIMEDOUT)
	})
}

// lists waits until a directory can be listed, which a short timeout may cut off on a
// machine that has much to do.
func lists(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "list "+dir, func() bool {
		_, err := os.ReadDir(dir)
		return err == nil
	})
}

// blocked tells whether a process has been in one system call for a while.
func blocked(pid, syscall int) bool {
	look := func() string {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		return string(text)
	}
	before := look()
	if !strings.HasPrefix(before, fmt.Sprint(syscall, " ")) {
		return false
	}
	for range 30 {
		time.Sleep(10 * time.Millisecond) // only repetition shows that nothing happens
		if look() != before {
			return false
		}
	}
	return true
}

// silence lets a client log in and answers nothing that follows.
func silence() ftpscript.Rule {
	return ftpscript.Rule{Hold: make(chan struct{}), Match: func(c ftpscript.Command) bool {
		switch c.Verb {
		case "CONNECT", "USER", "PASS", "FEAT", "OPTS", "TYPE":
			return false
		}
		return true
	}}
}
