package test

import (
	"os"
	"strings"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/ftpconn/doctor"
	"ftpfs/test/certs"
	"ftpfs/test/servers"
)

// diagnoses are what ftpfs doctor has to say of each server, by the thing: a level, and
// words that must be there. All else is to be ok.
var diagnoses = map[servers.Kind]map[string][]string{
	servers.VSFTPD: {
		"software": {"ok", "vsFTPd 3.", "300 s"},
		"listing":  {"ok", "LIST -a (Unix), times of zone +00:00, to the second by MDTM"},
		"names":    {"ok", "all 15 odd ones"},
		"times":    {"note", "of files by MDTM, not of directories"},
		"modes":    {"ok", "SITE CHMOD"},
		"patch":    {"ok", "works"},
		"sums":     {"ok", "none told of by FEAT"},
	},
	servers.ProFTPD: {
		"software": {"ok", "ProFTPD"},
		"listing":  {"ok", "MLSD"},
		"names":    {"note", "all 15 odd ones", "a directory with *: MKD …/st*r: 550"},
		"times":    {"ok", "of files and directories by MFMT (SITE UTIME would do too)"},
		"modes":    {"ok", "MFF"},
		"append":   {"note", "refused", "APPE /.ftpfs-doctor-", "451", "AllowStoreRestart on"},
		"patch":    {"ok", "refused", "REST 4, STOR /.ftpfs-doctor-", "451"},
		"sums":     {"ok", "HASH (SHA-256, SHA-512, SHA-1, MD5, CRC32), XSHA256"},
	},
	servers.PureFTPd: {
		"software": {"ok", "Pure-FTPd", "15 min"},
		"listing":  {"ok", "MLSD", "10,000 names"},
		"names":    {"note", "12 of 15", `"blank " silently becomes "blank_"`, `"con\x01trol" silently becomes "con_trol"`, `RNTO …/back\slash: 553`},
		"times":    {"ok", "of files and directories by MFMT"},
		"patch":    {"ok", "cuts the file"},
		"sums":     {"ok", "none told of by FEAT"},
	},
	servers.Pyftpdlib: {
		"software": {"ok", "pyftpdlib 1."},
		"listing":  {"ok", "MLSD"},
		"names":    {"note", "13 of 15", `"gr\xfcn" silently becomes`, `"a\xffb" silently becomes`},
		"times":    {"note", "of files by MFMT, not of directories"},
		"patch":    {"ok", "works"},
		"sums":     {"ok", "none told of by FEAT"},
	},
}

// TestDoctorSaysTheTruth examines each real server, in clear and encrypted: what the
// report says is what is known of it, and nothing is left in its directory.
func TestDoctorSaysTheTruth(t *testing.T) {
	pair := certs.Issue(t, certs.Options{Until: 365 * 24 * time.Hour})
	for _, kind := range servers.All {
		for _, encrypted := range []bool{false, true} {
			name := string(kind)
			var o servers.Options
			var security ftpconn.TLS
			if encrypted {
				name += " TLS"
				o.TLS = &servers.TLS{Cert: pair.PEM, Key: pair.Key}
				security = ftpconn.TLS{Security: ftpconn.Explicit, Roots: certs.Pool(pair)}
			}
			t.Run(name, func(t *testing.T) {
				o.MaxClients = 6
				s := servers.Start(t, kind, o)
				s.Put("theirs", []byte("theirs"))
				rep := doctor.Run(t.Context(), doctor.Config{Most: 1 << 20, Server: ftpconn.Config{Host: s.Host, Port: s.Port, User: s.User,
					Password: s.Password, TLS: security, Timeout: 20 * time.Second, MountTag: "0badcafe", MaxConns: 4}})
				for _, f := range rep.Findings {
					want := append([]string{"ok"}, diagnoses[kind][f.ID]...)
					if len(want) > 1 {
						want = want[1:]
					}
					all := strings.Join(append([]string{f.Text, f.Sent, f.Came, f.Try}, f.More...), "\n")
					if string(f.Level) != want[0] {
						t.Errorf("%s is %q, want %q: %+v", f.ID, f.Level, want[0], f)
					}
					for _, w := range want[1:] {
						if !strings.Contains(all, w) {
							t.Errorf("%s does not say %q: %+v", f.ID, w, f)
						}
					}
				}
				e := rep.Facts.TLS
				switch {
				case !encrypted:
				case e.Version == "" || e.Data != "private" || !*e.Believed:
					t.Errorf("TLS: %+v", e)
				case e.Resumed != e.Handshakes && kind != servers.PureFTPd: // which resumes none with TLS 1.3
					t.Errorf("%d of %d data connections resumed the session", e.Resumed, e.Handshakes)
				}
				if rep.Verdict != doctor.Good || rep.Facts.Connections != 4 {
					t.Errorf("verdict %s, %d connections", rep.Verdict, rep.Facts.Connections)
				}
				names, err := os.ReadDir(s.Root)
				if err != nil || len(names) != 1 || names[0].Name() != "theirs" {
					t.Errorf("in the server's directory: %v, %v", names, err)
				}
			})
		}
	}
}

// TestDoctorFindsTheCap of each server, which tell it in their own ways.
func TestDoctorFindsTheCap(t *testing.T) {
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) {
			s := servers.Start(t, kind, servers.Options{MaxClients: 2})
			rep := doctor.Run(t.Context(), doctor.Config{Most: 64 << 10, Server: ftpconn.Config{Host: s.Host, Port: s.Port, User: s.User,
				Password: s.Password, Timeout: 20 * time.Second, MountTag: "0badcafe"}})
			if f := rep.Facts; f.Connections != 2 || !f.Capped || rep.Memory.Cap.Value.Conns != 2 || rep.Verdict != doctor.Good {
				t.Errorf("%d connections, capped %v, remembered %+v, verdict %s", f.Connections, f.Capped, rep.Memory.Cap, rep.Verdict)
				for _, f := range rep.Findings {
					if f.Level == doctor.Problem || f.Level == doctor.Unknown {
						t.Logf("%+v", f)
					}
				}
			}
		})
	}
}

// TestDataInClearIsRefusedByName: the servers that want data encrypted say so each at another
// command, and each time what to do about it is said.
func TestDataInClearIsRefusedByName(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for kind, at := range map[servers.Kind]string{servers.VSFTPD: "data", servers.ProFTPD: "tls", servers.Pyftpdlib: "data", servers.PureFTPd: ""} {
		t.Run(string(kind), func(t *testing.T) {
			s := servers.Start(t, kind, servers.Options{TLS: &servers.TLS{Cert: pair.PEM, Key: pair.Key, Required: true}})
			rep := doctor.Run(t.Context(), doctor.Config{Most: 64 << 10, Server: ftpconn.Config{Host: s.Host, Port: s.Port, User: s.User,
				Password: s.Password, TLS: ftpconn.TLS{Security: ftpconn.Explicit, Roots: certs.Pool(pair), ClearData: true},
				Timeout: 20 * time.Second, MountTag: "0badcafe", MaxConns: 2}})
			if at == "" { // it takes either
				if rep.Verdict != doctor.Good || rep.Facts.TLS.Data != "clear" {
					t.Errorf("verdict %s, %+v", rep.Verdict, rep.Facts.TLS)
				}
				return
			}
			for _, f := range rep.Findings {
				if f.ID == at && (f.Level != doctor.Problem || f.Try != "leave clear_data away" || f.Sent == "" || f.Came == "") {
					t.Errorf("%+v", f)
				}
			}
			if rep.Verdict != doctor.Impossible {
				t.Errorf("verdict %s", rep.Verdict)
			}
		})
	}
}
