package mounted

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// How a server can be when the end comes, with something owed to it.
type plight struct {
	name   string
	kind   servers.Kind
	extra  []string
	strike func(t *testing.T, srv *servers.Server)
	mend   func(srv *servers.Server)
	size   int
}

var plights = []plight{
	{"down", servers.VSFTPD, nil, func(_ *testing.T, s *servers.Server) { s.Stop() }, func(s *servers.Server) { s.Restart() }, 1 << 20},
	{"frozen", servers.ProFTPD, nil, func(_ *testing.T, s *servers.Server) { s.Freeze() }, func(s *servers.Server) { s.Thaw() }, 1 << 20},
	// 1 GiB at 1 MB/s: much more than fits into any end.
	{"slow", servers.VSFTPD, []string{"local_max_rate=1000000"}, func(*testing.T, *servers.Server) {}, nil, 1 << 30},
}

// However the server is, each way to end a mount ends the daemon within the bound (the
// harness's minute is a little more than it), says what is owed, and loses nothing.
func TestEveryEndIsBounded(t *testing.T) {
	for _, p := range plights {
		for how, end := range map[string]func(t *testing.T, m *mount.Mount){
			"SIGTERM":  func(_ *testing.T, m *mount.Mount) { m.Signal(syscall.SIGTERM) },
			"SIGINT":   func(_ *testing.T, m *mount.Mount) { m.Signal(syscall.SIGINT) },
			"umount":   func(t *testing.T, m *mount.Mount) { umount(t, m.Dir); m.Signal(syscall.SIGTERM) },
			"umount-l": func(t *testing.T, m *mount.Mount) { umount(t, "-l", m.Dir); m.Signal(syscall.SIGTERM) },
			"unmount": func(t *testing.T, m *mount.Mount) {
				r := mount.Ftpfs(t, "unmount", "--timeout", "2", m.Dir)
				if r.Code != 3 || !strings.Contains(r.Err, "1 file, ") || !strings.Contains(r.Err, " still owed; it will go out at the next mount") {
					t.Errorf("ftpfs unmount: %+v; want 3 and what is owed", r)
				}
			},
		} {
			if p.name == "slow" && how != "SIGTERM" && how != "unmount" {
				continue // they take the whole 30 s, and are the same thereafter
			}
			t.Run(p.name+"/"+how, func(t *testing.T) {
				t.Parallel()
				srv := servers.Start(t, p.kind, servers.Options{Extra: p.extra})
				m := mountOf(t, srv)
				names(t, m.Dir)
				p.strike(t, srv)
				f, err := os.Create(m.Path("owed"))
				must(t, err)
				must(t, f.Truncate(int64(p.size)))
				must(t, f.Close())
				end(t, m)
				m.AwaitEnd()
				if log := m.Log(); !strings.Contains(log, "1 file, ") || !strings.Contains(log, " still owed; it will go out at the next mount") {
					t.Errorf("no word on what is owed:\n%s", log)
				}
				if p.mend == nil {
					return
				}
				p.mend(srv)
				syncNow(t, m.Again(mount.Options{Password: srv.Password}))
				if fi, err := os.Stat(filepath.Join(srv.Root, "owed")); err != nil || fi.Size() != int64(p.size) {
					t.Errorf("on the server: %v, %v; want %d bytes", fi, err, p.size)
				}
			})
		}
	}
}

func umount(t *testing.T, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED umount: it needs root")
	}
	mount.Run(t, "/", "umount", append([]string{"-i"}, args...)...)
}

// hung is a scripted server, mounted, whose link died in the middle of an upload of
// /big, which is under way when it returns.
func hung(t *testing.T) (*ftpscript.Server, *mount.Mount, *ftpscript.Applied) {
	t.Helper()
	srv, m := scripted(t, ftpscript.Options{})
	dead := make(chan struct{})
	t.Cleanup(func() { close(dead) })
	rule := srv.Add(ftpscript.Rule{Verb: "STOR", Data: &ftpscript.DataFault{After: 100 << 10, Hold: dead}})
	put(t, m.Path("big"), noise(1, 8<<20))
	<-rule.Hit()
	return srv, m, rule
}

// A second signal ends the daemon at once; nothing is lost.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			_, m, rule := hung(t)
			m.Signal(sig)
			eventually(t, "begin to stop", func() bool { return strings.Contains(m.Log(), "msg=stopping") })
			m.Signal(sig)
			m.AwaitEnd()
			if log := m.Log(); !strings.Contains(log, "ending at once") || strings.Contains(log, "msg=ended") {
				t.Errorf("it did not end at once:\n%s", log)
			}
			rule.Remove()
			again := m.Again(mount.Options{Password: ftpscript.Password})
			syncNow(t, again)
			holds(t, again.Path("big"), noise(1, 8<<20))
		})
	}
}

// Ctrl-C in ftpfs unmount stops the waiting only: the mount stays, the upload goes on.
func TestCtrlCWhileUnmountingKeepsTheMount(t *testing.T) {
	srv, m, rule := hung(t)
	cmd := exec.Command(program(t), "unmount", m.Dir)
	var said strings.Builder
	cmd.Stderr = &said
	must(t, cmd.Start())
	eventually(t, "ask for the draining", func() bool { return controlBusy(m) })
	must(t, cmd.Process.Signal(os.Interrupt))
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != 130 || !strings.Contains(said.String(), "stays mounted") {
		t.Errorf("%v, %q; want 130 and that it stays mounted", err, said.String())
	}
	rule.Remove()
	srv.KillSessions()
	syncNow(t, m)
	holds(t, m.Path("big"), noise(1, 8<<20))
}

// controlBusy says that the daemon has a client on its control socket.
func controlBusy(m *mount.Mount) bool {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.PID()))
	n := 0
	table, _ := os.ReadFile("/proc/net/unix")
	for _, fd := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", m.PID(), fd.Name()))
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			for line := range strings.Lines(string(table)) {
				if f := strings.Fields(line); len(f) > 7 && f[6]+"]" == inode && strings.Contains(f[7], "/ftpfs") {
					n++
				}
			}
		}
	}
	return n > 1 // the one it listens on, and a client's
}

// A file that is open for writing when the daemon is told to stop is not published: it
// may be half a file. It is kept, and ftpfs retry sends it.
func TestAnOpenFileIsNotPublishedAtTheEnd(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	f, err := os.Create(m.Path("half"))
	must(t, err)
	_, err = f.WriteString("the first half")
	must(t, err)
	put(t, m.Path("whole"), []byte("whole"))
	m.Signal(syscall.SIGTERM)
	m.AwaitEnd()
	f.Close()
	if got, _ := srv.Tree.Get("/whole"); string(got) != "whole" {
		t.Errorf("what was closed did not go out: %q", got)
	}
	if got, there := srv.Tree.Get("/half"); there {
		t.Errorf("half a file was published: %q", got)
	}
	if !strings.Contains(m.Log(), "1 file was open for writing") {
		t.Errorf("no word on the open file:\n%s", m.Log())
	}
	again := m.Again(mount.Options{Password: ftpscript.Password})
	if s := again.State("half"); s != "interrupted" {
		t.Errorf("state after the next mount: %q, want interrupted", s)
	}
	if r := mount.Ftpfs(t, "sync", again.Dir); r.Code != 4 {
		t.Errorf("sync: %+v, want 4", r)
	}
	mount.Ftpfs(t, "retry", again.Path("half"))
	syncNow(t, again)
	if got, _ := srv.Tree.Get("/half"); string(got) != "the first half" {
		t.Errorf("after ftpfs retry: %q", got)
	}
}

// A mount that is in use stays mounted, and who uses it is said; --lazy takes it away.
func TestUnmountOfABusyMount(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	mkdir(t, m.Path("d"))
	sh := exec.Command("sh", "-c", "cd \"$1\" && echo there && read x", "sh", m.Path("d"))
	in, err := sh.StdinPipe()
	must(t, err)
	out, err := sh.StdoutPipe()
	must(t, err)
	must(t, sh.Start())
	t.Cleanup(func() { in.Close(); _ = sh.Wait() })
	_, err = out.Read(make([]byte, 10))
	must(t, err)
	put(t, m.Path("f"), []byte("f"))
	r := mount.Ftpfs(t, "unmount", m.Dir)
	if r.Code != 32 || !strings.Contains(r.Err, "busy") || !strings.Contains(r.Err, fmt.Sprint(sh.Process.Pid)) {
		t.Errorf("unmount with a shell in it: %+v; want 32 and its process", r)
	}
	holds(t, m.Path("f"), []byte("f"))
	if r := mount.Ftpfs(t, "unmount", "--lazy", m.Dir); r.Code != 0 {
		t.Errorf("unmount --lazy: %+v", r)
	}
	m.AwaitEnd()
	if got, _ := srv.Tree.Get("/f"); string(got) != "f" {
		t.Errorf("on the server: %q", got)
	}
	if strings.Contains(m.Log(), "another program") {
		t.Errorf("our own unmount is taken for somebody else's:\n%s", m.Log())
	}
}

// Our own unmount is not logged as another program's.
func TestTheLogKnowsOurOwnUnmount(t *testing.T) {
	_, m := scripted(t, ftpscript.Options{})
	m.Unmount()
	if strings.Contains(m.Log(), "another program") {
		t.Errorf("the log:\n%s", m.Log())
	}
}

// A refused login is the reason why nothing is sent, and is said.
func TestUnmountSaysThatTheLoginIsRefused(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	names(t, m.Dir)
	srv.Add(ftpscript.Rule{Verb: "PASS", Instead: "530 Your account is locked."})
	srv.KillSessions()
	put(t, m.Path("f"), []byte("f"))
	eventually(t, "notice", func() bool { return strings.Contains(mount.Ftpfs(t, "status", m.Dir).Out, "refuses the login") })
	r := mount.Ftpfs(t, "unmount", "--timeout", "1", m.Dir)
	if r.Code != 3 || !strings.Contains(r.Err, "account is locked") {
		t.Errorf("unmount: %+v; want 3 and the server's words", r)
	}
	m.AwaitEnd()
}

// A spool whose disk is full holds what it accepted through the end of the mount, and
// sends it when there is room again.
func TestAFullSpoolDiskSurvivesTheEnd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED full disk: it needs root to mount a tmpfs")
	}
	small := mount.TempDir(t)
	mount.Run(t, "/", "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small)
	t.Cleanup(func() { mount.Run(t, "/", "umount", "-l", small) })
	srv := ftpscript.Start(t, ftpscript.Options{})
	m := mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, CacheDir: small, O: []string{"timeout=2"}})
	names(t, m.Dir)
	srv.Stop()
	accepted := map[string][]byte{}
	for i := range 100 {
		name, data := fmt.Sprint("f", i), noise(uint64(i), 256<<10)
		if os.WriteFile(m.Path(name), data, 0o644) != nil {
			break
		}
		accepted[name] = data
	}
	if len(accepted) == 0 || len(accepted) == 100 {
		t.Fatalf("%d files of 256 KiB fit into 4 MiB", len(accepted))
	}
	m.Signal(syscall.SIGTERM)
	m.AwaitEnd()
	must(t, srv.Restart())
	mount.Run(t, "/", "mount", "-o", "remount,size=8m", small)
	again := m.Again(mount.Options{Password: ftpscript.Password})
	mount.Ftpfs(t, "sync", again.Dir) // the file that did not fit may be parked
	for name, data := range accepted {
		if got, _ := srv.Tree.Get("/" + name); string(got) != string(data) {
			t.Errorf("%s: %d bytes on the server, want %d", name, len(got), len(data))
		}
	}
}

// With max_dirty_age a file that stays open reaches the server as it stands, again and
// again.
func TestMaxDirtyAge(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "max_dirty_age=1")
	f, err := os.Create(m.Path("log"))
	must(t, err)
	defer f.Close()
	want := ""
	for _, line := range []string{"first\n", "second\n"} {
		_, err := f.WriteString(line)
		must(t, err)
		want += line
		eventually(t, "publish "+line, func() bool { got, _ := srv.Tree.Get("/log"); return string(got) == want })
	}
}

// umount(8) calls its helper first: what is closed is sent, what is open is not, and a
// mount in use stays.
func TestUmountHelper(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED umount: it needs root")
	}
	srv, m := scripted(t, ftpscript.Options{})
	helper := filepath.Join(mount.TempDir(t), "umount.fuse.ftpfs")
	must(t, os.Symlink(program(t), helper))
	f, err := os.Create(m.Path("half"))
	must(t, err)
	_, err = f.WriteString("half")
	must(t, err)
	put(t, m.Path("whole"), []byte("whole"))
	if r := (mount.Command{}).Do(t, helper, m.Dir); r.Code != 32 || !strings.Contains(r.Err, "busy") {
		t.Errorf("with a file open: %+v; want umount's 32", r)
	}
	if got, _ := srv.Tree.Get("/whole"); string(got) != "whole" {
		t.Errorf("what was closed is not on the server: %q", got)
	}
	if got, there := srv.Tree.Get("/half"); there {
		t.Errorf("half a file was published: %q", got)
	}
	must(t, f.Close())
	if r := (mount.Command{}).Do(t, helper, m.Dir); r.Code != 0 || r.Err != "" {
		t.Errorf("with nothing open: %+v", r)
	}
	m.AwaitEnd()
	if got, _ := srv.Tree.Get("/half"); string(got) != "half" {
		t.Errorf("on the server: %q", got)
	}
}
