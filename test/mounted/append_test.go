package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

const logSize = 20 << 20

// inode tells a file that was appended to from one that was replaced.
func inode(t testing.TB, name string) uint64 {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

func appendTo(t testing.TB, name, line string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString(line)
	must(t, err)
	must(t, f.Close())
}

// A large log grows by lines, through the mount and by another client of the server:
// nothing is lost, and where the server appends its file is never replaced. By default
// ProFTPD does not append, and gets it whole.
func TestALogGrows(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    servers.Kind
		extra   []string
		appends bool
	}{
		{"vsftpd", servers.VSFTPD, nil, true},
		{"proftpd", servers.ProFTPD, nil, false},
		{"proftpd with AllowStoreRestart", servers.ProFTPD, []string{"AllowStoreRestart on"}, true},
		{"pure-ftpd", servers.PureFTPd, nil, true},
		{"pyftpdlib", servers.Pyftpdlib, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := servers.Start(t, c.kind, servers.Options{Extra: c.extra})
			want := noise(11, logSize)
			srv.Put("log", want)
			real := filepath.Join(srv.Root, "log")
			must(t, os.Chmod(real, 0o666))
			first := inode(t, real)
			w := work{mountOf(t, srv, "dir_cache_time=1"), srv}
			rounds := 50
			if !c.appends {
				rounds = 3
			}
			for i := range rounds {
				line := fmt.Sprintf("%s: line %d through the mount\n", c.name, i)
				if r := (mount.Command{}).Do(t, "sh", "-c", `echo "$1" >>"$2"`, "sh", line[:len(line)-1], w.Path("log")); r.Code != 0 {
					t.Fatalf("echo: %s", r.Err)
				}
				want = append(want, line...)
				syncNow(t, w.Mount)
				if i%10 != 9 {
					continue
				}
				other := fmt.Sprintf("line %d by another client\n", i)
				appendTo(t, real, other)
				want = append(want, other...)
				eventually(t, "the mount shows the other client's line", func() bool {
					info, err := os.Stat(w.Path("log"))
					return err == nil && info.Size() == int64(len(want))
				})
			}
			holds(t, real, want)
			holds(t, w.Path("log"), want)
			if now := inode(t, real); c.appends && now != first {
				t.Error("the server's file was replaced")
			} else if !c.appends && now == first {
				t.Error("the server's file was appended to, on a server that does not")
			}
			if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o666 {
				t.Errorf("its mode is %v, %v; want 0666 as before", info.Mode(), err)
			}
			noTemporaryNames(t, srv.Root)
		})
	}
}

// What goes over the wire is what was appended, and nothing of the rest.
func TestAppendingCostsTheTail(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, long)
	want := noise(12, logSize)
	srv.Tree.Put("/log", want)
	names(t, m.Path())
	appendTo(t, m.Path("log"), "first\n") // with a scratch file, which is small
	syncNow(t, m)
	mark := srv.Mark()
	sent := int64(0)
	for i := range 50 {
		line := fmt.Sprintf("line %d\n", i)
		appendTo(t, m.Path("log"), line)
		syncNow(t, m)
		sent += int64(len(line))
	}
	var moved int64
	got := srv.Since(mark)
	for _, c := range got {
		moved += c.Bytes
	}
	if moved != sent || len(got.Verbs("APPE")) != 50 || len(got.Verbs("STOR", "RETR")) != 0 {
		t.Errorf("%d bytes were moved for %d appended:\n%s", moved, sent, got)
	}
}

// A connection cut in the middle of a tail, and the daemon killed while nobody knows
// how much arrived: the rest is sent, once.
func TestATailCutAndTheDaemonKilled(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, long)
	want := noise(13, logSize)
	srv.Tree.Put("/log", want)
	appendTo(t, m.Path("log"), "first\n")
	syncNow(t, m)
	want = append(want, "first\n"...)
	more := string(noise(14, 300_000))
	want = append(want, more...)
	cut := srv.Add(ftpscript.Rule{Verb: "APPE", Path: "/log", Data: &ftpscript.DataFault{After: 100_000, Reset: true}})
	appendTo(t, m.Path("log"), more)
	<-cut.Hit()
	eventually(t, "a part of it is on the server", func() bool {
		f, _ := srv.Tree.Stat("/log")
		return f.Size > int64(len(want)-len(more))
	})
	m.Kill()
	cut.Remove()
	m = m.Again(mount.Options{Password: ftpscript.Password, O: []string{long}})
	syncNow(t, m)
	if got, _ := srv.Tree.Get("/log"); string(got) != string(want) {
		t.Errorf("on the server: %s", difference(got, want))
	}
	holds(t, m.Path("log"), want)
}
