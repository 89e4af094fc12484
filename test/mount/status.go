package mount

import (
	"encoding/json"
	"strings"
	"syscall"
)

// Status is what ftpfs status --json says, as far as tests look at it.
type Status struct {
	Mountpoint  string `json:"mountpoint"`
	State       string `json:"state"`
	PID         int    `json:"pid"`
	Error       string `json:"error"`
	Connections struct {
		Commands int64  `json:"commands"`
		Logins   int64  `json:"logins"`
		Open     int    `json:"open"`
		Passive  string `json:"passive"`
		Because  string `json:"active_because"`
		TLS      struct {
			Version    string `json:"version"`
			Data       string `json:"data"`
			Warning    string `json:"warning"`
			Handshakes int64  `json:"data_handshakes"`
			Resumed    int64  `json:"data_resumed"`
		} `json:"tls"`
	} `json:"connections"`
	Cache struct {
		Online      bool   `json:"online"`
		LastError   string `json:"last_error"`
		SpoolDir    string `json:"spool_dir"`
		CacheUsed   int64  `json:"cache_used"`
		SpoolUsed   int64  `json:"spool_used"`
		Owed        int    `json:"owed_files"`
		OwedBytes   int64  `json:"owed_bytes"`
		Parked      int    `json:"parked_files"`
		Quarantined int    `json:"quarantined"`
		Conflicts   []struct {
			Path string `json:"path"`
			Copy string `json:"copy"`
			What string `json:"what"`
		} `json:"conflicts"`
		Files []struct {
			Path     string `json:"path"`
			State    string `json:"state"`
			Attempts int    `json:"attempts"`
			Size     int64  `json:"size"`
			Error    string `json:"error"`
		} `json:"owed"`
	} `json:"cache"`
}

// Status asks the daemon.
func (m *Mount) Status() Status {
	m.tb.Helper()
	r := Ftpfs(m.tb, "status", "--json", m.Dir)
	if r.Code != 0 {
		m.tb.Fatalf("ftpfs status: exit code %d: %s", r.Code, r.Err)
	}
	var report struct{ Mounts []Status }
	if err := json.Unmarshal([]byte(r.Out), &report); err != nil || len(report.Mounts) != 1 {
		m.tb.Fatalf("ftpfs status --json: %v: %s", err, r.Out)
	}
	if s := report.Mounts[0]; s.Error == "" {
		return s
	}
	m.tb.Fatalf("ftpfs status: %s", report.Mounts[0].Error)
	return Status{}
}

// State is the extended attribute user.ftpfs.state of a file: "clean", "dirty",
// "uploading", "parked: …".
func (m *Mount) State(elem ...string) string {
	m.tb.Helper()
	buf := make([]byte, 1024)
	n, err := syscall.Getxattr(m.Path(elem...), "user.ftpfs.state", buf)
	if err != nil {
		m.tb.Fatalf("user.ftpfs.state of %s: %v", strings.Join(elem, "/"), err)
	}
	return string(buf[:n])
}
