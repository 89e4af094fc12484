package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const nobody = 65534

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return st
}

func TestStatShowsTheServersEntry(t *testing.T) {
	d := start(t, order{Config: Config{UID: 1234, GID: 99}})
	st := stat(t, d.path("plain"))
	if st.Mode != unix.S_IFREG|0o640 || st.Size != 10 || st.Mtim.Sec != 1_600_000_000 || st.Uid != 1234 || st.Gid != 99 || st.Blocks != 1 || st.Nlink != 1 {
		t.Errorf("plain: %+v", st)
	}
	if st := stat(t, d.path("link")); st.Mode != unix.S_IFLNK|0o777 {
		t.Errorf("link: mode %o", st.Mode)
	}
	if to, err := os.Readlink(d.path("link")); err != nil || to != "plain" {
		t.Errorf("readlink: %q, %v", to, err)
	}
	if got, err := os.ReadFile(d.path("link")); err != nil || string(got) != "plain text" {
		t.Errorf("through the link: %q, %v", got, err)
	}
	if _, err := os.Open(d.path("fifo")); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("opening a FIFO of the server's: %v, want ENXIO at once", err)
	}
	if st := stat(t, d.mnt); st.Ino != 1 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		t.Errorf("root: %+v", st)
	}
	var fsst unix.Statfs_t
	if err := unix.Statfs(d.mnt, &fsst); err != nil || fsst.Namelen != 255 || fsst.Bsize != 4096 || fsst.Bavail == 0 {
		t.Errorf("statfs: %+v, %v", fsst, err)
	}
}

func TestExtendedAttributes(t *testing.T) {
	d := start(t, order{Config: Config{Control: "/run/ftpfs.sock"}})
	get := func(path, name string) (string, error) {
		buf := make([]byte, 200)
		n, err := unix.Lgetxattr(path, name, buf)
		return string(buf[:max(n, 0)]), err
	}
	if v, err := get(d.path("plain"), "user.ftpfs.state"); err != nil || v != "clean" {
		t.Errorf("state: %q, %v", v, err)
	}
	if v, err := get(d.mnt, "user.ftpfs.control"); err != nil || v != "/run/ftpfs.sock" {
		t.Errorf("control: %q, %v", v, err)
	}
	for _, c := range [][2]string{{"plain", "user.ftpfs.control"}, {"slow", "user.ftpfs.control"}, {"", "user.ftpfs.state"},
		{"plain", "security.capability"}, {"plain", "user.other"}, {"", "system.posix_acl_default"}} {
		if v, err := get(d.path(c[0]), c[1]); err != unix.ENOTSUP {
			t.Errorf("get %v: %q, %v, want ENOTSUP", c, v, err)
		}
	}
	for _, name := range []string{"user.ftpfs.state", "user.other"} {
		if err := unix.Setxattr(d.path("plain"), name, []byte("x"), 0); err != unix.ENOTSUP {
			t.Errorf("set %s: %v, want ENOTSUP", name, err)
		}
		if err := unix.Removexattr(d.path("plain"), name); err != unix.ENOTSUP {
			t.Errorf("remove %s: %v, want ENOTSUP", name, err)
		}
	}
	buf := make([]byte, 100)
	if n, err := unix.Listxattr(d.path("plain"), buf); err != nil || n != 0 {
		t.Errorf("list: %q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Listxattr(d.mnt, buf); err != nil || n != 0 {
		t.Errorf("list of the root: %d bytes, %v", n, err)
	}
}

func TestWhatFTPHasNotIsRefused(t *testing.T) {
	d := start(t, order{})
	p := d.path
	f, err := os.Create(p("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write(t, p("g"), "g")
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"link", unix.Link(p("f"), p("l")), unix.EPERM},
		{"symlink", unix.Symlink("f", p("l")), unix.EPERM},
		{"mkfifo", unix.Mkfifo(p("l"), 0o644), unix.EPERM},
		{"chown", unix.Chown(p("f"), 1, 1), unix.EPERM},
		{"chown to the mount's own", unix.Chown(p("f"), 0, 0), nil},
		{"mknod of a file", unix.Mknod(p("m"), unix.S_IFREG|0o644, 0), nil},
		{"mknod over it", unix.Mknod(p("m"), unix.S_IFREG|0o644, 0), unix.EEXIST},
		{"fallocate", unix.Fallocate(int(f.Fd()), 0, 0, 4096), unix.EOPNOTSUPP},
		{"exchange", unix.Renameat2(unix.AT_FDCWD, p("f"), unix.AT_FDCWD, p("g"), unix.RENAME_EXCHANGE), unix.EINVAL},
		{"noreplace over a name", unix.Renameat2(unix.AT_FDCWD, p("f"), unix.AT_FDCWD, p("g"), unix.RENAME_NOREPLACE), unix.EEXIST},
		{"noreplace", unix.Renameat2(unix.AT_FDCWD, p("f"), unix.AT_FDCWD, p("h"), unix.RENAME_NOREPLACE), nil},
		{"name of 256 bytes", os.Mkdir(p(long), 0o755), unix.ENAMETOOLONG},
		{"rename to one", os.Rename(p("h"), p(long)), unix.ENAMETOOLONG},
		{"newline", os.Mkdir(p("a\nb"), 0o755), unix.EINVAL},
		{"carriage return", os.WriteFile(p("a\rb"), nil, 0o644), unix.EINVAL},
		{"rename to a newline", os.Rename(p("h"), p("a\nb")), unix.EINVAL},
		{"O_EXCL", func() error { _, err := os.OpenFile(p("g"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); return err }(), unix.EEXIST},
		{"fsync", f.Sync(), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
		}
	}
	if st := stat(t, p("m")); st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
		t.Errorf("mknod made %+v", st)
	}
	dir, err := os.Open(d.mnt)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		t.Errorf("fsync of a directory: %v", err)
	}
}

func TestSetTimesAndModes(t *testing.T) {
	d := start(t, order{})
	f := d.path("f")
	write(t, f, "hello")
	ino := stat(t, f).Ino
	if err := os.Chtimes(f, time.Unix(1, 0), time.Unix(1_500_000_000, 123)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f, 3); err != nil {
		t.Fatal(err)
	}
	st := stat(t, f)
	if st.Ino != ino || st.Mode != unix.S_IFREG|0o600 || st.Size != 3 || st.Mtim.Nsec != 0 {
		t.Errorf("got %+v, want inode %d, 600, 3 bytes", st, ino)
	}
	if err := os.Chtimes(f, time.Time{}, time.Unix(1_500_000_000, 123)); err != nil {
		t.Fatal(err)
	}
	if st = stat(t, f); st.Mtim != (unix.Timespec{Sec: 1_500_000_000}) {
		t.Errorf("time %+v", st.Mtim)
	}
	before := time.Now().Unix()
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, f, nil, 0); err != nil { // both now
		t.Fatal(err)
	}
	if st = stat(t, f); st.Mtim.Sec < before {
		t.Errorf("touch left %d, now is %d", st.Mtim.Sec, before)
	}
}

func TestReaddir(t *testing.T) {
	d := start(t, order{})
	if err := os.Mkdir(d.path("d"), 0o755); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("file-with-a-rather-long-name-%04d", i)
		want = append(want, name)
		write(t, d.path("d/"+name), "x")
	}
	out, err := exec.Command("ls", "-1ia", d.path("d")).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 302 || !strings.HasSuffix(lines[0], " .") || !strings.HasSuffix(lines[1], " ..") {
		t.Fatalf("%d names, first %q", len(lines), lines[:2])
	}
	inode := func(line string) string { return strings.Fields(line)[0] }
	if got, want := inode(lines[0]), fmt.Sprint(stat(t, d.path("d")).Ino); got != want {
		t.Errorf(". is %s, want %s", got, want)
	}
	if got := inode(lines[1]); got != "1" {
		t.Errorf(".. is %s, want the root's 1", got)
	}
	if got, want := inode(lines[2]), fmt.Sprint(stat(t, d.path("d/"+want[0])).Ino); got != want {
		t.Errorf("inode by readdir %s, by stat %s", got, want)
	}
	// What is removed while it is read is seen once, and the rest as well.
	f, err := os.Open(d.path("d"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, err := f.Readdirnames(100)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range seen {
		if err := os.Remove(d.path("d/" + n)); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := f.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	seen = append(seen, rest...)
	slices.Sort(seen)
	if !slices.Equal(seen, want) {
		t.Errorf("saw %d names, want %d", len(seen), len(want))
	}
}

func TestAppendByTwoProcesses(t *testing.T) {
	d := start(t, order{})
	f := d.path("log")
	var cmds []*exec.Cmd
	for _, c := range []string{"a", "b"} {
		cmd := exec.Command("sh", "-c", `i=0; while [ $i -lt 200 ]; do echo "$1$i" >> "$2"; i=$((i+1)); done`, "sh", c, f)
		cmds = append(cmds, cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Fields(got); len(lines) != 400 {
		t.Errorf("%d lines, want 400", len(lines))
	}
}

func TestReadersSeeWhatAnotherHandleWrites(t *testing.T) {
	d := start(t, order{})
	f := d.path("f")
	write(t, f, strings.Repeat("a", 10_000))
	r, err := os.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 20_000)
	if n, err := io.ReadFull(r, buf); n != 10_000 {
		t.Fatal(n, err)
	}
	m, err := unix.Mmap(int(r.Fd()), 0, 10_000, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	w, err := os.OpenFile(f, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteAt([]byte("BB"), 9_999); err != nil {
		t.Fatal(err)
	}
	if n, _ := r.ReadAt(buf, 0); n != 10_001 || string(buf[9_998:n]) != "aBB" {
		t.Errorf("read %d bytes, the last %q", n, buf[9_998:n])
	}
	if m[9_999] != 'B' {
		t.Error("the mapping shows the old byte")
	}
	rw, err := os.OpenFile(f, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rw.Close()
	wm, err := unix.Mmap(int(rw.Fd()), 0, 10_001, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	copy(wm, "mapped")
	if err := unix.Msync(wm, unix.MS_SYNC); err != nil {
		t.Fatal(err)
	}
	unix.Munmap(wm)
	if got, err := os.ReadFile(f); err != nil || !strings.HasPrefix(string(got), "mappeda") {
		t.Errorf("after msync: %.10q, %v", got, err)
	}
}

func TestUnlinkedFileStaysReadable(t *testing.T) {
	d := start(t, order{})
	write(t, d.path("f"), "one")
	f, err := os.OpenFile(d.path("f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(d.path("f")); err != nil {
		t.Fatal(err)
	}
	write(t, d.path("f"), "two") // another file, another inode
	if _, err := f.WriteAt([]byte("ONE!"), 0); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, _ := f.ReadAt(buf, 0); string(buf[:n]) != "ONE!" {
		t.Errorf("the unlinked one reads %q", buf[:n])
	}
	if got, _ := os.ReadFile(d.path("f")); string(got) != "two" {
		t.Errorf("the new one reads %q", got)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 || st.Size != 4 || st.Ino == stat(t, d.path("f")).Ino {
		t.Errorf("fstat: %+v, %v", st, err)
	}
}

// A write by someone without the privilege takes the set-id bits away, although
// the kernel does not ask (CAP_HANDLE_KILLPRIV_V2).
func TestWriteTakesSetIDs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	d := start(t, order{Config: Config{AllowOther: true, UID: nobody, GID: nobody}})
	if err := unix.Chmod(d.path("setid"), 0o6755); err != nil {
		t.Fatal(err)
	}
	if st := stat(t, d.path("setid")); st.Mode&0o7777 != 0o6755 {
		t.Fatalf("mode %o, want 6755", st.Mode)
	}
	cmd := exec.Command("sh", "-c", `echo true >> "$1"`, "sh", d.path("setid"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(d.path("setid")) // fstat of a fresh handle asks the daemon
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st); err != nil || st.Mode&0o7777 != 0o755 {
		t.Errorf("mode %o, %v, want 755", st.Mode, err)
	}
}

func TestReadOnly(t *testing.T) {
	d := start(t, order{Config: Config{ReadOnly: true}})
	if err := os.WriteFile(d.path("x"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("create: %v, want EROFS", err)
	}
	if got, err := os.ReadFile(d.path("plain")); err != nil || string(got) != "plain text" {
		t.Errorf("read: %q, %v", got, err)
	}
}

func TestFileOfUnknownSizeIsReadToItsEnd(t *testing.T) {
	d := start(t, order{})
	got, err := exec.Command("cat", d.path("odd/unsized")).Output()
	if err != nil || len(got) != 500_000 || !bytes.HasSuffix(got, []byte("6789")) {
		t.Errorf("%d bytes, %v, want 500,000", len(got), err)
	}
}

// Another client's change is seen at the next open, whatever pages the kernel kept.
func TestReopenSeesTheServersChange(t *testing.T) {
	d := start(t, order{Fresh: -1})
	d.tell("put /f first")
	d.expect("put: <nil>")
	for _, want := range []string{"first", "first", "other", "longer one"} {
		d.tell("put /f " + want)
		d.expect("put: <nil>")
		if got, err := os.ReadFile(d.path("f")); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// An unlink whose reply was lost fails; what the kernel knew of the name is not to
// outlive that, for the file is gone.
func TestLostReplyLeavesNoOldName(t *testing.T) {
	d := start(t, order{})
	stat(t, d.path("doubt"))
	err := unix.Unlink(d.path("doubt")) // os.Remove would go on with rmdir, and tell of that
	if err == nil {
		return // the cache found out by itself
	}
	if !errors.Is(err, unix.ETIMEDOUT) && !errors.Is(err, unix.EIO) {
		t.Errorf("unlink: %v, want a doubt", err)
	}
	if _, err := os.Lstat(d.path("doubt")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("stat of what is gone: %v, want ENOENT", err)
	}
}

// The first read of a file makes the kernel ask for twice as much in one request, which is
// answered when all of it is there: four times as much would be a round trip more.
func TestTheFirstReadAsksForLittleMore(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root sets how far the kernel reads ahead")
	}
	var d *daemon
	t.Cleanup(func() { // the daemon has ended by then
		reads := regexp.MustCompile(`READ n\d+ .*\[0 \+(\d+)\)`).FindAllStringSubmatch(d.log.String(), -1)
		if len(reads) != 1 || reads[0][1] != "131072" {
			t.Errorf("the kernel's first request: %q, want one of 128 KiB", reads)
		}
	})
	d = start(t, order{Config: Config{Debug: true}})
	write(t, d.path("large"), strings.Repeat("0123456789abcdef", 4<<20/16))
	f, err := os.Open(d.path("large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.ReadAt(make([]byte, 64<<10), 0); n != 64<<10 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
