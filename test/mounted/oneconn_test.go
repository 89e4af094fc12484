package mounted

import (
	"os"
	"path/filepath"
	"testing"

	"ftpfs/test/certs"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// With one connection a long download, a long upload and ls take turns, on servers that
// append and on one that does not, in clear and encrypted. bwlimit makes them long.
func TestOneConnectionIsEnough(t *testing.T) {
	for _, kind := range servers.All {
		for _, encrypted := range []bool{false, true} {
			name := string(kind)
			if encrypted {
				name += " TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel() // it mostly waits
				var o servers.Options
				options := []string{"max_conns=1", "bwlimit=1M", "dir_cache_time=0"}
				if encrypted {
					pair := certs.Issue(t, certs.Options{})
					o.TLS = &servers.TLS{Cert: pair.PEM, Key: pair.Key}
					options = append(options, believed(t, pair), "tls=explicit")
				}
				srv := servers.Start(t, kind, o)
				m := mount.New(t, mount.Options{URL: srv.URL(""), Password: srv.Password, O: options})
				down, up := noise(1, 3<<20), noise(2, 3<<20)
				put(t, filepath.Join(srv.Root, "down"), down)
				must(t, os.Mkdir(m.Path("dir"), 0o755))
				read := make(chan error, 1)
				go func() {
					got, err := os.ReadFile(m.Path("down"))
					if err == nil && string(got) != string(down) {
						t.Error("the download: " + difference(got, down))
					}
					read <- err
				}()
				put(t, m.Path("up"), up)
				listed := 0
				there := func() bool {
					fi, err := os.Stat(filepath.Join(srv.Root, "up"))
					return err == nil && fi.Size() == int64(len(up))
				}
				eventually(t, "send a file beside a download and ls", func() bool {
					if there() {
						return true
					}
					if _, err := os.ReadDir(m.Path("dir")); err != nil {
						t.Errorf("ls: %v", err)
					}
					listed++
					return there()
				})
				must(t, <-read)
				holds(t, filepath.Join(srv.Root, "up"), up)
				if listed == 0 {
					t.Error("nothing was listed meanwhile")
				}
			})
		}
	}
}
