package mounted

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// Each mistake gets one line on stderr that names what was wrong, and mount(8)'s
// exit code: 1 usage, 2 this machine, 32 mounting.
func TestBadInput(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	srv.Tree.Put("/file", nil)
	dir := mount.TempDir(t)
	secret := filepath.Join(dir, "credentials")
	put(t, secret, []byte("username="+ftpscript.User+"\npassword="+ftpscript.Password+"\n"))
	must(t, os.Chmod(secret, 0o600))
	wrong := filepath.Join(dir, "wrong")
	put(t, wrong, []byte("username="+ftpscript.User+"\npassword=not-the-password\n"))
	must(t, os.Chmod(wrong, 0o600))
	open := filepath.Join(dir, "open")
	put(t, open, get(t, secret))
	must(t, os.Chmod(open, 0o644))
	point := mkdir(t, filepath.Join(dir, "mnt"))
	full := mkdir(t, filepath.Join(dir, "full"))
	put(t, filepath.Join(full, "x"), nil)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	refused := l.Addr().String()
	must(t, l.Close())
	o := func(more string) []string {
		return []string{"-o", "cache_dir=" + filepath.Join(dir, "cache") + ",timeout=5,credentials=" + secret + more}
	}

	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"unknown option", append(o(",dir_cache_tme=3"), srv.URL(""), point), 1, []string{"dir_cache_tme", "dir_cache_time"}},
		{"bad value", append(o(",max_conns=many"), srv.URL(""), point), 1, []string{"max_conns", "many"}},
		{"no arguments", nil, 1, []string{"ftpfs"}},
		{"no mountpoint", []string{srv.URL("")}, 1, []string{"mount"}},
		{"unknown scheme", append(o(""), "gopher://127.0.0.1/", point), 1, []string{"gopher"}},
		{"unknown host", append(o(""), "ftp://no-such-host.invalid/", point), 32, []string{"no-such-host.invalid"}},
		{"refused port", append(o(""), "ftp://"+refused+"/", point), 32, []string{refused, "refused"}},
		{"wrong password", []string{"-o", "cache_dir=" + dir + "/c2,credentials=" + wrong, srv.URL(""), point}, 32, []string{"password", ftpscript.User}},
		{"missing remote directory", append(o(""), srv.URL("no/such/dir"), point), 32, []string{"no/such/dir"}},
		{"remote file", append(o(""), srv.URL("file"), point), 32, []string{"file"}},
		{"mountpoint not there", append(o(""), srv.URL(""), filepath.Join(dir, "not there")), 32, []string{"not there"}},
		{"mountpoint is a file", append(o(""), srv.URL(""), secret), 32, []string{secret, "not a directory"}},
		{"already mounted", append(o(""), srv.URL(""), m.Dir), 32, []string{m.Dir, "mounted"}},
		{"mountpoint not empty", append(o(""), srv.URL(""), full), 32, []string{full, "empty"}},
		{"credentials readable by others", []string{"-o", "credentials=" + open, srv.URL(""), point}, 1, []string{open}},
		{"credentials not there", []string{"-o", "credentials=" + dir + "/none", srv.URL(""), point}, 1, []string{dir + "/none"}},
		{"newline in the URL", append(o(""), srv.URL("a\nb"), point), 1, nil},
		{"status of what is no mount", []string{"status", point}, 1, []string{point}},
		{"sync of what is no mount", []string{"sync", point}, 1, []string{point}},
		{"unmount of what is no mount", []string{"unmount", point}, 32, []string{point}},
		{"unknown command", []string{"statsu"}, 1, []string{"statsu", "status"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, foreground := range []bool{false, true} {
				args := c.args
				if foreground {
					if len(args) == 0 || args[0] != "-o" {
						break
					}
					args = append([]string{"-f"}, args...)
				}
				r := mount.Ftpfs(t, args...)
				if r.Code != c.code {
					t.Errorf("exit code %d, want %d; stderr: %s", r.Code, c.code, r.Err)
				}
				lines := 0
				for line := range strings.Lines(r.Err) {
					if !foreground || !strings.HasPrefix(line, "time=") { // the log
						lines++
					}
				}
				if lines != 1 && c.name != "no arguments" {
					t.Errorf("stderr has %d lines, want one:\n%s", lines, r.Err)
				}
				for _, want := range c.says {
					if !strings.Contains(r.Err, want) {
						t.Errorf("stderr does not name %q: %s", want, r.Err)
					}
				}
				if strings.Contains(r.Err+r.Out, ftpscript.Password) || strings.Contains(r.Err+r.Out, "not-the-password") {
					t.Errorf("the password is in the output: %s", r.Err)
				}
			}
		})
	}
	if got := fmt.Sprint(names(t, point)); got != "[]" {
		t.Errorf("the mountpoint after all that: %s", got)
	}
}

// What a server alone knows, each of the four says in its own words.
func TestBadInputOnEachServer(t *testing.T) {
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			srv := servers.Start(t, kind, servers.Options{})
			srv.Put("file", []byte("x"))
			dir := mount.TempDir(t)
			point := mkdir(t, filepath.Join(dir, "mnt"))
			for _, c := range []struct {
				name, password, path string
				says                 []string
			}{
				{"wrong password", srv.Password + "x", "", []string{"password", srv.User}},
				{"missing remote directory", srv.Password, "no/such/dir", []string{"no/such/dir"}},
				{"remote file", srv.Password, "file", []string{"file"}},
			} {
				r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + c.password}}.Do(t, program(t),
					"-o", "timeout=10,cache_dir="+filepath.Join(dir, "cache"), srv.URL(c.path), point)
				if r.Code != 32 || strings.Count(r.Err, "\n") != 1 {
					t.Errorf("%s: exit code %d and stderr %q, want 32 and one line", c.name, r.Code, r.Err)
				}
				for _, want := range c.says {
					if !strings.Contains(r.Err, want) {
						t.Errorf("%s: stderr does not name %q: %s", c.name, want, r.Err)
					}
				}
				if strings.Contains(r.Err+r.Out, c.password) {
					t.Errorf("%s: the password is in the output: %s", c.name, r.Err)
				}
			}
		})
	}
}

func program(t *testing.T) string {
	t.Helper()
	p, err := mount.Program()
	must(t, err)
	return p
}
