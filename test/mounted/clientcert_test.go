package mounted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/certs"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// vsftpd that insists on a certificate of ours: with cert= and key= it is mounted, and
// data goes both ways; without them one line says what to give, in both versions of TLS.
func TestAServerThatWantsACertificateOfOurs(t *testing.T) {
	authority := certs.Authority(t)
	pair := certs.Issue(t, certs.Options{Signer: authority})
	ours := certs.Issue(t, certs.Options{Signer: authority, Client: true})
	dir := mount.TempDir(t)
	file := func(name string, pem []byte) string {
		must(t, os.WriteFile(filepath.Join(dir, name), pem, 0o600))
		return filepath.Join(dir, name)
	}
	srv := servers.Start(t, servers.VSFTPD, servers.Options{TLS: &servers.TLS{Cert: pair.PEM, Key: pair.Key, Required: true},
		Extra: []string{"require_cert=YES", "validate_cert=YES", "ca_certs_file=" + file("ca.pem", authority.PEM)}})
	both := "cert=" + file("cert.pem", ours.PEM) + ",key=" + file("key.pem", ours.Key)
	for _, version := range []string{"", "disable_tls13"} {
		options := []string{"cacert=" + filepath.Join(dir, "ca.pem"), "timeout=10"}
		if version != "" {
			options = append(options, version)
		}
		point := mkdir(t, filepath.Join(dir, "mnt"+version))
		r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + srv.Password}}.Do(t, program(t),
			"-o", strings.Join(append(options, "cache_dir="+filepath.Join(dir, "cache")), ","), srv.URL(""), point)
		if r.Code != 32 || strings.Count(r.Err, "\n") != 1 || !strings.Contains(r.Err, "cert=FILE,key=FILE") {
			t.Errorf("%s: exit code %d and stderr %q, want 32 and one line with the remedy", version, r.Code, r.Err)
		}
		m := mountOf(t, srv, append(options, both)...)
		put(t, m.Path("file"), []byte("content"))
		syncNow(t, m)
		if got := string(get(t, filepath.Join(srv.Root, "file"))); got != "content" {
			t.Errorf("%s: the server has %q", version, got)
		}
		m.Unmount()
		m = mountOf(t, srv, append(options, both)...)
		holds(t, m.Path("file"), []byte("content"))
	}
}
