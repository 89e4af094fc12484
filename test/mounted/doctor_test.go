package mounted

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ftpfs/ftpconn/doctor"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// examine runs ftpfs doctor --json.
func examine(t *testing.T, srv *servers.Server) (rep doctor.Report, code int) {
	t.Helper()
	program, err := mount.Program()
	must(t, err)
	r := mount.Command{Env: []string{"FTPFS_PASSWORD=" + srv.Password}}.Do(t, program,
		"doctor", "--json", "-o", "cache_dir="+mount.TempDir(t), srv.URL(""))
	if err := json.Unmarshal([]byte(r.Out), &rep); err != nil {
		t.Fatalf("%v: %s%s", err, r.Out, r.Err)
	}
	return rep, r.Code
}

// Where a mount has all connections that the server allows, it gives way to the doctor as
// to another mount, whether it has much to do or not, and has them again afterwards.
func TestDoctorBesideAMount(t *testing.T) {
	for _, kind := range []servers.Kind{servers.VSFTPD, servers.ProFTPD} {
		for _, most := range []int{1, 2} {
			for _, busy := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %d busy=%v", kind, most, busy), func(t *testing.T) {
					t.Parallel() // it mostly waits
					srv := servers.Start(t, kind, servers.Options{MaxClients: most})
					m := mount.New(t, mount.Options{URL: srv.URL(""), Password: srv.Password, O: []string{"dir_cache_time=0"}, Watchdog: 4 * time.Minute})
					end, ended := make(chan struct{}), make(chan struct{})
					go func() {
						defer close(ended)
						for first := true; busy || first; first = false {
							from := time.Now()
							_, err := os.ReadDir(m.Dir)
							if took := time.Since(from); err != nil || took > 30*time.Second {
								t.Errorf("ls: %v after %v", err, took)
								return
							}
							select {
							case <-end:
								return
							default:
							}
						}
					}()
					rep, code := examine(t, srv)
					close(end)
					<-ended
					if code != 0 && code != 5 || len(rep.Left) > 0 {
						t.Errorf("exit code %d, left %v", code, rep.Left)
					}
					for _, f := range rep.Findings {
						if strings.HasPrefix(f.Text, "not tried") || strings.Contains(f.Text, "broke off") || strings.Contains(f.Text, "found out") {
							t.Errorf("%+v", f)
						}
					}
					if n := rep.Facts.Connections; n != most {
						t.Errorf("%d connections", n)
					}
					begun := time.Now()
					names(t, m.Dir)
					if took := time.Since(begun); took > 5*time.Second {
						t.Errorf("ls waited for %v afterwards", took)
					}
				})
			}
		}
	}
}
