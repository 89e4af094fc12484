package mounted

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// A spool belongs to one daemon at a time, wherever the second one runs and however it
// is told where the spool lies.
func TestASecondDaemonOnOneSpoolIsRefused(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	put(t, m.Path("mine"), []byte("mine"))
	point := mkdir(t, filepath.Join(mount.TempDir(t), "other"))
	link := filepath.Join(mount.TempDir(t), "link")
	must(t, os.Symlink(m.CacheDir, link))
	mountArgs := func(dir string) []string {
		return []string{"-o", "cache_dir=" + dir, srv.URL(""), point}
	}
	for name, argv := range map[string][]string{
		"at another directory":       append([]string{program(t)}, mountArgs(m.CacheDir)...),
		"by another name":            append([]string{program(t)}, mountArgs(link)...),
		"in the foreground":          append([]string{program(t), "-f"}, mountArgs(m.CacheDir)...),
		"in another mount namespace": append([]string{"unshare", "-m", program(t)}, mountArgs(m.CacheDir)...),
		// where its socket cannot be found either
		"with a /run of its own": append([]string{"unshare", "-m", "sh", "-ec", `mount -t tmpfs none /run; exec "$@"`, "sh", program(t)}, mountArgs(m.CacheDir)...),
	} {
		if argv[0] == "unshare" && os.Geteuid() != 0 {
			t.Logf("SKIPPED %s: it needs root", name)
			continue
		}
		r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}.Do(t, argv[0], argv[1:]...)
		last := r.Err[strings.LastIndex(strings.TrimSuffix(r.Err, "\n"), "\n")+1:]
		if r.Code != 32 || !strings.Contains(last, "already mounted (at "+m.Dir+", process ") {
			t.Errorf("%s: exit %d, %q; want 32 and who has it", name, r.Code, r.Err)
		}
	}
	syncNow(t, m)
	holds(t, m.Path("mine"), []byte("mine"))
}

// A daemon whose mount is gone and that only sends gives the spool to the next mount,
// and what it had not sent goes out from there.
func TestAMountTakesOverFromADaemonThatOnlySends(t *testing.T) {
	for name, args := range map[string][]string{"umount": nil, "umount -l": {"-l"}} {
		t.Run(name, func(t *testing.T) {
			srv, m, rule := hung(t)
			umount(t, append(args, m.Dir)...)
			eventually(t, "be draining", func() bool { return strings.Contains(m.Log(), "sending what is owed") })
			rule.Remove()
			again := mount.New(t, mount.Options{URL: m.URL, Password: ftpscript.Password, CacheDir: m.CacheDir})
			m.AwaitEnd()
			syncNow(t, again)
			if got, _ := srv.Tree.Get("/big"); string(got) != string(noise(1, 8<<20)) {
				t.Errorf("on the server: %d bytes", len(got))
			}
		})
	}
}

// A program that writes through a mount that was detached is not cut off by the next
// mount; when it is done, the next mount has what it wrote.
func TestAWriterInADetachedMountIsNotCutOff(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	names(t, m.Dir)
	sh := exec.Command("sh", "-c", `exec >"$1"; echo first; echo ready >&2; read x; echo last`, "sh", m.Path("log"))
	in, err := sh.StdinPipe()
	must(t, err)
	ready, err := sh.StderrPipe()
	must(t, err)
	must(t, sh.Start())
	t.Cleanup(func() { _ = sh.Process.Kill() })
	_, err = bufio.NewReader(ready).ReadString('\n')
	must(t, err)
	umount(t, "-l", m.Dir)
	eventually(t, "notice", func() bool { return strings.Contains(m.Log(), "no longer in the mount table") })
	r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}.Do(t, program(t), "-o", "cache_dir="+m.CacheDir, srv.URL(""), m.Dir)
	if r.Code != 32 || !strings.Contains(r.Err, "1 file open for writing") {
		t.Errorf("a mount while somebody writes: %+v; want 32 and why", r)
	}
	must(t, in.Close())
	must(t, sh.Wait())
	m.AwaitEnd()
	if got, _ := srv.Tree.Get("/log"); string(got) != "first\nlast\n" {
		t.Errorf("on the server: %q", got)
	}
}

// Two that begin at the same moment: one mounts, the other is told who has it.
func TestTwoMountsAtOnce(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	dir := mount.TempDir(t)
	type result struct {
		mount.Result
		point string
	}
	results := make(chan result, 2)
	for _, name := range []string{"a", "b"} {
		point := mkdir(t, filepath.Join(dir, name))
		t.Cleanup(func() { mount.Detach(point) })
		go func() {
			cmd := exec.Command(program(t), "-o", "cache_dir="+dir+"/cache", srv.URL(""), point)
			cmd.Env = append(os.Environ(), "FTPFS_PASSWORD="+ftpscript.Password)
			out, _ := cmd.CombinedOutput()
			results <- result{mount.Result{Err: string(out), Code: cmd.ProcessState.ExitCode()}, point}
		}()
	}
	first, second := <-results, <-results
	if first.Code != 0 {
		first, second = second, first
	}
	if first.Code != 0 || second.Code != 32 || !strings.Contains(second.Err, "already mounted (at "+first.point) {
		t.Errorf("got %+v and %+v; want one mounted, and the other told where", first, second)
	}
	if first.Code == 0 {
		if r := mount.Ftpfs(t, "unmount", first.point); r.Code != 0 {
			t.Errorf("unmount: %+v", r)
		}
	}
}

// status and sync whose answer cannot be written say so.
func TestAnswersThatCannotBeWritten(t *testing.T) {
	_, m := scripted(t, ftpscript.Options{})
	for _, words := range []string{"status", "status --json", "sync"} {
		r := mount.Command{}.Do(t, "sh", "-c", `exec "$0" `+words+` "$1" >/dev/full`, program(t), m.Dir)
		if r.Code != 2 || !strings.Contains(r.Err, "no space left") {
			t.Errorf("ftpfs %s >/dev/full: %+v; want 2 and why", words, r)
		}
	}
}

// Ctrl-C while the server does not answer the connection is 130, at once, in front and
// behind.
func TestCtrlCWhileConnecting(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	for _, front := range []string{"-f", "-r"} {
		rule := srv.Add(ftpscript.Rule{Verb: "USER", Hold: never, Times: 1})
		cmd := exec.Command(program(t), front, "-o", "cache_dir="+mount.TempDir(t), srv.URL(""), mount.TempDir(t))
		cmd.Env = append(os.Environ(), "FTPFS_PASSWORD="+ftpscript.Password)
		var said strings.Builder
		cmd.Stderr = &said
		must(t, cmd.Start())
		<-rule.Hit()
		must(t, cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "interrupted") {
			t.Errorf("%s: exit %d, %q; want 130", front, code, said.String())
		}
		rule.Remove()
	}
}
