package mounted

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// Prometheus is told what a mount owes and moves, for as long as it lives; two mounts cannot
// have one address.
func TestMetricsOfAMount(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	at := l.Addr().String()
	must(t, l.Close())

	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/f", make([]byte, 70_000))
	srv.Tree.Put("/other/f", nil)
	dir := mount.TempDir(t)
	points := []string{mkdir(t, filepath.Join(dir, "a")), mkdir(t, filepath.Join(dir, "b"))}
	cmd := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}
	options := "metrics=" + at + ",cache_dir=" + dir + "/cache"
	t.Cleanup(func() { mount.Detach(points[0]) })
	if r := cmd.Do(t, program(t), "-o", options, srv.URL(""), points[0]); r.Code != 0 {
		t.Fatalf("mount: %+v", r)
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	value := func(name string) float64 {
		t.Helper()
		r, err := client.Get("http://" + at + "/metrics")
		must(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		must(t, err)
		m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in\n%s", name, text)
		}
		v, err := strconv.ParseFloat(string(m[1]), 64)
		must(t, err)
		return v
	}
	holds(t, filepath.Join(points[0], "f"), make([]byte, 70_000))
	if got := value("ftpfs_received_bytes_total"); got < 70_000 || got > 75_000 {
		t.Errorf("%v bytes received, of a file of 70,000", got)
	}
	// What the server refuses is owed, then parked; what it takes is sent.
	refusal := srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "553 No."})
	before := value("ftpfs_sent_bytes_total")
	put(t, filepath.Join(points[0], "new"), make([]byte, 3000))
	eventually(t, "tell of a parked file", func() bool { return value("ftpfs_parked_files") == 1 })
	if up, age := value("ftpfs_server_up"), value("ftpfs_owed_oldest_age_seconds"); up != 1 || age <= 0 {
		t.Errorf("up %v, owed for %v s", up, age)
	}
	refusal.Remove()
	mount.Ftpfs(t, "retry", points[0])
	eventually(t, "tell that nothing is owed", func() bool { return value("ftpfs_parked_files") == 0 && value("ftpfs_owed_files") == 0 })
	if got := value("ftpfs_sent_bytes_total") - before; got < 3000 || got > 10_000 {
		t.Errorf("%v bytes sent, of a file of 3,000", got)
	}

	if r := cmd.Do(t, program(t), "-o", options+"2", srv.URL("other"), points[1]); r.Code != 2 || !regexp.MustCompile(fmt.Sprintf(`^ftpfs: metrics=%s: .*address already in use; each mount needs an address of its own\n$`, at)).MatchString(r.Err) {
		t.Errorf("a second mount with that address: %+v", r)
	}
	if r := mount.Ftpfs(t, "unmount", points[0]); r.Code != 0 {
		t.Errorf("unmount: %+v", r)
	}
	if r, err := client.Get("http://" + at + "/metrics"); err == nil {
		r.Body.Close()
		t.Error("somebody still answers there")
	}
}
