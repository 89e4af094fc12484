package mounted

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// sample is the unit that is shipped.
const sample = "../../packaging/ftpfs@.service"

// unit returns the values of a key in the sample.
func unit(t *testing.T, key string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(string(get(t, sample))) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no %s", sample, key)
	}
	return all
}

// What systemd would do with the sample is done by hand: the credentials' directory,
// the line that starts it, and the messages that come back through its socket.
func TestSystemdUnit(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", []byte("hello"))
	dir := mount.TempDir(t)
	point, creds := mkdir(t, filepath.Join(dir, "mnt")), mkdir(t, filepath.Join(dir, "credentials"))
	t.Cleanup(func() { mount.Detach(point) })
	name, _, _ := strings.Cut(unit(t, "LoadCredential")[0], ":")
	must(t, os.WriteFile(filepath.Join(creds, name), []byte("username="+ftpscript.User+"\npassword="+ftpscript.Password+"\n"), 0o440))
	if kind := unit(t, "Type")[0]; kind != "notify" {
		t.Errorf("Type=%s, want notify", kind)
	}

	socket := filepath.Join(mount.TempDir(t), "s") // t.TempDir may be too long for an address
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { notify.Close() })

	values := strings.NewReplacer("${OPTIONS}", "cache_dir="+dir+"/cache", "${URL}", srv.URL("d"), "${MOUNTPOINT}", point)
	argv := strings.Fields(unit(t, "ExecStart")[0])
	for i := range argv {
		argv[i] = values.Replace(argv[i])
	}
	cmd := exec.Command(program(t), argv[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + socket, "CREDENTIALS_DIRECTORY=" + creds}
	var said strings.Builder
	cmd.Stderr = &said
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	told := ""
	await := func(text string) {
		t.Helper()
		must(t, notify.SetReadDeadline(time.Now().Add(time.Minute)))
		buf := make([]byte, 4096)
		for !strings.Contains(told, text) {
			n, err := notify.Read(buf)
			if err != nil {
				t.Fatalf("no %q was told (%v), only:\n%s\nstderr: %s", text, err, told, said.String())
			}
			told += string(buf[:n]) + "\n"
		}
	}
	await("READY=1\nSTATUS=mounted " + srv.URL("d") + " at " + point)
	holds(t, filepath.Join(point, "f"), []byte("hello"))

	// Stopping while something is owed that does not move: time is asked for, and what
	// is left is told.
	dead := make(chan struct{})
	rule := srv.Add(ftpscript.Rule{Verb: "STOR", Data: &ftpscript.DataFault{After: 1 << 10, Hold: dead}})
	t.Cleanup(func() { close(dead) })
	put(t, filepath.Join(point, "owed"), noise(1, 1<<20))
	<-rule.Hit()
	told = ""
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	await("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
	await("STATUS=sending: 0 of 1 file, ")
	await("1 file, 1 MiB still owed; it will go out at the next mount")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v; systemd would call the unit failed", err)
	}
	if !strings.Contains(said.String(), "1 file, 1 MiB still owed; it will go out at the next mount (kept in "+dir) {
		t.Errorf("on stderr: %s", said.String())
	}
	if strings.Contains(told+said.String(), ftpscript.Password) {
		t.Errorf("the password shows:\n%s%s", told, said.String())
	}
}

// systemd itself finds nothing wrong with the sample.
func TestSystemdVerifiesTheUnit(t *testing.T) {
	mount.Need(t, "systemd-analyze")
	dir := mount.TempDir(t)
	text := strings.ReplaceAll(string(get(t, sample)), "/usr/local/bin/ftpfs", program(t)) // it must exist
	file := filepath.Join(dir, "ftpfs@site.service")
	put(t, file, []byte(text))
	r := mount.Command{}.Do(t, "systemd-analyze", "verify", "--man=no", file)
	if r.Code != 0 || r.Out+r.Err != "" {
		t.Errorf("systemd-analyze verify: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	put(t, file, []byte(strings.Replace(text, "KillMode=mixed", "KillMode=sometimes", 1)))
	if r := (mount.Command{}).Do(t, "systemd-analyze", "verify", "--man=no", file); r.Out+r.Err == "" {
		t.Error("systemd-analyze verify does not notice a wrong line: this test cannot fail")
	}
}
