package mounted

import (
	"crypto/tls"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
	"ftpfs/test/link"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// believed writes certificates to a file for cacert=.
func believed(t *testing.T, p *certs.Pair) string {
	t.Helper()
	name := filepath.Join(mount.TempDir(t), "ca.pem")
	put(t, name, p.PEM)
	return "cacert=" + name
}

func serverTLS(p *certs.Pair) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{p.TLS}} }

// A certificate that is not believed is one line, from which the pin can be pasted; the
// server does not hear the password before. Neither nofail nor being in the background makes
// a difference.
func TestARefusedCertificateIsOneLine(t *testing.T) {
	pair := certs.Issue(t, certs.Options{Hosts: []string{"www.example.org"}})
	srv := ftpscript.Start(t, ftpscript.Options{TLS: serverTLS(pair)})
	srv.Tree.Put("/file", []byte("content"))
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "mnt"))
	var pin string
	for _, args := range [][]string{{}, {"-f"}, {"-o", "nofail"}, {"-o", "no_verify_hostname"}} {
		args = append(args, "-o", "log_level=error,timeout=10,cache_dir="+filepath.Join(dir, "cache"), srv.URL(""), point)
		r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}.Do(t, program(t), args...)
		m := regexp.MustCompile(`-o (pin_sha256=\S+)`).FindStringSubmatch(r.Err)
		if r.Code != 32 || strings.Count(r.Err, "\n") != 1 || m == nil {
			t.Fatalf("%q: exit code %d and stderr %q, want 32 and one line with a pin", args, r.Code, r.Err)
		}
		pin = m[1]
	}
	if said := srv.Since(0).Verbs("USER", "PASS"); len(said) > 0 {
		t.Errorf("the server heard %v", said)
	}
	if got := string(get(t, mountScript(t, srv, pin).Path("file"))); got != "content" {
		t.Errorf("with %s it reads as %q", pin, got)
	}
}

// Who asked for encryption is not mounted in clear.
func TestAServerWithoutTLSIsNotMounted(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "mnt"))
	for how, want := range map[string]string{"explicit": "does not take AUTH TLS", "implicit": "ftpes://"} {
		r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}.Do(t, program(t),
			"-o", "nofail,timeout=10,tls="+how+",cache_dir="+filepath.Join(dir, "cache"), srv.URL(""), point)
		if r.Code != 32 || strings.Count(r.Err, "\n") != 1 || !strings.Contains(r.Err, want) {
			t.Errorf("%s: exit code %d and stderr %q, want 32 and one line with %q", how, r.Code, r.Err, want)
		}
	}
	if said := srv.Since(0).Verbs("USER", "PASS"); len(said) > 0 {
		t.Errorf("the server heard %v", said)
	}
}

// What a mount in clear still owed goes out by the next one, which is encrypted.
func TestWhatIsOwedGoesOutEncryptedToo(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	srv := ftpscript.Start(t, ftpscript.Options{TLS: serverTLS(pair)})
	clear := strings.Replace(srv.URL(""), "ftpes://", "ftp://", 1)
	m := mount.New(t, mount.Options{URL: clear, Password: ftpscript.Password})
	names(t, m.Dir)
	rule := srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "451 Not now."})
	put(t, m.Path("file"), []byte("content"))
	m.Kill()
	rule.Remove()
	again := mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, CacheDir: m.CacheDir, O: []string{believed(t, pair)}})
	syncNow(t, again)
	if got, _ := srv.Tree.Get("/file"); string(got) != "content" {
		t.Errorf("the server has %q", got)
	}
}

// A user's password that crosses a network in clear gets one line, with the URL to use
// instead; that one gets none.
func TestAPasswordInClearIsOneLine(t *testing.T) {
	l := link.New(t, link.Options{RTT: time.Millisecond})
	pair := certs.Issue(t, certs.Options{Hosts: []string{l.Far.Address()}})
	srv := servers.Start(t, servers.Pyftpdlib, servers.Options{In: l.Far, TLS: &servers.TLS{Cert: pair.PEM, Key: pair.Key}})
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "mnt"))
	t.Cleanup(func() { mount.Detach(point) })
	for url, want := range map[string]string{
		strings.Replace(srv.URL(""), "ftpes://", "ftp://", 1): "in clear; the server offers encryption: " + srv.URL(""),
		srv.URL(""): "",
	} {
		var r mount.Result
		must(t, l.Near.Do(func() error {
			o := "cache_dir=" + filepath.Join(dir, "cache")
			if want == "" {
				o += "," + believed(t, pair)
			}
			r = mount.Command{Env: []string{"FTPFS_PASSWORD=" + srv.Password}}.Do(t, program(t), "-o", o, url, point)
			return nil
		}))
		if r.Code != 0 || strings.Count(r.Err, "\n") != min(1, len(want)) || !strings.Contains(r.Err, strings.TrimSuffix(want, "/")) {
			t.Errorf("%s: exit code %d, stderr %q, want %q in one line", url, r.Code, r.Err, want)
		}
		if r := mount.Ftpfs(t, "unmount", point); r.Code != 0 {
			t.Errorf("unmount: %+v", r)
		}
	}
}
