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
	"ftpfs/test/certs"
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
		NoAppend:    true, // unless AllowStoreRestart is on, which it is not by default
		HidesLost:   true,
		RefusesDir:  func(name string) bool { return strings.Contains(name, "*") },
		RefusesMode: changedBySITE, // where there is no MFF
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

// changedBySITE tells the names of which ProFTPD's SITE CHMOD would hit another file: it
// drops blanks at the end and makes a blank of a tab.
func changedBySITE(name string) bool { return endsBlank(name) || strings.Contains(name, "\t") }

func endsBlank(name string) bool { return strings.TrimRight(name, " \t") != name }

// TestContract runs the suite of remote.Store in the cells of the matrix: one server for
// each, one directory of it for each part of the suite. Without -matrix it is all of the
// suite on each server in clear, and in as many cells more as it takes to have seen each
// server encrypted and active, and with LIST, what of the suite that touches.
func TestContract(t *testing.T) {
	for _, c := range servers.Cells() {
		parts, picked := partsIn(c)
		if !picked && !*matrixAll {
			continue
		}
		if *matrixAll {
			parts = nil
		}
		t.Run(c.String(), func(t *testing.T) {
			if c.Version != 0 || *matrixAll {
				t.Parallel()
			}
			t.Log(c.Line("contract"))
			if why := c.Missing(); why != "" {
				t.Skip("by design: " + why)
			}
			o, cfg := speaking(t, c)
			contract(t, c.Kind, o, cfg, limitsIn(c), parts...)
		})
	}
}

// partsIn are the parts of the suite that find most in a cell, none for all of them;
// picked says that the cell is one of make test.
func partsIn(c servers.Cell) (parts []string, picked bool) {
	usual := c.MLSD != (c.Kind == servers.VSFTPD) // the listing that the server has by itself
	data := []string{"List", "Write", "WriteFails", "WriteWrongSize", "Open", "OpenEarlyClose", "Publish", "CancelTransfer"}
	switch {
	case c.Missing() != "":
		return nil, false
	case c == (servers.Cell{Kind: servers.ProFTPD, Encryption: servers.Explicit, Version: tls.VersionTLS13}):
		return []string{"ListMany"}, true // thousands of commands, encrypted: see wire's recordBytes
	case c.Encryption == servers.Plain && !c.Active && usual:
		return nil, true
	case c.Encryption == servers.Plain && !c.Active:
		return []string{"List", "Stat", "Links", "Rename", "Names", "NamesNeighbours", "OpenExpect", "Publish", "PublishRefused", "PublishOverNoFile", "SetAttr", "SetAttrDir"}, true
	case c.Encryption == servers.Plain && usual:
		return append(data, "Cancel", "Frozen", "Parallel"), true
	case c.Encryption == servers.Explicit && usual && (c.Version == tls.VersionTLS12) == c.Active && c.Active == (c.Kind == servers.VSFTPD || c.Kind == servers.Pyftpdlib):
		if c.Kind != servers.PureFTPd { // which has the client wait there, see wire.Traits
			data = append(data, "OpenExpect")
		}
		return data, true
	}
	return nil, false
}

// limitsIn are the limits of the server in a cell: LIST tells of links what MLSD hides.
func limitsIn(c servers.Cell) remotetest.Limits {
	l := limits[c.Kind]
	if !c.MLSD && c.Kind != servers.VSFTPD {
		l.HidesLost, l.FollowsLinks, l.TellsNoMode = false, false, true
		l.ListsLost = c.Kind == servers.ProFTPD
	}
	return l
}

// speaking are options of a server and a Store that speak as in a cell.
func speaking(t *testing.T, c servers.Cell) (servers.Options, ftpconn.Config) {
	if c.Encryption == servers.Plain {
		return c.Options(nil, nil), ftpconn.Config{Active: c.Active}
	}
	pair := certs.Issue(t, certs.Options{})
	security := ftpconn.Explicit
	if c.Encryption == servers.Implicit {
		security = ftpconn.Implicit
	}
	return c.Options(pair.PEM, pair.Key), ftpconn.Config{Active: c.Active,
		TLS: ftpconn.TLS{Security: security, Max: c.Version, Roots: certs.Pool(pair)}}
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
						o, cfg = speaking(t, servers.Cell{Kind: kind, Encryption: servers.Explicit, Version: tls.VersionTLS13, MLSD: kind != servers.VSFTPD})
					}
					o.IPv6, cfg.Active = true, active
					contract(t, kind, o, cfg, limits[kind], "List", "Write", "Open")
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
					o, cfg = speaking(t, servers.Cell{Kind: kind, Encryption: servers.Explicit, Version: tls.VersionTLS13, MLSD: kind != servers.VSFTPD})
				}
				p, err := proxy.Parse(testproxy.Start(t, through, testproxy.Options{User: "me", Password: "secret"}).URL(), "")
				if err != nil {
					t.Fatal(err)
				}
				cfg.Proxy = p
				contract(t, kind, o, cfg, limits[kind], "List", "Write", "Open", "CancelTransfer")
			})
		}
	}
}

func contract(t *testing.T, kind servers.Kind, o servers.Options, cfg ftpconn.Config, limits remotetest.Limits, parts ...string) {
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
			Tag:    cfg.MountTag,
			Behind: remotetest.OnDisk(root, srv.Own),
			Limits: limits,
			Freeze: srv.Freeze,
			Thaw:   srv.Thaw,
		}
	}, parts...)
}
