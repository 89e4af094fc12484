package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAsAPlainUser runs, as nobody, the tests of packages that do something else
// for root. Where the tests are not root's, they do so themselves.
func TestAsAPlainUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("by design: nobody here is root")
	}
	const nobody = 65534
	for _, pkg := range []string{"cmd/internal/place"} {
		t.Run(pkg, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "ftpfs-plain.") // t.TempDir's parents are root's alone
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			home, program := filepath.Join(dir, "home"), filepath.Join(dir, "tests")
			if out, err := exec.Command("go", "test", "-c", "-o", program, "ftpfs/"+pkg).CombinedOutput(); err != nil {
				t.Fatalf("go test -c: %v\n%s", err, out)
			}
			for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(home, 0o700), os.Chown(home, nobody, nobody)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(program, "-test.v")
			cmd.Dir = home
			cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("as nobody: %v\n%s", err, out)
			}
			if strings.Contains(string(out), "--- SKIP") {
				t.Errorf("skipped as root, and as nobody too:\n%s", out)
			}
		})
	}
}
