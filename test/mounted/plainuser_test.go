package mounted

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// A user who is not root mounts by fusermount3, works, and unmounts; cache and
// spool are in the home directory. Where the tests are not root's, all of them
// show that.
func TestAPlainUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("by design: all tests are a plain user's")
	}
	mount.Need(t, "fusermount3")
	const nobody = 65534
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", []byte("hello"))

	dir := mount.TempDir(t)
	must(t, os.Chmod(dir, 0o755))
	program, err := mount.Program()
	must(t, err)
	ftpfs := filepath.Join(dir, "ftpfs") // the tree may be root's alone
	must(t, copyFile(ftpfs, program))
	home, point := mkdir(t, filepath.Join(dir, "home")), mkdir(t, filepath.Join(dir, "mnt"))
	runtime := filepath.Join(dir, "run") // that a login brings; else sockets are in /tmp, and their directory stays
	must(t, os.Mkdir(runtime, 0o700))
	for _, d := range []string{home, point, runtime} {
		must(t, os.Chown(d, nobody, nobody))
	}
	t.Cleanup(func() { mount.Detach(point) })

	as := func(script string) (string, error) {
		cmd := exec.Command("sh", "-ec", script, "sh", srv.URL("d"), point)
		cmd.Dir = home
		cmd.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + runtime, "PATH=" + dir + ":" + os.Getenv("PATH"), "FTPFS_PASSWORD=" + ftpscript.Password}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := as(`ftpfs "$1" "$2"; cat "$2"/f; echo mine >"$2"/new; cat "$2"/new; ls -ln "$2"/new; ftpfs sync "$2"; ftpfs status "$2"`)
	if err != nil || !strings.HasPrefix(out, "hellomine\n") || !strings.Contains(out, " 65534 65534 ") {
		t.Fatalf("a plain user's work: %v:\n%s", err, out)
	}
	if got, _ := srv.Tree.Get("/d/new"); string(got) != "mine\n" {
		t.Errorf("on the server: %q, want %q", got, "mine\n")
	}
	// Nobody else gets in, root neither: that takes allow_other.
	if _, err := os.ReadDir(point); err == nil {
		t.Error("root can look into a plain user's mount")
	}
	if out, err := as(`ftpfs unmount "$2" >/dev/null; ls -A "$2"; ls -d "$HOME"/.local/state/ftpfs "$HOME"/.cache/ftpfs`); err != nil || len(strings.Fields(out)) != 2 {
		t.Errorf("unmount, an empty mountpoint, and state and cache in the home: %v:\n%s", err, out)
	}
	if strings.Contains(string(get(t, "/proc/self/mountinfo")), point) {
		t.Error("still mounted")
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
