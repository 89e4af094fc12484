package option

import (
	"fmt"
	"log/slog"
	"strings"

	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/codepage"
	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/proxy"
)

// def is one option. A name with an arg needs a value; one without is a switch
// that may be given =yes or =no.
type def struct {
	name    string
	arg     string
	aliases []string // names elsewhere whose meaning is truly the same
	settled bool     // asks for what ftpfs always does
	set     func(o *Options, value string, given bool) error
}

// table is in the order of the manual.
var table = []def{
	{name: "credentials", arg: "FILE", aliases: []string{"cred"}, // mount.cifs
		set: func(o *Options, v string, _ bool) error { return text(v, &o.Credentials) }},
	{name: "user", arg: "NAME", aliases: []string{"username"}, set: setUser}, // curlftpfs, mount.cifs
	{name: "password", arg: "PASSWORD", set: func(o *Options, v string, _ bool) error {
		o.Password, o.HasPassword = v, true
		return noControl(v)
	}},
	{name: "port", arg: "PORT", set: func(o *Options, v string, _ bool) error { return number(v, 1, 65535, &o.Port) }},
	{name: "tls", arg: "off|try|explicit|implicit", set: func(o *Options, v string, _ bool) error {
		switch how := target.TLS(v); how {
		case target.Off, target.Try, target.Explicit, target.Implicit:
			o.TLS = how
			return nil
		}
		return fmt.Errorf("%q is none of off, try, explicit, implicit", v)
	}},
	{name: "ssl", aliases: []string{"explicit_tls"}, set: askTLS(target.Explicit)}, // curlftpfs; rclone
	{name: "ssl_try", set: askTLS(target.Try)},                                     // curlftpfs
	{name: "ssl_control", set: func(o *Options, v string, given bool) error { // curlftpfs
		o.ClearData = true
		return askTLS(target.Explicit)(o, v, given)
	}},
	{name: "cacert", arg: "FILE", set: func(o *Options, v string, _ bool) error { return text(v, &o.CACert) }},
	{name: "pin_sha256", arg: "PIN", set: func(o *Options, v string, _ bool) error {
		p, err := pin.Parse(v)
		if err == nil {
			o.Pins = append(o.Pins, p)
		}
		return err
	}},
	{name: "no_verify_peer", set: flag(func(o *Options) *bool { return &o.NoVerifyPeer })},
	{name: "no_verify_hostname", set: flag(func(o *Options) *bool { return &o.NoVerifyName })},
	{name: "cert", arg: "FILE", set: func(o *Options, v string, _ bool) error { return text(v, &o.Cert) }},
	{name: "key", arg: "FILE", set: func(o *Options, v string, _ bool) error { return text(v, &o.Key) }},
	{name: "clear_data", set: flag(func(o *Options) *bool { return &o.ClearData })},
	{name: "disable_tls13", set: flag(func(o *Options) *bool { return &o.NoTLS13 })}, // rclone
	{name: "active", set: func(o *Options, v string, given bool) error {
		err := flag(func(o *Options) *bool { return &o.Active })(o, v, given)
		o.Passive = !o.Active
		return err
	}},
	{name: "active_address", arg: "ADDRESS", set: func(o *Options, v string, _ bool) error { return host(v, &o.ActiveAddress) }},
	{name: "active_ports", arg: "LOW-HIGH", set: func(o *Options, v string, _ bool) error { return ports(v, &o.ActivePorts) }},
	{name: "proxy", arg: "URL|none", set: func(o *Options, v string, _ bool) error { return setProxy(v, &o.Proxy) }},
	{name: "proxy_user", arg: "NAME[:PASSWORD]", // curlftpfs
		set: func(o *Options, v string, _ bool) error { o.ProxyUser = v; return noControl(v) }},
	{name: "socks5", set: func(o *Options, _ string, given bool) error { o.ProxyKind = proxy.SOCKS5; return bare(given) }},  // curlftpfs
	{name: "httpproxy", set: func(o *Options, _ string, given bool) error { o.ProxyKind = proxy.HTTP; return bare(given) }}, // curlftpfs
	{name: "socks_proxy", arg: "HOST:PORT", set: func(o *Options, v string, _ bool) error { // rclone
		o.ProxyKind = proxy.SOCKS5
		return setProxy(v, &o.Proxy)
	}},
	{name: "http_proxy", arg: "URL", set: func(o *Options, v string, _ bool) error { // rclone
		o.ProxyKind = proxy.HTTP
		return setProxy(v, &o.Proxy)
	}},
	{name: "max_conns", arg: "N", aliases: []string{"ftp_concurrency", "concurrency"}, // sshfs; rclone
		set: func(o *Options, v string, _ bool) error { return number(v, 1, 1000, &o.MaxConns) }},
	{name: "nomulticonn", set: func(o *Options, v string, given bool) error { // curlftpfs
		o.MaxConns = 1
		return bare(given)
	}},
	{name: "bwlimit", arg: "RATE|UP:DOWN", set: func(o *Options, v string, _ bool) error { return rates(v, &o.BwUp, &o.BwDown) }}, // rclone
	{name: "timeout", arg: "SECONDS", set: func(o *Options, v string, _ bool) error {
		if err := seconds(v, &o.Timeout); err != nil {
			return err
		}
		switch {
		case o.Timeout <= 0:
			return fmt.Errorf("%q: it must be more than zero, or a dead server would hang its users", v)
		case o.Timeout < minTimeout:
			return fmt.Errorf("%q is too short for any answer; from %v to %v is possible", v, minTimeout, maxTimeout)
		case o.Timeout > maxTimeout:
			return fmt.Errorf("%q: a dead server would hang its users for longer than %v", v, maxTimeout)
		}
		return nil
	}},

	{name: "dir_cache_time", arg: "SECONDS", // rclone; curlftpfs, sshfs, mount.cifs
		aliases: []string{"cache_timeout", "cache_dir_timeout", "dcache_timeout", "dcache_dir_timeout", "actimeo"},
		set:     func(o *Options, v string, _ bool) error { return seconds(v, &o.DirCacheTime) }},
	{name: "cache", arg: "no", aliases: []string{"dir_cache"}, // curlftpfs; sshfs
		set: func(o *Options, v string, _ bool) error {
			on, err := yes(v)
			if err == nil && !on {
				o.DirCacheTime = 0
			}
			return err
		}},
	{name: "cache_dir", arg: "DIR", set: func(o *Options, v string, _ bool) error { return text(v, &o.CacheDir) }},
	{name: "cache_size", arg: "SIZE", set: func(o *Options, v string, _ bool) error { return size(v, false, &o.CacheSize) }},
	{name: "vfs_cache_max_size", arg: "SIZE", // rclone, where a bare number is in KiB
		set: func(o *Options, v string, _ bool) error { return size(v, true, &o.CacheSize) }},
	{name: "spool_size", arg: "SIZE", set: func(o *Options, v string, _ bool) error { return size(v, false, &o.SpoolSize) }},
	{name: "quota", arg: "SIZE", set: func(o *Options, v string, _ bool) error { return size(v, false, &o.Quota) }},
	{name: "max_dirty_age", arg: "SECONDS|never", set: func(o *Options, v string, _ bool) error {
		if v == "never" {
			v = "0"
		}
		return seconds(v, &o.MaxDirtyAge)
	}},
	{name: "sync_close", set: flag(func(o *Options) *bool { return &o.SyncClose })},
	{name: "fsync", arg: "local|server", set: func(o *Options, v string, _ bool) error {
		switch v {
		case "local", "server":
			o.FsyncServer = v == "server"
			return nil
		}
		return fmt.Errorf("%q is neither local nor server", v)
	}},

	{name: "codepage", arg: "NAME", set: func(o *Options, v string, _ bool) error { // curlftpfs
		if codepage.IsUTF8(v) {
			o.Codepage = ""
			return nil
		}
		p, err := codepage.Find(v)
		if err == nil {
			o.Codepage = p.String()
		}
		return err
	}},
	{name: "iocharset", arg: "utf8", set: func(_ *Options, v string, _ bool) error { // curlftpfs
		if !codepage.IsUTF8(v) {
			return fmt.Errorf("%q is not possible: names on this machine are UTF-8; codepage=NAME is for those of the server", v)
		}
		return nil
	}},
	{name: "timezone", arg: "auto|±HH:MM", set: func(o *Options, v string, _ bool) error { return zone(v, &o.Zone) }},

	{name: "ro", aliases: []string{"read_only"}, set: flag(func(o *Options) *bool { return &o.ReadOnly })}, // rclone
	{name: "rw", set: func(o *Options, _ string, given bool) error { o.ReadOnly = false; return bare(given) }},
	{name: "allow_other", set: flag(func(o *Options) *bool { return &o.AllowOther })},
	{name: "uid", arg: "UID", set: func(o *Options, v string, _ bool) error { return userID(v, &o.UID) }},
	{name: "gid", arg: "GID", set: func(o *Options, v string, _ bool) error { return groupID(v, &o.GID) }},
	{name: "umask", arg: "OCTAL", set: func(o *Options, v string, _ bool) error { return octal(v, &o.Umask) }},
	{name: "nonempty", aliases: []string{"allow_non_empty"}, set: flag(func(o *Options) *bool { return &o.NonEmpty })}, // FUSE 2; rclone
	{name: "nofail", set: flag(func(o *Options) *bool { return &o.NoFail })},
	{name: "fsname", arg: "NAME", set: func(o *Options, v string, _ bool) error { return text(v, &o.FsName) }},

	{name: "log_level", arg: "debug|info|warn|error", set: setLevel},
	{name: "debug", set: func(o *Options, _ string, given bool) error { o.LogLevel = slog.LevelDebug; return bare(given) }},
	{name: "metrics", arg: "ADDRESS:PORT", set: func(o *Options, v string, _ bool) error { return listenAt(v, &o.Metrics) }},
	{name: "trace_ftp", set: flag(func(o *Options) *bool { return &o.TraceFTP })},

	// What ftpfs always does.
	settled("default_permissions"), settled("enable_epsv"), settled("utf8"),
	settled("reconnect"), settled("use_ino"), settled("readdir_ino"), settled("hard_remove"), settled("large_read"),
	settled("big_writes"), settled("tcp_nodelay"), settled("soft"),
	settled("proxytunnel"), settled("proxy_basic"), settled("proxy_anyauth"), // CONNECT, and Basic where it is asked for
}

func settled(name string) def {
	return def{name: name, settled: true, set: func(_ *Options, v string, given bool) error {
		if on, err := yes(v); given && (err != nil || !on) {
			return fmt.Errorf("ftpfs always does this; %q is not possible", v)
		}
		return nil
	}}
}

// mountWords are mount(8)'s own: it, systemd or fstab acts on them. dev and suid
// are among them: set-user-id programs and devices of an FTP server are never
// honoured. So are words about how a local disk keeps times and versions, which
// promise nothing that could be missed here.
var mountWords = []string{"_netdev", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner",
	"group", "nogroup", "defaults", "dev", "suid", "loud", "silent", "_rnetdev", "norelatime", "nostrictatime",
	"lazytime", "nolazytime", "iversion", "noiversion", "mand", "nomand", "symfollow"}

// kernelWords are handed to mount(2).
var kernelWords = []string{"nodev", "nosuid", "exec", "noexec", "atime", "noatime", "diratime", "nodiratime",
	"relatime", "strictatime", "sync", "async", "dirsync"}

// hints answer well-known names of others that mean something ftpfs does
// differently or not at all.
var hints = map[string]string{
	"capath":                "name one file, which may hold many certificates, with cacert=FILE",
	"sslv3":                 "it is broken; TLS 1.2 and 1.3 are spoken",
	"tlsv1":                 "it is broken; TLS 1.2 and 1.3 are spoken",
	"sslv2":                 "it is broken; TLS 1.2 and 1.3 are spoken",
	"ciphers":               "those of TLS 1.3, and of TLS 1.2 with forward secrecy, are used",
	"cert_type":             "PEM is read",
	"key_type":              "PEM is read",
	"bind":                  "mount --bind what is mounted already",
	"nosymfollow":           "links are shown as the server gives them",
	"connect_timeout":       "timeout=SECONDS bounds every network step",
	"read_timeout":          "timeout=SECONDS bounds every network step",
	"cache_stat_timeout":    "dir_cache_time=SECONDS is the age for names and attributes",
	"cache_link_timeout":    "dir_cache_time=SECONDS is the age for names and attributes",
	"dcache_stat_timeout":   "dir_cache_time=SECONDS is the age for names and attributes",
	"attr_timeout":          "dir_cache_time=SECONDS is the age for names and attributes",
	"entry_timeout":         "dir_cache_time=SECONDS is the age for names and attributes",
	"pass":                  "it is a key's passphrase to curlftpfs and a password to mount.cifs; use credentials=FILE",
	"disable_epsv":          "EPSV is tried, and PASV used where the server has no EPSV",
	"disable_eprt":          "EPRT is tried, and PORT used where the server has no EPRT",
	"skip_pasv_ip":          "a private address in the PASV answer is corrected by itself",
	"ftp_port":              "use active, with active_address=ADDRESS if the server is to be told another address than our own",
	"interface":             "routing chooses it; active_address=ADDRESS is what the server is told in active mode",
	"ftpfs_debug":           "use log_level=debug, or trace_ftp for the dialogue",
	"file_mode":             "use umask=",
	"dir_mode":              "use umask=",
	"fmask":                 "use umask=",
	"dmask":                 "use umask=",
	"allow_root":            "use allow_other",
	"auto_unmount":          "a dead mount is replaced by the next mount, or removed with ftpfs unmount",
	"subtype":               "it is always ftpfs",
	"setuid":                "run ftpfs as that user",
	"password_stdin":        "use credentials=FILE, or $FTPFS_PASSWORD",
	"config":                "every option can stand in -o or fstab",
	"vfs_cache_mode":        "files are always cached and written back",
	"vfs_write_back":        "an upload begins moments after the last close; use sync_close to wait for it",
	"daemon":                "ftpfs goes to the background by itself; -f keeps it in the foreground",
	"direct_io":             "ftpfs chooses it by itself for each open",
	"kernel_cache":          "ftpfs keeps the kernel's pages while a file is unchanged",
	"auto_cache":            "ftpfs keeps the kernel's pages while a file is unchanged",
	"transform_symlinks":    "links are shown as the server gives them",
	"follow_symlinks":       "links are shown as the server gives them",
	"hard":                  "nothing hangs in ftpfs: calls fail within timeout=SECONDS, and writes go on into the spool",
	"socks4":                "SOCKS 5 is spoken: proxy=socks5://HOST:PORT",
	"proxy_digest":          "users are named to HTTP proxies by Basic only",
	"proxy_ntlm":            "users are named to HTTP proxies by Basic only",
	"ipv4":                  "the address family follows the host; give an address to choose one",
	"ipv6":                  "the address family follows the host; give an address to choose one",
	"max_read":              "ftpfs chooses the sizes of requests",
	"rsize":                 "ftpfs chooses the sizes of requests",
	"wsize":                 "ftpfs chooses the sizes of requests",
	"ftp_method":            "ftpfs finds out by itself what a server stands",
	"custom_list":           "ftpfs finds out by itself what a server stands",
	"remount":               "unmount and mount again",
	"vfs_cache_max_age":     "cache_size=SIZE bounds what is kept; dir_cache_time=SECONDS when it is checked",
	"poll_interval":         "dir_cache_time=SECONDS says how soon changes on the server are seen",
	"server_alive_interval": "idle connections are checked before they are used",
}

func askTLS(how target.TLS) func(*Options, string, bool) error {
	return func(o *Options, _ string, given bool) error {
		o.TLS = how
		return bare(given)
	}
}

// setProxy checks what can be checked before the kind is known; no error shows v.
func setProxy(v string, to *string) error {
	if v != "none" {
		if _, err := proxy.Parse(v, proxy.HTTP); err != nil {
			return err
		}
	}
	*to = v
	return nil
}

func flag(field func(*Options) *bool) func(*Options, string, bool) error {
	return func(o *Options, v string, given bool) error {
		on := true
		if given {
			var err error
			if on, err = yes(v); err != nil {
				return err
			}
		}
		*field(o) = on
		return nil
	}
}

func setUser(o *Options, v string, _ bool) error {
	name, password, has := strings.Cut(v, ":") // curlftpfs
	o.User = name
	if has {
		o.Password, o.HasPassword = password, true
	}
	if name == "" {
		return fmt.Errorf("no name in it")
	}
	if noControl(name) != nil {
		return fmt.Errorf("line ends and NUL cannot stand in a user name")
	}
	return noControl(password)
}

func setLevel(o *Options, v string, _ bool) error {
	switch strings.ToLower(v) {
	case "debug":
		o.LogLevel = slog.LevelDebug
	case "info", "notice":
		o.LogLevel = slog.LevelInfo
	case "warn", "warning":
		o.LogLevel = slog.LevelWarn
	case "error":
		o.LogLevel = slog.LevelError
	default:
		return fmt.Errorf("%q is none of debug, info, warn, error", v)
	}
	return nil
}
