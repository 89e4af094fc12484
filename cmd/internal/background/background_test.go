package background

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

type payload struct{ Play, Secret, Dir string }

// The test binary plays the daemon.
func TestMain(m *testing.M) {
	var p payload
	d, started, err := Started(&p)
	if !started {
		os.Exit(m.Run())
	}
	if err != nil {
		d.Fail(2, err.Error())
		os.Exit(2)
	}
	cmdline, _ := os.ReadFile("/proc/self/cmdline")
	environ, _ := os.ReadFile("/proc/self/environ")
	switch p.Play {
	case "ready":
		if bytes.Contains(append(cmdline, environ...), []byte(p.Secret)) {
			d.Fail(9, "the secret shows")
			os.Exit(9)
		}
		var errOut string // before it is caught
		d.Ready("mounted", func() { errOut, _ = os.Readlink("/proc/self/fd/2") })
		after, _ := os.Getwd()
		sid, _ := unix.Getsid(0)
		out, _ := os.Readlink("/proc/self/fd/1")
		os.WriteFile(filepath.Join(p.Dir, "after"), fmt.Appendf(nil, "%s %v %s %s", after, sid == os.Getpid(), out, errOut), 0)
	case "fail":
		d.Fail(32, "wrong password")
		os.Exit(32)
	case "die":
		os.Exit(5)
	}
}

func TestStart(t *testing.T) {
	dir := t.TempDir()
	after := filepath.Join(dir, "after") // where the daemon tells what it became
	if err := unix.Mkfifo(after, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		play      string
		want      Report
		wantError string
	}{
		{"ready", Report{Text: "mounted"}, ""},
		{"fail", Report{Code: 32, Text: "wrong password"}, ""},
		{"die", Report{}, "exit status 5"},
	} {
		got, err := Start([]string{"ftp://host", "/mnt"}, payload{c.play, "geheim", dir})
		if got != c.want || c.wantError == "" && err != nil || c.wantError != "" && (err == nil || !strings.Contains(err.Error(), c.wantError)) {
			t.Errorf("%s: got %+v, %v", c.play, got, err)
		}
	}
	b, err := os.ReadFile(after)
	if want := "/ true /dev/null /dev/null"; err != nil || string(b) != want {
		t.Errorf("after its report the daemon is %q, %v; want %q (directory, session leader, output, errors)", b, err, want)
	}
}
