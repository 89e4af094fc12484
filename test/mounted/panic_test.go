package mounted

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// A daemon in the background dies of itself, long after its log has begun anew. What the
// runtime has to say, which is all there is of a panic, is in the log that ftpfs status
// names, and the same command mounts again. The runtime dies of SIGABRT as of a panic.
func TestTheStackOfADeadDaemonIsInItsLog(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "mnt"))
	t.Cleanup(func() { mount.Detach(point) })
	argv := []string{"-o", "trace_ftp,cache_dir=" + dir + "/cache", srv.URL(""), point}
	again := func() (pid int, log string) {
		t.Helper()
		r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}.Do(t, program(t), argv...)
		if r.Code != 0 || r.Err != "" {
			t.Fatalf("mount: %+v", r)
		}
		var report struct {
			Mounts []struct {
				PID int    `json:"pid"`
				Log string `json:"log"`
			} `json:"mounts"`
		}
		must(t, json.Unmarshal([]byte(mount.Ftpfs(t, "status", "--json", point).Out), &report))
		return report.Mounts[0].PID, report.Mounts[0].Log
	}
	_, log := again()
	if r := mount.Ftpfs(t, "unmount", point); r.Code != 0 {
		t.Fatalf("unmount: %+v", r)
	}
	// The next daemon begins in a log that is nearly full.
	must(t, os.Truncate(log, 8<<20-64<<10))
	pid, _ := again()
	begun := func() bool { // and standard error follows it: that happens before the first line
		_, err := os.Stat(log + ".1")
		fi, err2 := os.Stat(log)
		return err == nil && err2 == nil && fi.Size() > 0
	}
	for i := range 500 {
		put(t, filepath.Join(point, fmt.Sprint("file", i)), []byte("acknowledged"))
		if begun() {
			break
		}
	}
	eventually(t, "find a log that begins anew", begun) // what is published is traced
	must(t, unix.Kill(pid, syscall.SIGABRT))
	if !mount.Gone(pid) {
		t.Fatal("the daemon does not die")
	}
	text := string(get(t, log))
	for _, want := range []string{"SIGABRT: abort", "goroutine ", "fuse.(*Server).Serve"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the log:\n%s", want, text)
		}
	}
	if strings.Contains(text, ftpscript.Password) {
		t.Errorf("the password shows:\n%s", text)
	}
	if r := mount.Ftpfs(t, "status", point); !strings.Contains(r.Out, "its daemon is dead") || !strings.Contains(r.Out, log+" says why") {
		t.Errorf("status of the dead mount: %+v", r)
	}
	again()
	holds(t, filepath.Join(point, "file0"), []byte("acknowledged"))
	if text := string(get(t, log)); !strings.Contains(text, "the last daemon of this spool did not come to its end") {
		t.Errorf("the next daemon does not tell of the death of the last:\n%s", text)
	}
	if r := mount.Ftpfs(t, "unmount", point); r.Code != 0 {
		t.Errorf("unmount: %+v", r)
	}
}
