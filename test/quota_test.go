package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/servers"
)

// TestQuotaOfProFTPD asks a real mod_quotatab for space, in bytes and in Mb, and goes
// beyond it: that is no space, and not a fault that would be tried again.
func TestQuotaOfProFTPD(t *testing.T) {
	ftpquota := "../.deps/usr/sbin/ftpquota" // test/deps.sh unpacks it
	if _, err := os.Stat(ftpquota); err != nil {
		if ftpquota, err = exec.LookPath("ftpquota"); err != nil {
			if os.Getenv("FTPFS_REQUIRE_ALL") == "1" {
				t.Fatal(err)
			}
			t.Skipf("SKIPPED: %v", err)
		}
	}
	for _, units := range []string{"b", "Mb"} {
		dir := t.TempDir()
		limit, tally := filepath.Join(dir, "limit"), filepath.Join(dir, "tally")
		for _, args := range [][]string{
			{"--create-table", "--type=limit", "--table-path=" + limit},
			{"--create-table", "--type=tally", "--table-path=" + tally},
			{"--add-record", "--type=limit", "--name=tester", "--quota-type=user", "--limit-type=hard", "--bytes-upload=10", "--units=Mb", "--table-path=" + limit},
		} {
			if said, err := exec.Command("perl", append([]string{ftpquota}, args...)...).CombinedOutput(); err != nil {
				t.Fatalf("ftpquota %q: %v: %s", args, err, said)
			}
		}
		srv := servers.Start(t, servers.ProFTPD, servers.Options{Extra: []string{"LoadModule mod_quotatab.c", "LoadModule mod_quotatab_file.c",
			"QuotaEngine on", "QuotaShowQuotas on", "QuotaDisplayUnits " + units, "QuotaLimitTable file:" + limit, "QuotaTallyTable file:" + tally}})
		s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: srv.User, Password: srv.Password, Timeout: 20 * time.Second, MountTag: "0badcafe"})
		defer s.Close()
		for _, free := range []int64{10 << 20, 7 << 20} {
			if sp, err := s.Statfs(t.Context()); err != nil || sp != (remote.Space{Total: 10 << 20, Free: free}) {
				t.Errorf("%s: %+v, %v; want %d free of 10 MiB", units, sp, err, free)
			}
			if free == 10<<20 {
				if err := s.Write(t.Context(), "/three", bytes.NewReader(make([]byte, 3<<20)), 0, 3<<20); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.Write(t.Context(), "/more", bytes.NewReader(make([]byte, 13<<20)), 0, 13<<20); !remote.Is(err, remote.NoSpace) {
			t.Errorf("%s: beyond the quota: %v", units, err)
		}
	}
}
