package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// A line of the trace: the number of its connection, and the rest.
var traced = regexp.MustCompile(`(?m)^.* msg=ftp conn=([0-9]+) line=(.*)$`)

// The dialogue of every connection is logged, whatever the log_level, and the password is
// nowhere in it.
func TestTheTraceTellsAllButThePassword(t *testing.T) {
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			pair := certs.Issue(t, certs.Options{})
			srv := servers.Start(t, kind, servers.Options{TLS: &servers.TLS{Cert: pair.PEM, Key: pair.Key}})
			w := work{mountOf(t, srv, believed(t, pair), "tls=explicit", "log_level=error", "trace_ftp"), srv}
			content := noise(1, 300_000)
			put(t, w.Path("new"), content)
			syncNow(t, w.Mount)
			put(t, w.behind(w.Path("theirs")), content)
			eventually(t, "see what is on the server", func() bool { _, err := os.Stat(w.Path("theirs")); return err == nil })
			holds(t, w.Path("theirs"), content)
			w.Unmount()
			log := w.Log()
			if strings.Contains(log, srv.Password) {
				t.Error("the password is in the log")
			}
			said := map[string]string{} // by connection
			for _, m := range traced.FindAllStringSubmatch(log, -1) {
				said[m[1]] += m[2] + "\n"
			}
			all := ""
			for conn, lines := range said {
				all += lines
				for _, want := range []string{"= connected ", "> PASS ****", "< 230", "= encrypted: TLS 1.", "= closed"} {
					if !strings.Contains(lines, want) {
						t.Errorf("connection %s does not tell %q:\n%s", conn, want, firstLines(lines, 40))
					}
				}
			}
			for _, want := range []string{"> STOR ", "> RNTO ", "> RETR ", "= data connection 127.0.0.1:", fmt.Sprintf("%d bytes sent", len(content)), fmt.Sprintf("%d bytes received", len(content)), "= data encrypted: TLS 1."} {
				if !strings.Contains(all, want) {
					t.Errorf("no connection tells %q", want)
				}
			}
		})
	}
}

// The log of a first mount in the background has its login too, though there was no place for
// a log then; and one that fails says where the trace is to be had.
func TestTheTraceOfAFirstMount(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	dir := mount.TempDir(t)
	point, log := mkdir(t, filepath.Join(dir, "mnt")), filepath.Join(dir, "cache/state/*/ftpfs.log")
	t.Cleanup(func() { mount.Detach(point) })
	mounting := func(password string) mount.Result {
		return mount.Command{Env: []string{"FTPFS_PASSWORD=" + password}}.Do(t, program(t), "-o", "trace_ftp,cache_dir="+dir+"/cache", srv.URL(""), point)
	}
	if r := mounting("wrong"); r.Code != 32 || !strings.Contains(r.Err, "-f shows the trace") || strings.Count(r.Err, "\n") != 1 {
		t.Errorf("with a wrong password: %+v", r)
	}
	if r := mounting(ftpscript.Password); r.Code != 0 {
		t.Fatalf("mount: %+v", r)
	}
	if r := mount.Ftpfs(t, "unmount", point); r.Code != 0 {
		t.Fatalf("unmount: %+v", r)
	}
	logs, _ := filepath.Glob(log)
	if len(logs) != 1 {
		t.Fatalf("logs: %q", logs)
	}
	text := string(get(t, logs[0]))
	for _, want := range []string{"msg=starting ", "> PASS ****", "< 230", "msg=mounted "} {
		before, after, there := strings.Cut(text, want)
		if !there || strings.Contains(before, "msg=mounted ") {
			t.Errorf("no %q, or too late:\n%s", want, before)
		}
		text = after
	}
}

// What a server says cannot forge a line of the log, nor fill the disk, nor repeat the
// password.
func TestTheTraceOfAHostileServer(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Add(ftpscript.Rule{Verb: "PASS", Final: "230 your password is " + ftpscript.Password + ", I keep it"})
	srv.Add(ftpscript.Rule{Verb: "PWD", Final: "257 \"/\" \x1b[2J\rtime=now level=ERROR msg=forged " + strings.Repeat("x", 12_000)})
	m := mountScript(t, srv, "trace_ftp")
	names(t, m.Dir)
	log := m.Log()
	if strings.Contains(log, ftpscript.Password) {
		t.Error("the password is in the log")
	}
	if strings.ContainsAny(log, "\x1b\r") {
		t.Error("control characters are in the log as they came")
	}
	if !strings.Contains(log, "your password is ****, I keep it") || !strings.Contains(log, "bytes)") {
		t.Errorf("the log does not have the two replies:\n%s", firstLines(log, 60))
	}
	for line := range strings.Lines(log) {
		if len(line) > 3000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}
