package test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/test/servers"
)

var manyFiles = flag.Int("times.files", 3_000, "how many files TestExactTimesOfManyFiles lists")

// TestExactTimesOfManyFiles lists a directory of vsftpd, which has no MLSD: each file
// has its time to the second, so that a second rsync sends nothing there either.
func TestExactTimesOfManyFiles(t *testing.T) {
	srv := servers.Start(t, servers.VSFTPD, servers.Options{Extra: []string{"log_ftp_protocol=NO"}})
	dir := filepath.Join(srv.Root, "many")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from := time.Date(2024, 1, 1, 0, 0, 7, 0, time.UTC)
	at := func(i int) time.Time { return from.Add(time.Duration(i) * 37 * time.Second) }
	for i := range *manyFiles {
		p := filepath.Join(dir, fmt.Sprintf("file-%d", i))
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, at(i), at(i)); err != nil {
			t.Fatal(err)
		}
	}
	s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: srv.User, Password: srv.Password, Timeout: 60 * time.Second})
	defer s.Close()
	for range 2 {
		began := time.Now()
		entries, err := s.List(t.Context(), "/many")
		if err != nil || len(entries) != *manyFiles {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			var i int
			if _, err := fmt.Sscanf(e.Name, "file-%d", &i); err != nil || !e.MTime.Equal(at(i)) || e.MGrain != time.Second {
				t.Fatalf("%s has the time %v ± %v, want %v (%v)", e.Name, e.MTime, e.MGrain, at(i), err)
			}
		}
		t.Logf("%d files with exact times in %v", len(entries), time.Since(began).Round(time.Millisecond))
	}
}
