package doctor

import (
	"time"

	"ftpfs/ftpconn"
)

// Level of a finding.
type Level string

const (
	OK      Level = "ok"
	Note    Level = "note"    // the mount gets along with it; who uses it may want to know
	Problem Level = "problem" // something will not work, or not as it should
	Unknown Level = "unknown" // it was not found out
)

// atLeast is the graver of two levels; one that is not known stays so.
func (l Level) atLeast(m Level) Level {
	if l == OK || l == Note && m == Problem {
		return m
	}
	return l
}

// Finding is what was found out about one thing.
type Finding struct {
	ID    string `json:"id"`    // one of those in order
	Title string `json:"title"` // for people
	Level Level  `json:"level"`
	Text  string `json:"text"` // in one line

	// More are further lines that belong to it.
	More []string `json:"more,omitempty"`
	// Of what failed: the command, the answer, and what may help.
	Sent string `json:"sent,omitempty"`
	Came string `json:"came,omitempty"`
	Try  string `json:"try,omitempty"`
}

// Verdict of a whole report.
type Verdict string

const (
	Good       Verdict = "good"       // no problem was found
	Limited    Verdict = "limited"    // it can be mounted, and there are problems
	Impossible Verdict = "impossible" // it cannot be mounted, or nothing be read there
	Cut        Verdict = "cut"        // the run was ended before that could be told
)

// Report is all that was found out. Its form is Version.
type Report struct {
	Version  int       `json:"version"` // 1
	Server   string    `json:"server"`  // host:port
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	ReadOnly bool      `json:"read_only"`
	Verdict  Verdict   `json:"verdict"`
	Findings []Finding `json:"findings"`
	Options  []Option  `json:"options"` // that a mount of this server needs beside those it was asked with
	Left     []string  `json:"left"`    // paths in the mounted directory that could not be removed
	Facts    Facts     `json:"facts"`

	// Memory is what a mount should know; empty where nobody logged in.
	Memory ftpconn.Memory `json:"-"`
}

// Option is one for -o.
type Option struct {
	Text string `json:"option"` // NAME or NAME=VALUE
	Why  string `json:"why"`
}

// Facts are the findings for programs. What was not found out is left out.
type Facts struct {
	Greeting string   `json:"greeting,omitempty"`
	Software string   `json:"software,omitempty"`
	Product  string   `json:"product,omitempty"` // with its version
	System   string   `json:"system,omitempty"`
	Features []string `json:"features,omitempty"`
	Idle     float64  `json:"idle_timeout_seconds,omitempty"` // as the server tells it

	TLS         *Encryption `json:"tls,omitempty"`
	Login       float64     `json:"login_seconds,omitempty"`
	Connections int         `json:"connections,omitempty"` // that were had at once
	Capped      bool        `json:"connections_capped,omitempty"`
	Data        string      `json:"data_connections,omitempty"` // EPSV, PASV, active
	PASV        string      `json:"pasv_address,omitempty"`

	Directory string   `json:"directory,omitempty"`
	Writable  *bool    `json:"writable,omitempty"`
	Listing   string   `json:"listing,omitempty"`
	Zone      string   `json:"zone,omitempty"`
	Clock     *float64 `json:"clock_ahead_seconds,omitempty"` // of ours
	Hidden    *bool    `json:"hidden_files,omitempty"`
	Names     []Name   `json:"names,omitempty"`
	CaseBlind *bool    `json:"case_insensitive,omitempty"`

	FileTimes []string `json:"set_file_time,omitempty"` // commands that do it
	DirTimes  []string `json:"set_directory_time,omitempty"`
	Modes     string   `json:"set_mode,omitempty"`
	Replaces  *bool    `json:"rename_over,omitempty"`
	Restart   *bool    `json:"restart,omitempty"`
	Append    *bool    `json:"append,omitempty"`
	Patch     string   `json:"patch_in_place,omitempty"` // works, refused, truncates, wrong
	Sums      []string `json:"checksums,omitempty"`      // ways that are right
	Free      *int64   `json:"free_bytes,omitempty"`
	Total     *int64   `json:"total_bytes,omitempty"`

	RoundTrip float64 `json:"round_trip_ms,omitempty"`
	Up        float64 `json:"upload_bytes_per_second,omitempty"`
	Down      float64 `json:"download_bytes_per_second,omitempty"`
}

// Encryption is what is known of TLS.
type Encryption struct {
	Asked       string     `json:"asked"` // off, try, explicit, implicit
	Offered     *bool      `json:"offered,omitempty"`
	Version     string     `json:"version,omitempty"`
	Cipher      string     `json:"cipher,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	Issuer      string     `json:"issuer,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Fingerprint string     `json:"fingerprint_sha256,omitempty"` // of the certificate, in hex digits
	Pin         string     `json:"pin_sha256,omitempty"`         // of its key, as the option takes it
	Believed    *bool      `json:"certificate_believed,omitempty"`
	Data        string     `json:"data,omitempty"` // private, clear
	Handshakes  int64      `json:"data_handshakes,omitempty"`
	Resumed     int64      `json:"data_resumed,omitempty"`
}

// Name is a file name that was tried.
type Name struct {
	What    string `json:"what"`
	Name    string `json:"name"`             // escaped
	Outcome string `json:"outcome"`          // kept, changed, lost, refused
	Became  string `json:"became,omitempty"` // escaped
}

// titles of the findings, in the order in which they are told.
var titles = []struct{ id, title string }{
	{"greeting", "greeting"}, {"software", "software"}, {"tls", "encryption"}, {"login", "login"}, {"connections", "connections"},
	{"data", "data connections"}, {"directory", "directory"}, {"listing", "listing"}, {"hidden", "hidden files"}, {"names", "names"},
	{"times", "time setting"}, {"modes", "mode setting"}, {"rename", "rename over"}, {"restart", "restart"}, {"append", "append"},
	{"patch", "patch in place"}, {"sums", "checksums"}, {"space", "free space"}, {"rtt", "round trip"}, {"speed", "throughput"},
	{"left", "left behind"},
}

// worst is the verdict that the findings give.
func worst(findings []Finding) Verdict {
	for _, f := range findings {
		if f.Level == Problem {
			return Limited
		}
	}
	return Good
}
