package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

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

// Two mounts of a server that allows one or two connections in all: what one does not
// need at the moment the other has within seconds, and when both have much to do they
// take turns.
func TestTwoMountsOfACappedServer(t *testing.T) {
	for _, kind := range servers.All {
		for _, most := range []int{1, 2} {
			if kind == servers.Pyftpdlib && most > 1 {
				continue // it counts data connections, too: two sessions leave it none
			}
			t.Run(fmt.Sprintf("%s %d", kind, most), func(t *testing.T) {
				t.Parallel() // it mostly waits
				srv := servers.Start(t, kind, servers.Options{MaxClients: most})
				for _, dir := range []string{"a", "b"} {
					must(t, os.Mkdir(filepath.Join(srv.Root, dir), 0o755))
					must(t, os.Chmod(filepath.Join(srv.Root, dir), 0o777)) // the server is somebody else
					put(t, filepath.Join(srv.Root, dir, "f"), noise(1, 1<<20))
				}
				a := mount.New(t, mount.Options{URL: srv.URL("/a"), Password: srv.Password, O: []string{"dir_cache_time=0"}})
				for i := range 8 {
					must(t, os.Mkdir(filepath.Join(srv.Root, "a", fmt.Sprint("dir", i)), 0o755))
				}
				eventually(t, "have all connections", func() bool {
					// An upload beside them, as a server whose logins take long gets no
					// second one for questions alone that are soon answered.
					put(t, a.Path("busy"), noise(9, 4<<20))
					var wg sync.WaitGroup
					for i := range 8 {
						wg.Go(func() {
							if _, err := os.ReadDir(a.Path(fmt.Sprint("dir", i))); err != nil {
								t.Error(err)
							}
						})
					}
					wg.Wait()
					return a.Status().Connections.Open == most
				})
				b := mount.New(t, mount.Options{URL: srv.URL("/b"), Password: srv.Password, O: []string{"dir_cache_time=0"}})
				for i, m := range []*mount.Mount{a, b, a, b} {
					begun := time.Now()
					names(t, m.Dir)
					put(t, m.Path("new"), noise(uint64(i), 1<<20))
					holds(t, m.Path("f"), noise(1, 1<<20))
					syncNow(t, m)
					if took := time.Since(begun); took > 10*time.Second { // a second or less, and what other tests need
						t.Errorf("step %d took %v", i, took)
					}
				}
				done := make(chan error, 2)
				for _, m := range []*mount.Mount{a, b} {
					go func() {
						var err error
						for begun := time.Now(); err == nil && time.Since(begun) < 10*time.Second; {
							from := time.Now()
							_, err = os.ReadDir(m.Dir)
							if took := time.Since(from); took > 15*time.Second {
								t.Errorf("ls waited for %v", took)
							}
						}
						done <- err
					}()
				}
				must(t, <-done)
				must(t, <-done)
			})
		}
	}
}
