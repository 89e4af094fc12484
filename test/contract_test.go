package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"ftpfs/cache/remote/remotetest"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/proxy"
	testproxy "ftpfs/test/proxy"
	"ftpfs/test/servers"
)

// limits is what each server itself cannot do; README's table by server says the
// same in words.
var limits = map[servers.Kind]remotetest.Limits{
	servers.VSFTPD: {
		NoSums:     true,
		ListsModes: true,
		NoDirTimes: true, // MDTM with a time is for files
	},
	servers.ProFTPD: {
		NoAppend:   true, // unless AllowStoreRestart is on, which it is not by default
		HidesLost:  true,
		RefusesDir: func(name string) bool { return strings.Contains(name, "*") },
		// SITE CHMOD drops blanks at the end and makes a blank of a tab: it would
		// hit another file (MFF does not, where there is one).
		RefusesMode: func(name string) bool { return endsBlank(name) || strings.Contains(name, "\t") },
	},
	servers.PureFTPd: {
		NoSums: true,
		// It writes "_" for blanks at the end and for control characters.
		Refuses: func(name string) bool {
			return endsBlank(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`)
		},
	},
	servers.Pyftpdlib: {
		NoSums:       true,
		NoDirTimes:   true,
		FollowsLinks: true,
		HidesLost:    true,
		Refuses:      func(name string) bool { return !utf8.ValidString(name) },
	},
}

func endsBlank(name string) bool { return strings.TrimRight(name, " \t") != name }

// TestContract runs the suite of remote.Store over every server: one server for
// each kind, one directory of it for each part of the suite.
func TestContract(t *testing.T) {
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) { contract(t, kind, servers.Options{}, ftpconn.Config{}) })
	}
}

// TestContractActive does so with data connections made by the server.
func TestContractActive(t *testing.T) {
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) { contract(t, kind, servers.Options{}, ftpconn.Config{Active: true}) })
	}
}

// TestContractIPv6 does what of the suite moves data over IPv6, in passive and in active
// mode, in clear and with TLS.
func TestContractIPv6(t *testing.T) {
	for _, kind := range servers.All {
		for _, active := range []bool{false, true} {
			for _, encrypted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s active=%v tls=%v", kind, active, encrypted), func(t *testing.T) {
					t.Parallel()
					o, cfg := servers.Options{}, ftpconn.Config{}
					if encrypted {
						o, cfg = cell{kind, ftpconn.Explicit, tls.VersionTLS13}.options(t)
					}
					o.IPv6, cfg.Active = true, active
					contract(t, kind, o, cfg, "List", "Write", "Open")
				})
			}
		}
	}
}

// TestContractThroughAProxy does so through proxies of both kinds.
func TestContractThroughAProxy(t *testing.T) {
	for _, kind := range servers.All {
		for _, through := range []testproxy.Kind{testproxy.SOCKS5, testproxy.HTTP} {
			encrypted := (through == testproxy.HTTP) == (kind == servers.VSFTPD || kind == servers.Pyftpdlib)
			t.Run(fmt.Sprintf("%s %s tls=%v", kind, through, encrypted), func(t *testing.T) {
				t.Parallel()
				o, cfg := servers.Options{}, ftpconn.Config{}
				if encrypted {
					o, cfg = cell{kind, ftpconn.Explicit, tls.VersionTLS13}.options(t)
				}
				p, err := proxy.Parse(testproxy.Start(t, through, testproxy.Options{User: "me", Password: "secret"}).URL(), "")
				if err != nil {
					t.Fatal(err)
				}
				cfg.Proxy = p
				contract(t, kind, o, cfg, "List", "Write", "Open", "CancelTransfer")
			})
		}
	}
}

// TestContractEncrypted does with TLS what of the suite moves data: in one cell for each
// server, passive or active. With -tls.all it is all of the suite, in all cells there are.
func TestContractEncrypted(t *testing.T) {
	for _, c := range cells() {
		for _, active := range []bool{false, true} {
			short := c.security == ftpconn.Explicit && (c.version == tls.VersionTLS12) == active && active == (c.kind == servers.VSFTPD || c.kind == servers.Pyftpdlib)
			if !short && !*tlsAll {
				continue
			}
			t.Run(fmt.Sprintf("%s active=%v", c, active), func(t *testing.T) {
				var parts []string
				if !*tlsAll {
					t.Parallel()
					parts = []string{"List", "Write", "WriteFails", "WriteWrongSize", "Open", "Publish", "CancelTransfer"}
					if c.kind != servers.PureFTPd { // which has the client wait there, see wire.Traits
						parts = append(parts, "OpenExpect")
					}
				}
				o, cfg := c.options(t)
				cfg.Active = active
				contract(t, c.kind, o, cfg, parts...)
			})
		}
	}
}

func contract(t *testing.T, kind servers.Kind, o servers.Options, cfg ftpconn.Config, parts ...string) {
	srv := servers.Start(t, kind, o)
	var count int
	remotetest.Run(t, func(t *testing.T) remotetest.Subject {
		count++
		cfg := cfg
		cfg.Dir = fmt.Sprintf("part %d", count)
		root := filepath.Join(srv.Root, cfg.Dir)
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatalf("directory for the test: %v", err)
		}
		srv.Own(root)
		cfg.Host, cfg.Port, cfg.User, cfg.Password = srv.Host, srv.Port, srv.User, srv.Password
		cfg.Timeout, cfg.MountTag = 20*time.Second, "contract"
		cfg.Log, cfg.Trace = logTo(t), true
		store := ftpconn.New(cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := store.Connect(ctx); err != nil {
			t.Fatalf("connect to %s: %v", kind, err)
		}
		return remotetest.Subject{
			Store:  store,
			Behind: remotetest.OnDisk(root, srv.Own),
			Limits: limits[kind],
			Freeze: srv.Freeze,
			Thaw:   srv.Thaw,
		}
	}, parts...)
}
