// Package option reads -o: a comma-separated list of the names people know from
// curlftpfs, sshfs, mount.cifs and rclone, in which _ and - are alike. It owns
// the table of names and what each value may be, and nothing of what they do.
// No option is taken and then ignored: a name either acts, or belongs to
// mount(8), or asks for what ftpfs always does, or is refused with a line that
// says what to write instead.
package option

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/proxy"
)

// Options is what -o said. Pointers are nil and sizes 0 where nothing was said
// and the mount chooses.
type Options struct {
	CacheDir     string        `json:"cache_dir,omitempty"`
	CacheSize    int64         `json:"cache_size,omitempty"`
	SpoolSize    int64         `json:"spool_size,omitempty"`
	Quota        int64         `json:"quota,omitempty"` // of the server, for statfs
	DirCacheTime time.Duration `json:"dir_cache_time"`
	SyncClose    bool          `json:"sync_close,omitempty"`
	FsyncServer  bool          `json:"fsync_server,omitempty"`
	MaxDirtyAge  time.Duration `json:"max_dirty_age"` // 0: never

	MaxConns int           `json:"max_conns,omitempty"`
	BwUp     int64         `json:"bw_up,omitempty"` // bytes a second; 0: no bound
	BwDown   int64         `json:"bw_down,omitempty"`
	Timeout  time.Duration `json:"timeout"`
	Active   bool          `json:"active,omitempty"`
	Passive  bool          `json:"passive,omitempty"` // active=no
	Port     int           `json:"port,omitempty"`

	ActiveAddress string `json:"active_address,omitempty"` // an address without brackets, or a host name
	ActivePorts   Range  `json:"active_ports,omitzero"`

	TraceFTP bool `json:"trace_ftp,omitempty"`
	Zone     *int `json:"zone,omitempty"` // of LIST's times, seconds east of UTC; nil: found out

	Proxy string `json:"proxy,omitempty"` // an URL, with user and password; "none" for none, whatever the environment says

	Codepage string `json:"codepage,omitempty"` // of the server's names; "": UTF-8, or bytes as they are

	TLS          target.TLS `json:"tls,omitempty"`
	Pins         []pin.Pin  `json:"pins,omitempty"`
	NoVerifyPeer bool       `json:"no_verify_peer,omitempty"`
	NoVerifyName bool       `json:"no_verify_hostname,omitempty"`
	ClearData    bool       `json:"clear_data,omitempty"`
	NoTLS13      bool       `json:"disable_tls13,omitempty"`

	AllowOther bool     `json:"allow_other,omitempty"`
	UID        *uint32  `json:"uid,omitempty"`
	GID        *uint32  `json:"gid,omitempty"`
	Umask      *uint32  `json:"umask,omitempty"`
	ReadOnly   bool     `json:"ro,omitempty"`
	Flags      []string `json:"flags,omitempty"` // words for mount(2), such as noexec
	NonEmpty   bool     `json:"nonempty,omitempty"`
	NoFail     bool     `json:"nofail,omitempty"`
	FsName     string   `json:"fsname,omitempty"`

	LogLevel slog.Level `json:"log_level"`
	Metrics  string     `json:"metrics,omitempty"` // HOST:PORT; "": told to nobody

	// Files; read before anything is handed on.
	Credentials string `json:"-"`
	CACert      string `json:"-"`
	Cert, Key   string `json:"-"`

	ProxyKind proxy.Kind `json:"-"` // of a Proxy without a scheme; "" if that is not said
	ProxyUser string     `json:"-"` // NAME[:PASSWORD]

	User        string `json:"-"`
	Password    string `json:"-"`
	HasPassword bool   `json:"-"`
}

// Range of ports, both ends included; the zero value is any port.
type Range struct{ Low, High int }

// Defaults are the options of a mount that was given none.
func Defaults() Options {
	return Options{DirCacheTime: 10 * time.Second, MaxDirtyAge: 5 * time.Minute, Timeout: 30 * time.Second, LogLevel: slog.LevelInfo}
}

// Unknown is a name that is not in the table, and the known one that it is
// probably meant to be; "" when none is near.
type Unknown struct{ Name, Nearest string }

func (e *Unknown) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("unknown option %q; ftpfs --help lists those there are", e.Name)
	}
	return fmt.Sprintf("unknown option %q; did you mean %q?", e.Name, e.Nearest)
}

// Parse adds the options in list to o; of two that say the same, the last
// counts. Errors never show a password.
func (o *Options) Parse(list string) error { return o.parse(list, nil) }

// ParseSloppy is Parse for mount -s: unknown options are handed to skipped
// instead of being an error.
func (o *Options) ParseSloppy(list string, skipped func(*Unknown)) error {
	return o.parse(list, skipped)
}

func (o *Options) parse(list string, skipped func(*Unknown)) error {
	for _, item := range split(list) {
		if item == "" {
			continue
		}
		err := o.one(item)
		var unknown *Unknown
		if errors.As(err, &unknown) && o.HasPassword {
			// What follows may be the rest of a password.
			return errors.New("unknown option after a password; a comma within a password is written \\,")
		}
		if skipped != nil && errors.As(err, &unknown) {
			skipped(unknown)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) one(item string) error {
	key, value, hasValue := strings.Cut(item, "=")
	if strings.HasPrefix(key, "x-") || strings.HasPrefix(key, "X-") {
		return nil // for systemd, autofs and people
	}
	key = strings.ReplaceAll(key, "-", "_")
	if !hasValue && slices.Contains(kernelWords, key) {
		o.Flags = append(o.Flags, key)
		return nil
	}
	if !hasValue && slices.Contains(mountWords, key) || key == "comment" {
		return nil
	}
	d := find(key)
	switch {
	case d == nil:
		if hint, ok := hints[key]; ok {
			return fmt.Errorf("option %q is not one of ftpfs; %s", key, hint)
		}
		return &Unknown{Name: key, Nearest: nearest(key)}
	case d.arg != "" && !hasValue:
		return fmt.Errorf("option %q needs a value: %s=%s", key, key, d.arg)
	}
	if err := d.set(o, value, hasValue); err != nil {
		return fmt.Errorf("option %s: %w", key, err)
	}
	return nil
}

// Split cuts a list into its options, as they were meant: without what keeps a comma.
func Split(list string) []string { return split(list) }

// split cuts at commas; "\," is a comma within a value and "\\" a backslash.
// A backslash before anything else stands for itself.
func split(list string) []string {
	var items []string
	var b strings.Builder
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list) && (list[i+1] == ',' || list[i+1] == '\\'):
			i++
			b.WriteByte(list[i])
		case c == ',':
			items = append(items, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(items, b.String())
}

// Names of all options that change something, without aliases, sorted.
func Names() []string {
	var names []string
	for _, d := range table {
		if !d.settled {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return names
}

func find(key string) *def {
	for i := range table {
		if table[i].name == key || slices.Contains(table[i].aliases, key) {
			return &table[i]
		}
	}
	return nil
}

// nearest is the known name that key is probably a slip of. A name is near when a
// third of its letters or less would have to change, or when it was cut short: a
// guess beyond that only misleads.
func nearest(key string) string {
	best, dist := "", 1<<30
	consider := func(name string) {
		d := levenshtein.ComputeDistance(key, name)
		if strings.HasPrefix(name, key) && len(key) >= 3 { // cache_t → cache_timeout
			d = min(d, 1)
		}
		if d < dist && d <= max(len(key), len(name))/3 {
			best, dist = name, d
		}
	}
	for _, d := range table {
		consider(d.name)
	}
	for _, d := range table {
		for _, a := range d.aliases {
			consider(a)
		}
	}
	for _, w := range append(kernelWords, mountWords...) {
		consider(w)
	}
	return best
}
