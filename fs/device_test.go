package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnmountWhileBusySaysWho(t *testing.T) {
	d := start(t, order{})
	f, err := os.Open(d.path("plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if who := holders(d.mnt); !strings.Contains(who, fmt.Sprintf("(%d)", os.Getpid())) {
		t.Errorf("held by %q, want this process", who)
	}
	d.tell("unmount")
	d.expect("unmount: true") // EBUSY
	if got, err := os.ReadFile(d.path("plain")); err != nil || string(got) != "plain text" {
		t.Errorf("after the refusal: %q, %v", got, err)
	}
	d.tell("lazy")
	d.expect("lazy: <nil>")
	if _, err := os.Stat(d.path("plain")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the mount is still seen: %v", err)
	}
	buf := make([]byte, 10)
	if n, err := f.ReadAt(buf, 0); n != 10 {
		t.Errorf("the open file is not served any more: %v", err)
	}
	f.Close()
	d.expect("ended: <nil>")
}

// The kernel sends RELEASE after close(2) has returned, and drops it when the
// unmount is faster. The files were closed all the same.
func TestUnmountRightAfterClose(t *testing.T) {
	d := start(t, order{})
	for i := range 50 {
		write(t, d.path(fmt.Sprintf("f%d", i)), "written and closed a moment before")
	}
	if err := unix.Unmount(d.mnt, 0); err != nil {
		t.Fatal(err)
	}
	for l := range d.out {
		if strings.HasPrefix(l, "owed ") && !strings.HasSuffix(l, " waiting") && !strings.HasSuffix(l, " uploading") {
			t.Errorf("after the unmount: %s", l)
		}
		if l == "ended: <nil>" {
			return
		}
	}
	t.Error("the daemon did not end well")
}

// mount.fuse3 with drop_privileges mounts for us and passes /dev/fd/N.
func TestServeWhatAHelperMounted(t *testing.T) {
	d, line := tryStart(t, order{Given: true})
	if !strings.HasPrefix(line, "mounted /dev/fd/") {
		t.Fatal(line)
	}
	if got, err := os.ReadFile(d.path("plain")); err != nil || string(got) != "plain text" {
		t.Errorf("%q, %v", got, err)
	}
	if err := unix.Unmount(d.mnt, 0); err != nil {
		t.Fatal(err)
	}
	d.expect("ended: <nil>")
}

func needHelper(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to become someone else")
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Skip("fusermount3 is missing: ", err)
	}
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode()&0o006 != 0o006 {
		t.Skip("/dev/fuse is not open to all, as udev makes it")
	}
}

// Someone else mounts by fusermount3, which is setuid root.
func TestMountByHelper(t *testing.T) {
	needHelper(t)
	d := start(t, order{Uid: nobody, Config: Config{UID: nobody, GID: nobody, FsName: "ftp://host/a,b", Flags: []string{"noexec"}}})
	e, ok := findMount(d.mnt, "")
	if !ok || e.fstype != "fuse.ftpfs" {
		t.Fatalf("mounted as %+v", e)
	}
	cmd := exec.Command("sh", "-c", `cat plain; echo mine > x; cat x; exec 3<x; cd /`)
	cmd.Dir = "/"
	cmd.Args[2] = "cd '" + d.mnt + "' && " + cmd.Args[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "plain textmine\n" {
		t.Errorf("%q, %v", out, err)
	}
	d.tell("unmount")
	d.expect("unmount: false") // not busy: nil
	d.expect("ended: <nil>")
}

func TestMountFailureSaysWhy(t *testing.T) {
	dir := t.TempDir()
	if _, err := Mount(Config{}, nil, filepath.Join(dir, "none")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("missing mountpoint: %v", err)
	}
	if _, err := Mount(Config{Flags: []string{"nodve"}}, nil, dir); err == nil || !strings.Contains(err.Error(), "nodve") {
		t.Errorf("unknown flag: %v", err)
	}
	needHelper(t)
	conf, _ := os.ReadFile("/etc/fuse.conf")
	for line := range bytes.Lines(conf) {
		if string(bytes.TrimSpace(line)) == "user_allow_other" {
			t.Skip("by design: user_allow_other is set in /etc/fuse.conf, so it is not refused")
		}
	}
	d, line := tryStart(t, order{Uid: nobody, Config: Config{AllowOther: true}})
	d.failed = true
	if !strings.Contains(line, "user_allow_other") {
		t.Errorf("got %q, want what fusermount3 said", line)
	}
}
