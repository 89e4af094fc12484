package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/test/ftpscript"
)

// tripwire is a standard error that panics when a line with this in it is logged: a bug
// in whatever logs it.
type tripwire string

func (w tripwire) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w)) {
		panic("a bug, for the test")
	}
	return os.Stderr.Write(p)
}

// toMount is a server and a mount point for it, in dir.
func toMount(t *testing.T) (srv *ftpscript.Server, dir, mnt string) {
	t.Helper()
	srv = ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.MkdirAll("/dir")
	dir = t.TempDir()
	mnt = filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) })
	return srv, dir, mnt
}

// A request of a mounted daemon panics: it logs its failure, which is a bug here. The
// daemon ends, and says what to do, which works: the same command once more serves what
// was acknowledged, and it arrives.
func TestADaemonThatPanicsSaysWhatToDo(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs FUSE and root")
	}
	srv, dir, mnt := toMount(t)
	mount := []string{"-o", "timeout=2,cache_dir=" + filepath.Join(dir, "cache"), srv.URL(""), mnt}
	password := "FTPFS_PASSWORD=" + ftpscript.Password

	daemon := exec.Command("/proc/self/exe", append([]string{"-f"}, mount...)...)
	daemon.Env = []string{"FTPFS_TEST_PANICS_AT=msg=failed", password, "HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}
	said, log := lines(t)
	daemon.Stderr = log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill() }) // unless it ended, as it should
	log.Close()
	said("msg=mounted")
	if _, err := os.ReadDir(mnt); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	owed := filepath.Join(mnt, "owed")
	if err := os.WriteFile(owed, []byte("acknowledged"), 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := os.ReadDir(filepath.Join(mnt, "dir")); !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("the request that panicked: %v, want ENOTCONN or ECONNABORTED", err)
	}
	text := said("")
	err := daemon.Wait()
	t.Logf("%v, %v after the request", err, time.Since(began))
	if code := daemon.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, want the runtime's 2", code)
	}
	for _, want := range []string{"level=ERROR msg=\"a bug in ftpfs: the daemon ends.", "mount again with the same options. Please report",
		"spool=" + filepath.Join(dir, "cache", "state"), "\npanic: a bug, for the test", "tripwire.Write(", "(*node).OpendirHandle("} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q on stderr:\n%s", want, text)
		}
	}
	if strings.Contains(text, ftpscript.Password) {
		t.Errorf("the password shows:\n%s", text)
	}
	if _, err := os.Stat(owed); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("in the dead mount: %v, want ENOTCONN: programs must not write to the directory below it", err)
	}

	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	if r := ftpfs(t, "ftpfs", []string{password}, mount...); r.code != 0 {
		t.Fatalf("mounting again: %+v", r)
	}
	if got, err := os.ReadFile(owed); err != nil || string(got) != "acknowledged" {
		t.Errorf("after mounting again: %q, %v", got, err)
	}
	if r := ftpfs(t, "ftpfs", nil, "unmount", mnt); r.code != 0 {
		t.Errorf("unmount: %+v", r)
	}
	if got, _ := srv.Tree.Get("/owed"); string(got) != "acknowledged" {
		t.Errorf("on the server: %q", got)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "cache", "state", "*", "ftpfs.log"))
	if len(logs) != 1 {
		t.Fatalf("logs: %q", logs)
	}
	if again, err := os.ReadFile(logs[0]); err != nil || !bytes.Contains(again, []byte("the last daemon of this spool did not come to its end")) {
		t.Errorf("the next daemon does not tell of the death of the last: %v\n%s", err, again)
	}
}

// So does one in which a goroutine of our own panics, whoever began it.
func TestAPanicOutsideOfRequestsSaysWhatToDo(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs FUSE and root")
	}
	for name, c := range map[string]struct {
		line, frame string
		cause       func(srv *ftpscript.Server, mnt string)
	}{
		"an upload": {"the server refuses a file", "cache/queue.(*Queue", func(srv *ftpscript.Server, mnt string) {
			srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "450 Later."})
			_ = os.WriteFile(filepath.Join(mnt, "owed"), []byte("acknowledged"), 0o644)
		}},
		"a connection": {"the server does not answer", "ftpconn.(*pool).dial(", func(srv *ftpscript.Server, mnt string) {
			srv.Stop()
			_, _ = os.ReadDir(filepath.Join(mnt, "dir"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, dir, mnt := toMount(t)
			daemon := exec.Command("/proc/self/exe", "-f", "-o", "timeout=2,cache_dir="+filepath.Join(dir, "cache"), srv.URL(""), mnt)
			daemon.Env = []string{"FTPFS_TEST_PANICS_AT=" + c.line, "FTPFS_PASSWORD=" + ftpscript.Password, "HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}
			said, log := lines(t)
			daemon.Stderr = log
			if err := daemon.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = daemon.Process.Kill() }) // unless it ended, as it should
			log.Close()
			said("msg=mounted")
			c.cause(srv, mnt)
			text := said("")
			_ = daemon.Wait()
			if code := daemon.ProcessState.ExitCode(); code != 2 {
				t.Errorf("exit code %d, want the runtime's 2", code)
			}
			for _, want := range []string{"level=ERROR msg=\"a bug in ftpfs: the daemon ends.", "mountpoint=" + mnt, "\npanic: a bug, for the test", "tripwire.Write(", c.frame} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q on stderr:\n%s", want, text)
				}
			}
		})
	}
}

// lines is a pipe for a process's standard error; said waits for a line with some words,
// or for the end if there are none, and returns all that came so far.
func lines(t *testing.T) (said func(words string) string, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	var all bytes.Buffer
	return func(words string) string {
		t.Helper()
		buf := make([]byte, 4096)
		_ = r.SetReadDeadline(time.Now().Add(2 * time.Minute))
		for words == "" || !strings.Contains(all.String(), words) {
			n, err := r.Read(buf)
			all.Write(buf[:n])
			if err != nil {
				if words != "" || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("no end, or no %q (%v):\n%s", words, err, all.String())
				}
				break
			}
		}
		return all.String()
	}, w
}
