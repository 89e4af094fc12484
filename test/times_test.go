package test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache/remote"
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

// TestAllPathsGetTheirTimes: neither a file that is not ours, nor a path that SITE UTIME can
// name, settles how times are set, if that is what is met first. MFMT is not in FEAT here.
func TestAllPathsGetTheirTimes(t *testing.T) {
	srv := servers.Start(t, servers.ProFTPD, servers.Options{NoMLSD: true})
	s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: srv.User, Password: srv.Password, Timeout: 60 * time.Second})
	defer s.Close()
	at := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC)
	for _, name := range []string{"roots", "plain", "with blanks in it"} {
		p := filepath.Join(srv.Root, name)
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if name == "roots" {
			if err := s.SetAttr(t.Context(), "/"+name, remote.Attr{MTime: &at}); err == nil && os.Geteuid() == 0 {
				t.Errorf("set the time of %q, of root", name)
			}
			continue
		}
		srv.Own(p)
		if err := s.SetAttr(t.Context(), "/"+name, remote.Attr{MTime: &at}); err != nil {
			t.Errorf("set the time of %q: %v", name, err)
		}
		if st, err := os.Stat(p); err != nil || !st.ModTime().Equal(at) {
			t.Errorf("%q has the time %v, want %v (%v)", name, st.ModTime(), at, err)
		}
	}
}
