package metrics

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
	"ftpfs/ftpconn"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// Each number of a status is told, under a name as Prometheus has them.
func TestMetrics(t *testing.T) {
	status := control.Status{URL: "ftp://h/d", Mountpoint: "/mnt/\xff\"x", State: "mounted", Version: "1", Since: time.Unix(1000, 0),
		Cache: cache.Status{Online: true, OwedFiles: 2, OwedBytes: 3, Open: 1, Parked: 4, Quarantined: 5, Conflicts: make([]cache.Conflict, 6),
			SpoolUsed: 7, SpoolSize: 8, CacheUsed: 9, CacheSize: 10, Entries: 11, Listings: 12,
			Owed: []cache.OwedFile{{Since: time.Now()}, {Since: time.Now().Add(-time.Hour)}}},
		Connections: ftpconn.Stats{Busy: 13, Idle: 14, Max: 15, Waiting: 16, Logins: 17, Commands: 18, Received: 19, Sent: 20, Refused: "530 No.", Software: "ProFTPD"}}
	s, err := Listen("127.0.0.1:0", func() control.Status { return status }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	code, text := get(t, "http://"+s.Addr()+"/metrics")
	for _, want := range []string{
		`ftpfs_info{mountpoint="/mnt/�\"x",software="ProFTPD",state="mounted",tls="none",url="ftp://h/d",version="1"} 1`,
		"ftpfs_start_time_seconds 1000", "ftpfs_server_up 1", "ftpfs_login_refused 1",
		"ftpfs_owed_files 2", "ftpfs_owed_bytes 3", "ftpfs_owed_open_files 1", "ftpfs_owed_oldest_age_seconds 3600.",
		"ftpfs_parked_files 4", "ftpfs_quarantined_files 5", "ftpfs_conflicts 6",
		"ftpfs_spool_used_bytes 7", "ftpfs_spool_size_bytes 8", "ftpfs_cache_used_bytes 9", "ftpfs_cache_size_bytes 10",
		"ftpfs_known_entries 11", "ftpfs_known_directories 12",
		"ftpfs_connections_busy 13", "ftpfs_connections_idle 14", "ftpfs_connections_max 15", "ftpfs_connections_waiting 16",
		"ftpfs_logins_total 17", "ftpfs_commands_total 18", "ftpfs_received_bytes_total 19", "ftpfs_sent_bytes_total 20",
		"process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if code != http.StatusOK || t.Failed() {
		t.Errorf("%d:\n%s", code, text)
	}
	if n := strings.Count(text, "# TYPE ftpfs_"); n != len(metrics)+1 {
		t.Errorf("%d metrics, want %d", n, len(metrics)+1)
	}
	bad, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range bad {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if code, _ := get(t, "http://"+s.Addr()+"/"); code != http.StatusNotFound {
		t.Errorf("something else: %d", code)
	}
}

// Who asks and says nothing does not keep the mount from ending, and the port is free then.
func TestCloseDoesNotWaitForWhoSaysNothing(t *testing.T) {
	s, err := Listen("127.0.0.1:0", func() control.Status { return control.Status{} }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(s.Addr(), nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "an address of its own") {
		t.Errorf("a second one there: %v", err)
	}
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /metr")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection is not ended: %v", err)
	}
	again, err := Listen(s.Addr(), func() control.Status { return control.Status{} }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
