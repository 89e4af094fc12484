package doctor_test

import (
	"strings"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/ftpconn/doctor"
	"ftpfs/test/ftpscript"
)

// config examines a scripted server, in a way that takes no long time.
func config(srv *ftpscript.Server) doctor.Config {
	return doctor.Config{Most: 128 << 10, Server: ftpconn.Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User,
		Password: ftpscript.Password, Timeout: 10 * time.Second, MountTag: "0badcafe", MaxConns: 3}}
}

// find returns the finding about one thing.
func find(t *testing.T, rep *doctor.Report, id string) doctor.Finding {
	t.Helper()
	for _, f := range rep.Findings {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("nothing about %s in %+v", id, rep.Findings)
	return doctor.Finding{}
}

// says checks that a finding has a level, and these words somewhere.
func says(t *testing.T, rep *doctor.Report, id string, level doctor.Level, words ...string) {
	t.Helper()
	f := find(t, rep, id)
	if f.Level != level {
		t.Errorf("%s is %q, want %q: %+v", id, f.Level, level, f)
	}
	all := strings.Join(append([]string{f.Text, f.Sent, f.Came, f.Try}, f.More...), "\n")
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("%s does not say %q: %+v", id, w, f)
		}
	}
}

// clean checks that nothing is left on the server but what was there.
func clean(t *testing.T, srv *ftpscript.Server, there ...string) {
	t.Helper()
	var left []string
	for _, f := range srv.Tree.All() {
		left = append(left, f.Path)
	}
	if strings.Join(left, " ") != strings.Join(there, " ") {
		t.Errorf("on the server are %q, want %q", left, there)
	}
}

// expected of the odd servers, by the thing: a level, and words. What is not in the list
// is ok; what is not in any list is not known here.
type expected map[string][]string

var capped = func(n, came string) expected {
	return expected{"connections": {"note", n + " at once; one more is refused", came}}
}

var odd = map[string]expected{
	"IIS": {
		"listing": {"ok", "DOS", "times of zone -08:00", "to the second by MDTM"},
		"names":   {"note", `"blank " silently becomes "blank"`, `"dot." silently becomes "dot"`, "refused with * and ?, with quotes", "upper and lower case are the same"},
		"times":   {"note", "none of the ways works", "MFMT: 500 Command not understood.", "the mount keeps what is set"}, "modes": {"note", "cannot be set", "the mount keeps what is set", "500 Command not understood."},
		"rename": {"note", "moves the old file aside", "550 Cannot create a file when that file already exists."}},
	"FileZilla Server": {
		"listing": {"ok", "MLSD"}, "names": {"note", `"dot." silently becomes "dot"`}, "modes": {"note", "502"},
		"times": {"ok", "of files and directories by MFMT"}, "rename": {"note", "553 File exists."}},
	"DOS code page": {
		"data": {"ok", "PASV"}, "listing": {"ok", "LIST -a (Unix)"}, "times": {"note", "MFMT: 502", "the mount keeps what is set"}, "modes": {"note", "502"}},
	"no rename over":               {"rename": {"note", "RNTO", "553 File exists."}},
	"no REST":                      {"restart": {"note", "REST 4", "502 No restart here."}, "patch": {"ok", "refused", "502 No restart here."}},
	"REST is an error":             {"restart": {"note", "501 No restart here."}, "patch": {"ok", "501 No restart here."}},
	"2 connections by 421 banner":  capped("2", "421 There are too many connected users"),
	"2 connections by 530 at PASS": capped("2", "530 Sorry, the maximum number of clients"),
	"2 connections by 421 at work": capped("2", "421 Too many connections"),
	"1 connection by 421 banner":   capped("1", "421 There are too many connected users"),
	"1 connection by 530 at PASS":  capped("1", "530 Sorry, the maximum number of clients"),
	"1 connection by 421 at work":  capped("1", "421 Too many connections"),
	"wrong address in PASV":        {"data": {"ok", "passive, by PASV", "192.168.203.77 and not 127.0.0.1"}},
	"idle timeout":                 {},
	"times of +05:30":              {"listing": {"ok", "LIST -a (Unix)", "times of zone +05:30"}},
}

// TestOddServers: of each odd server the report says what is odd about it, and nothing
// else; and nothing is left behind.
func TestOddServers(t *testing.T) {
	for _, p := range ftpscript.Odd() {
		t.Run(p.Name, func(t *testing.T) {
			want, known := odd[p.Name]
			if !known {
				t.Fatalf("nothing is expected of %s", p.Name)
			}
			if o := &p.Options; o.Idle > 0 { // a busy machine may idle for so long by itself
				o.Idle, o.IdleBeside = 0, idleBeside
			}
			srv := ftpscript.Start(t, p.Options)
			srv.Tree.Put("/theirs", []byte("theirs"))
			rep := doctor.Run(t.Context(), config(srv))
			for _, f := range rep.Findings {
				if w, special := want[f.ID]; special {
					says(t, rep, f.ID, doctor.Level(w[0]), w[1:]...)
				} else if f.Level != doctor.OK {
					t.Errorf("%s is %q: %+v", f.ID, f.Level, f)
				}
			}
			if rep.Verdict != doctor.Good || len(rep.Left) > 0 || len(rep.Options) > 0 {
				t.Errorf("verdict %s, left %v, options %v", rep.Verdict, rep.Left, rep.Options)
			}
			clean(t, srv, "/theirs")
			if got, _ := srv.Tree.Get("/theirs"); string(got) != "theirs" {
				t.Errorf("a file of theirs is %q now", got)
			}
			for _, c := range srv.Since(0).About("/theirs") {
				if c.Verb != "MDTM" && c.Verb != "SIZE" && c.Verb != "MLST" { // what any listing asks
					t.Errorf("a file of theirs: %v", c)
				}
			}
		})
	}
}
