package argv

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The test binary plays the victim: it takes its arguments and shows what the
// kernel shows of it.
func TestMain(m *testing.M) {
	if os.Getenv("ARGV_VICTIM") == "" {
		os.Exit(m.Run())
	}
	args, _ := Take()
	secret := TakeEnv("ARGV_SECRET")
	cmdline, _ := os.ReadFile("/proc/self/cmdline")
	environ, _ := os.ReadFile("/proc/self/environ")
	child, _ := exec.Command("/usr/bin/env").Output()
	os.Stdout.WriteString(strings.Join(args[1:], "|") + "|" + secret + "\n")
	os.Stdout.Write(bytes.ReplaceAll(cmdline, []byte{0}, []byte{'|'}))
	os.Stdout.WriteString("\n" + strings.ReplaceAll(string(environ)+string(child), "\n", "|") + "\n")
}

func TestSecretsLeaveTheKernelsView(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-o", "ro,password=geheim1,uid=1", "ftp://u:geheim2@host/x", "/mnt/x")
	cmd.Env = append(os.Environ(), "ARGV_VICTIM=1", "ARGV_SECRET=geheim3")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(out), "\n", 3)
	if len(lines) != 3 || lines[0] != "-o|ro,password=geheim1,uid=1|ftp://u:geheim2@host/x|/mnt/x|geheim3" {
		t.Fatalf("the arguments came as %q", out)
	}
	if strings.Contains(lines[1], "geheim") || !strings.Contains(lines[1], "ftp://u:*******@host/x|/mnt/x") {
		t.Errorf("/proc/self/cmdline shows %q", lines[1])
	}
	if strings.Contains(lines[2], "geheim") {
		t.Errorf("the environment shows %q", lines[2])
	}
}

func TestTakeEnvOfAConstant(t *testing.T) {
	t.Setenv("ARGV_CONSTANT", "constant")
	if v := TakeEnv("ARGV_CONSTANT"); v != "constant" || os.Getenv("ARGV_CONSTANT") != "" {
		t.Errorf("got %q, left %q", v, os.Getenv("ARGV_CONSTANT"))
	}
	if v := TakeEnv("ARGV_NONE"); v != "" {
		t.Errorf("got %q", v)
	}
}
