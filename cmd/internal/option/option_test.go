package option

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/proxy"
)

func id(n uint32) *uint32 { return &n }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		list string
		want func(*Options)
	}{
		{"", func(*Options) {}},
		{",,", func(*Options) {}},
		{"cache_dir=/a\\,b,ro", func(o *Options) { o.CacheDir = "/a,b"; o.ReadOnly = true }},
		{`cache_dir=/a\\,ro`, func(o *Options) { o.CacheDir = `/a\`; o.ReadOnly = true }},
		{`cache_dir=/a\b`, func(o *Options) { o.CacheDir = `/a\b` }},
		{"dir-cache-time=5,max-conns=3,sync-close", func(o *Options) {
			o.DirCacheTime, o.MaxConns, o.SyncClose = 5*time.Second, 3, true
		}},
		{"dir_cache_time=5m", func(o *Options) { o.DirCacheTime = 5 * time.Minute }},
		{"dir_cache_time=0", func(o *Options) { o.DirCacheTime = 0 }},
		{"max_dirty_age=90", func(o *Options) { o.MaxDirtyAge = 90 * time.Second }},
		{"max-dirty-age=1h", func(o *Options) { o.MaxDirtyAge = time.Hour }},
		{"max_dirty_age=0", func(o *Options) { o.MaxDirtyAge = 0 }},
		{"max_dirty_age=never", func(o *Options) { o.MaxDirtyAge = 0 }},
		{"cache=no", func(o *Options) { o.DirCacheTime = 0 }},
		{"cache=yes", func(*Options) {}},
		{"cache_timeout=7", func(o *Options) { o.DirCacheTime = 7 * time.Second }},
		{"fsync=server", func(o *Options) { o.FsyncServer = true }},
		{"fsync=server,fsync=local", func(*Options) {}},
		{"uid=7,gid=8,umask=027,allow_other", func(o *Options) {
			o.UID, o.GID, o.Umask, o.AllowOther = id(7), id(8), id(0o27), true
		}},
		{"uid=root,gid=root", func(o *Options) { o.UID, o.GID = id(0), id(0) }},
		{"cache_size=10G,spool_size=512M", func(o *Options) { o.CacheSize, o.SpoolSize = 10<<30, 512<<20 }},
		{"quota=1.5T", func(o *Options) { o.Quota = 3 << 39 }},
		{"cache_size=2097152,vfs-cache-max-size=1GiB", func(o *Options) { o.CacheSize = 1 << 30 }},
		{"timeout=2.5", func(o *Options) { o.Timeout = 2500 * time.Millisecond }},
		{"log_level=WARN,trace_ftp", func(o *Options) { o.LogLevel, o.TraceFTP = slog.LevelWarn, true }},
		{"active,port=2121,nonempty", func(o *Options) { o.Active, o.Port, o.NonEmpty = true, 2121, true }},
		{"active_address=[2001:DB8::1],active_ports=50000-50010", func(o *Options) {
			o.ActiveAddress, o.ActivePorts = "2001:db8::1", Range{50000, 50010}
		}},
		{"active-address=home.example.org,active-ports=50000", func(o *Options) {
			o.ActiveAddress, o.ActivePorts = "home.example.org", Range{50000, 50000}
		}},
		{"proxy=socks5://u:p@h:9", func(o *Options) { o.Proxy = "socks5://u:p@h:9" }},
		{"proxy=h:9,socks5,proxy_user=u:p\\,q,proxytunnel", func(o *Options) {
			o.Proxy, o.ProxyKind, o.ProxyUser = "h:9", proxy.SOCKS5, "u:p,q"
		}},
		{"socks_proxy=u:p@h:9", func(o *Options) { o.Proxy, o.ProxyKind = "u:p@h:9", proxy.SOCKS5 }},
		{"http_proxy=http://h:9", func(o *Options) { o.Proxy, o.ProxyKind = "http://h:9", proxy.HTTP }},
		{"proxy=h:9,proxy=none", func(o *Options) { o.Proxy = "none" }},
		{"bwlimit=512k", func(o *Options) { o.BwUp, o.BwDown = 512<<10, 512<<10 }},
		{"bwlimit=1M:off", func(o *Options) { o.BwUp = 1 << 20 }},
		{"bwlimit=1.5M:10MiB", func(o *Options) { o.BwUp, o.BwDown = 3<<19, 10<<20 }},
		{"active=no", func(o *Options) { o.Passive = true }},
		{"active=no,active", func(o *Options) { o.Active = true }},
		{"nomulticonn", func(o *Options) { o.MaxConns = 1 }},
		{"user=me", func(o *Options) { o.User = "me" }},
		{"user=me:p:w", func(o *Options) { o.User, o.Password, o.HasPassword = "me", "p:w", true }},
		{"username=me,password=a\\,b", func(o *Options) { o.User, o.Password, o.HasPassword = "me", "a,b", true }},
		{"credentials=/etc/c", func(o *Options) { o.Credentials = "/etc/c" }},
		{"cred=/etc/c", func(o *Options) { o.Credentials = "/etc/c" }},
		{"_netdev,noauto,auto,user,users,nouser,defaults,rw,dev,suid", func(*Options) {}},
		{"x-systemd.automount,x-foo=1,X-bar,comment=hello there", func(*Options) {}},
		{"codepage=IBM866", func(o *Options) { o.Codepage = "cp866" }},
		{"codepage=cp866,codepage=utf-8,iocharset=utf8", func(*Options) {}},
		{"nofail", func(o *Options) { o.NoFail = true }},
		{"ro,rw", func(*Options) {}},
		{"rw,ro", func(o *Options) { o.ReadOnly = true }},
		{"allow_other=no", func(*Options) {}},
		{"noexec,dev,noatime,nosuid", func(o *Options) { o.Flags = []string{"noexec", "noatime", "nosuid"} }},
		{"enable_epsv,utf8,default_permissions,reconnect", func(*Options) {}},
		{"tls=off", func(o *Options) { o.TLS = target.Off }},
		{"tls=try,no-verify-hostname", func(o *Options) { o.TLS, o.NoVerifyName = target.Try, true }},
		{"ssl,no_verify_peer", func(o *Options) { o.TLS, o.NoVerifyPeer = target.Explicit, true }},
		{"ssl_control,disable_tls13", func(o *Options) { o.TLS, o.ClearData, o.NoTLS13 = target.Explicit, true, true }},
		{"tls=implicit,cacert=a.pem,cert=b.pem,key=c.pem", func(o *Options) {
			o.TLS, o.CACert, o.Cert, o.Key = target.Implicit, "a.pem", "b.pem", "c.pem"
		}},
		{"pin_sha256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=,pin_sha256=" + strings.Repeat("AB:", 31) + "AB", func(o *Options) {
			o.Pins = []pin.Pin{pinOf("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), pinOf(strings.Repeat("ab", 32))}
		}},
	} {
		got, want := Defaults(), Defaults()
		c.want(&want)
		if err := got.Parse(c.list); err != nil {
			t.Errorf("Parse(%q): %v", c.list, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q)\n got %+v\nwant %+v", c.list, got, want)
		}
	}
}

func pinOf(s string) pin.Pin {
	p, err := pin.Parse(s)
	if err != nil {
		panic(err)
	}
	return p
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"dir_cachetime=3", `did you mean "dir_cache_time"?`},
		{"cachedir=/x", `did you mean "cache_dir"?`},
		{"allow_others", `did you mean "allow_other"?`},
		{"max_con=2", `did you mean "max_conns"?`},
		{"sync_closed", `did you mean "sync_close"?`},
		{"credential=/x", `did you mean "credentials"?`},
		{"tiemout=3", `did you mean "timeout"?`},
		{"=x", "ftpfs --help lists"},
		{"frobnicate", "ftpfs --help lists"},
		{"lazytme", `did you mean "lazytime"?`},
		{"cache_t=3", `did you mean "cache_timeout"?`},
		{"remount", "unmount and mount again"},
		{"tls=yes", "none of off, try, explicit, implicit"},
		{"capath=/x", "cacert=FILE"},
		{"sslv3", "broken"},
		{"ssl=yes", "no value"},
		{"cert", "needs a value"},
		{"tls", "needs a value"},
		{"pin_sha256=00", "fingerprint"},
		{"pin_sha256=dGVzdA==", "fingerprint"},
		{"codepage=cp12511", "did you mean cp1251?"},
		{"codepage=", "no code page"},
		{"iocharset=latin1", "codepage=NAME is for those of the server"},
		{"timezone=Mars", "+05:30"},
		{"timezone=+25:00", "+05:30"},
		{"bwlimit=100", "no unit"},
		{"bwlimit=1M:", "not a rate"},
		{"bwlimit=8Mbit", "not a rate"},
		{"bwlimit=08:00 512K", "timetable"},
		{"bwlimit=5B", "less than 1K"},
		{"metrics=9111", "127.0.0.1:9111"},
		{"metrics=:0", "127.0.0.1:9111"},
		{"metrics=:70000", "127.0.0.1:9111"},
		{"metrics=example.org:9111", "127.0.0.1:9111"},
		{"connect_timeout=3", "timeout=SECONDS"},
		{"pass=geheim", "credentials=FILE"},
		{"cache_dir", "needs a value"},
		{"cache_dir=", "empty"},
		{"fsync=maybe", "neither local nor server"},
		{"uid=no-such-user-here", "no user"},
		{"uid=-1", "no user"},
		{"umask=999", "octal"},
		{"umask=7777", "octal"},
		{"max_conns=0", "from 1"},
		{"active_address=", "neither an address nor a host name"},
		{"active_address=a b", "neither an address nor a host name"},
		{"active_address=10.0.0", "not a whole address"},
		{"active_address=10.0.0.1:21", "neither an address nor a host name"},
		{"active_address=0.0.0.0", "could connect to"},
		{"active_ports=0-5", "range of ports"},
		{"active_ports=5-70000", "range of ports"},
		{"active_ports=-5", "range of ports"},
		{"active_ports=9-5", "backwards"},
		{"ftp_port=-", "active_address=ADDRESS"},
		{"interface=eth0", "active_address=ADDRESS"},
		{"proxy=", "no host"},
		{"proxy=socks4://h", "socks5://"},
		{"proxy=h:x", "no port"},
		{"socks5=h:9", "no value"},
		{"socks4", "socks5://"},
		{"timeout=0", "more than zero"},
		{"timeout=1e9", "longer than 1h"},
		{"timeout=2h", "longer than 1h"},
		{"timeout=1e-9", "too short"},
		{"timeout=-1", "seconds"},
		{"timeout=NaN", "seconds"},
		{"dir_cache_time=soon", "seconds"},
		{"max_dirty_age=soon", "seconds"},
		{"max_dirty_age=-1", "seconds"},
		{"max_dirty_age", "needs a value"},
		{"cache_size=much", "not a size"},
		{"cache_size=0", "less than 1M"},
		{"vfs_cache_max_size=5000000", "no unit"},
		{"port=70000", "65535"},
		{"log_level=chatty", "none of"},
		{"sync_close=perhaps", "neither yes nor no"},
		{"reconnect=no", "not possible"},
		{"user=:geheim", "no name"},
		{"user=a:geheim\n", "line ends"},
		{"password=geheim\r", "line ends"},
		{"debug=3", "no value"},
		{"password=x,geheim", "written \\,"},
	} {
		o := Defaults()
		err := o.Parse(c.list)
		if err == nil {
			t.Errorf("Parse(%q) succeeded: %+v; want an error with %q", c.list, o, c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q): %q does not say %q", c.list, err, c.want)
		}
		if strings.Contains(err.Error(), "geheim") || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("Parse(%q): %q shows the password or has several lines", c.list, err)
		}
	}
}

func TestSloppySkipsOnlyTheUnknown(t *testing.T) {
	o := Defaults()
	var skipped []string
	note := func(u *Unknown) { skipped = append(skipped, u.Name) }
	if err := o.ParseSloppy("foo,ro,bar=1", note); err != nil || !o.ReadOnly || strings.Join(skipped, " ") != "foo bar" {
		t.Errorf("sloppy: %v, ro %v, skipped %v", err, o.ReadOnly, skipped)
	}
	if err := o.ParseSloppy("tls=explict", note); err == nil {
		t.Error("sloppy took tls=explict, and would send passwords in the clear")
	}
}

func TestSecretsStayOutOfJSON(t *testing.T) {
	o := Defaults()
	if err := o.Parse("user=me:geheim,credentials=/etc/geheim"); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(o)
	if err != nil || strings.Contains(string(b), "geheim") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range table {
		for _, n := range append([]string{d.name}, d.aliases...) {
			if seen[n] {
				t.Errorf("%s stands twice", n)
			}
			seen[n] = true
			if _, ok := hints[n]; ok {
				t.Errorf("%s is an option and a hint", n)
			}
			if slices.Contains(kernelWords, n) || slices.Contains(mountWords, n) && n != "user" {
				t.Errorf("%s is an option and a word of mount(8)", n)
			}
			if strings.Contains(n, "-") {
				t.Errorf("%s cannot be found: - is read as _", n)
			}
		}
		if d.set == nil {
			t.Errorf("%s is taken and ignored", d.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ro,uid=0", `a\,b,c=\\`, "user=a:b", "cache_size=1.5G", "x-y=z", "dir-cache-time=1h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o := Defaults()
		if err := o.Parse(s); err != nil {
			return
		}
		if o.Timeout < minTimeout || o.Timeout > maxTimeout || o.DirCacheTime < 0 || o.CacheSize < 0 || o.SpoolSize < 0 || o.Quota < 0 || o.MaxConns < 0 {
			t.Fatalf("Parse(%q) let %+v through", s, o)
		}
		if strings.ContainsAny(o.User+o.Password+o.CacheDir, "\r\n\x00") {
			t.Fatalf("Parse(%q) let a control character through", s)
		}
	})
}

func TestTimezone(t *testing.T) {
	for in, want := range map[string]int{"timezone=+05:30": 19800, "timezone=-08:00": -28800, "timezone=+00:00": 0} {
		o := Defaults()
		if err := o.Parse(in); err != nil || o.Zone == nil || *o.Zone != want {
			t.Errorf("%s: %v, err %v; want %d seconds", in, o.Zone, err, want)
		}
		if err := o.Parse("timezone=auto"); err != nil || o.Zone != nil {
			t.Errorf("auto after %s: %v, err %v; want none", in, o.Zone, err)
		}
	}
}
