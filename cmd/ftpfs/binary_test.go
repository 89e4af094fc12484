package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/cmd/internal/argv"
)

// The test binary plays ftpfs, under the name it is called by; or one with a bug.
func TestMain(m *testing.M) {
	if line := os.Getenv("FTPFS_TEST_PANICS_AT"); line != "" {
		args, secrets := argv.Take()
		passwordFromEnv = argv.TakeEnv("FTPFS_PASSWORD")
		os.Exit(run(args, secrets, os.Stdout, tripwire(line)))
	}
	if os.Getenv("FTPFS_TEST_PLAYS") != "" {
		main()
	}
	os.Exit(m.Run())
}

type outcome struct {
	code     int
	out, err string
}

func ftpfs(t *testing.T, name string, env []string, args ...string) outcome {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = name
	cmd.Env = append([]string{"FTPFS_TEST_PLAYS=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"XDG_RUNTIME_DIR=" + t.TempDir()}, env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// Each bad input gets one clear line on stderr and the right exit code.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	mnt, full, file, open, cache := filepath.Join(dir, "mnt"), filepath.Join(dir, "full"), filepath.Join(dir, "file"), filepath.Join(dir, "open"), filepath.Join(dir, "cache")
	for _, d := range []string{mnt, full, filepath.Join(full, "x")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, []byte("username=u\npassword=geheim\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link, loop := filepath.Join(dir, "link"), filepath.Join(dir, "loop")
	for from, to := range map[string]string{link: mnt, loop: loop} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that refuses once it is closed
	if err != nil {
		t.Fatal(err)
	}
	refused := ln.Addr().String()
	ln.Close()
	o := "cache_dir=" + cache + ",timeout=5"

	for _, c := range []struct {
		name string
		args []string
		code int
		say  string
	}{
		{"unknown option", []string{"-o", "sync_closed", "ftp://h", mnt}, 1, `unknown option "sync_closed"; did you mean "sync_close"?`},
		{"options last", []string{"ftp://h", mnt, "-o", "no_such"}, 1, "unknown option"},
		{"talked out of TLS", []string{"-o", "tls=off", "ftpes://h", mnt}, 1, "tls=off and the URL's ftpes:// differ"},
		{"a pin for nothing", []string{"-o", "pin_sha256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "ftp://h", mnt}, 1, "pin_sha256 needs TLS"},
		{"no such authority", []string{"-o", "cacert=/no/such/file", "ftps://h", mnt}, 1, "cacert=/no/such/file: no such file"},
		{"a key open to others", []string{"-o", "cert=" + open, "ftps://h", mnt}, 1, "can be read by others"},
		{"unknown flag", []string{"--frobnicate", "ftp://h", mnt}, 1, "unknown flag"},
		{"one argument", []string{"ftp://h"}, 1, "one argument was given"},
		{"three arguments", []string{"ftp://h", mnt, "x"}, 1, "3 arguments were given"},
		{"mistyped command", []string{"staus"}, 1, `did you mean "status"?`},
		{"two users", []string{"-o", "user=a", "ftp://b@h", mnt}, 1, "differ"},
		{"two ports", []string{"-o", "port=22", "ftp://h:23", mnt}, 1, "differ"},
		{"newline", []string{"ftp://h/a%0ab", mnt}, 1, "line ends"},
		{"mount point missing", []string{"ftp://h", filepath.Join(dir, "none")}, 32, "does not exist"},
		{"mount point a file", []string{"ftp://h", file}, 32, "is not a directory"},
		{"mount point not empty", []string{"ftp://h", full}, 32, "is not empty"},
		{"mount point mounted", []string{"ftp://h", "/proc"}, 32, "already a mount point"},
		{"credentials open to others", []string{"-o", "credentials=" + open, "ftp://h", mnt}, 1, "can be read by others"},
		{"no password", []string{"ftp://u@h", mnt}, 1, "no password for u"},
		{"refused port", []string{"-o", o, "ftp://" + refused, mnt}, 32, refused + " cannot be reached: connection refused"},
		{"refused port in the foreground", []string{"-f", "-o", o, "ftp://" + refused, mnt}, 32, "cannot be reached: connection refused"},
		{"unknown host", []string{"-o", o, "ftp://no-such-host.invalid", mnt}, 32, "no-such-host.invalid"},
		{"a host called status", []string{"-o", o, "status.invalid", mnt}, 32, "status.invalid"},
		{"unmount of nothing", []string{"unmount", mnt}, 32, "is not mounted"},
		{"no URL", []string{"", mnt}, 1, "the URL is empty"},
		{"unmount of an unset variable", []string{"unmount", ""}, 32, "is empty"},
		{"sync of an unset variable", []string{"sync", ""}, 1, "is empty"},
		{"spool below the mount point", []string{"-o", "cache_dir=" + mnt + "/x", "ftp://h", mnt}, 1, "lies below the mount point"},
		{"spool below a linked mount point", []string{"-o", "cache_dir=" + mnt + "/x", "ftp://h", link}, 1, "lies below the mount point"},
		{"symlink that leads nowhere", []string{"ftp://h", loop}, 32, "too many levels"},
		{"a device as credentials", []string{"-o", "credentials=/dev/zero", "ftp://h", mnt}, 1, "is not a file"},
		{"unmount of another", []string{"unmount", "/proc"}, 32, "not an ftpfs mount"},
		{"unmount without argument", []string{"unmount"}, 1, "usage"},
		{"sync elsewhere", []string{"sync", dir}, 1, "not in an ftpfs mount"},
		{"bad timeout", []string{"sync", "--timeout", "soon"}, 1, "--timeout"},
		{"discard everything", []string{"discard"}, 1, "usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ftpfs(t, "ftpfs", nil, c.args...)
			lines := strings.Split(strings.TrimSuffix(got.err, "\n"), "\n")
			last := lines[len(lines)-1]
			if got.code != c.code || !strings.HasPrefix(last, "ftpfs: ") || !strings.Contains(last, c.say) {
				t.Errorf("ftpfs %q: exit %d, %q; want %d and %q", c.args, got.code, got.err, c.code, c.say)
			}
			if len(lines) > 1 && c.args[0] != "-f" && !strings.Contains(lines[0], "warning") {
				t.Errorf("more than one line: %q", got.err)
			}
			if strings.Contains(got.err+got.out, "geheim") {
				t.Errorf("the password shows: %q", got.err)
			}
		})
	}
	if _, err := os.Stat(cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("mounts that failed left %s behind (%v)", cache, err)
	}
}

func TestHelpers(t *testing.T) {
	mnt := t.TempDir()
	for _, c := range []struct {
		name, as string
		args     []string
		code     int
		say      string
	}{
		{"fake", "/sbin/mount.ftpfs", []string{"ftp://h", mnt, "-f", "-o", "rw,noauto"}, 0, ""},
		{"fake finds errors", "/sbin/mount.fuse.ftpfs", []string{"ftp://h", mnt, "-f", "-o", "foo"}, 1, "unknown option"},
		{"sloppy", "mount.ftpfs", []string{"ftp://h", mnt, "-sfnv", "-o", "foo,rw"}, 0, "left out"},
		{"sloppy is not blind", "mount.ftpfs", []string{"ftp://h", mnt, "-sf", "-o", "tls=explict"}, 1, "none of off, try, explicit, implicit"},
		{"one argument", "mount.ftpfs", []string{"ftp://h"}, 1, "usage"},
		{"umount of nothing", "/sbin/umount.fuse.ftpfs", []string{mnt}, 32, "is not mounted"},
		{"umount without argument", "umount.ftpfs", nil, 1, "usage"},
	} {
		got := ftpfs(t, c.as, []string{"HOME=", "PATH="}, c.args...)
		if got.code != c.code || !strings.Contains(got.err, c.say) {
			t.Errorf("%s: exit %d, %q; want %d, %q", c.name, got.code, got.err, c.code, c.say)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"version"}, 0, "ftpfs " + version},
		{[]string{"-V"}, 0, "ftpfs " + version},
		{[]string{"--help"}, 0, "ftpfs mounts an FTP server"},
		{[]string{"-h"}, 0, "ftpfs mounts an FTP server"},
		{[]string{"help"}, 0, "ftpfs mounts an FTP server"},
		{[]string{"status", "--help"}, 0, "ftpfs mounts an FTP server"},
	} {
		if got := ftpfs(t, "ftpfs", nil, c.args...); got.code != c.code || !strings.HasPrefix(got.out, c.out) || got.err != "" {
			t.Errorf("ftpfs %v: exit %d, %q, %q", c.args, got.code, got.out, got.err)
		}
	}
	if got := ftpfs(t, "ftpfs", nil); got.code != 1 || !strings.Contains(got.err, "ftpfs mounts an FTP server") {
		t.Errorf("without arguments: %+v", got)
	}
}
