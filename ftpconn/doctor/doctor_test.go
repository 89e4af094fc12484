package doctor_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/ftpconn/doctor"
	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/proxy"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

var sweepAll = flag.Bool("sweep.all", false, "break the dialogue at every command")

// A modern server has nothing to complain of.
func TestAGoodServer(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{Sums: []string{"HASH", "XCRC", "XSHA256"}})
	rep := doctor.Run(t.Context(), config(srv))
	for _, f := range rep.Findings {
		if f.Level != doctor.OK || f.Title == "" || f.Text == "" {
			t.Errorf("%+v", f)
		}
	}
	says(t, rep, "connections", doctor.OK, "3 at once; more were not asked for")
	says(t, rep, "sums", doctor.OK, "HASH (SHA-256, SHA-1, MD5, CRC32), XSHA256, XCRC")
	says(t, rep, "restart", doctor.OK)
	f := rep.Facts
	if !*f.Append || !*f.Replaces || !*f.Restart || !*f.Hidden || *f.CaseBlind || f.Patch != "works" || f.Up <= 0 || f.Down <= 0 || f.RoundTrip <= 0 ||
		f.Connections != 3 || f.Capped || f.Listing != "MLSD" || f.Data != "EPSV" || f.PASV != "127.0.0.1" || len(f.Names) < 10 || !slices.Contains(f.Features, "MFMT") {
		t.Errorf("facts: %+v", f)
	}
	if rep.Verdict != doctor.Good {
		t.Errorf("verdict %s", rep.Verdict)
	}
	clean(t, srv)
	for limit := time.Now().Add(time.Minute); srv.Open() > 0; time.Sleep(time.Millisecond) { // QUIT is answered before a session is over
		if time.Now().After(limit) {
			t.Fatalf("%d sessions are open", srv.Open())
		}
	}
}

// changes are the commands that a read-only run must not send.
var changes = []string{"MKD", "RMD", "STOR", "APPE", "DELE", "RNFR", "RNTO", "MFMT", "SITE CHMOD", "SITE UTIME", "RETR"}

func TestReadOnlyChangesNothing(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/f", []byte("f"))
	cfg := config(srv)
	cfg.ReadOnly = true
	rep := doctor.Run(t.Context(), cfg)
	if sent := srv.Since(0).Verbs(changes...); len(sent) > 0 {
		t.Errorf("it sent %v", sent)
	}
	for _, id := range []string{"hidden", "names", "times", "modes", "rename", "restart", "append", "patch", "sums", "speed"} {
		says(t, rep, id, doctor.Unknown, "read-only")
	}
	for _, id := range []string{"login", "data", "directory", "listing", "rtt", "connections"} {
		says(t, rep, id, doctor.OK)
	}
	if rep.Verdict != doctor.Good || !rep.ReadOnly {
		t.Errorf("verdict %s, read-only %v", rep.Verdict, rep.ReadOnly)
	}
}

// What keeps a mount from coming up is said with what was sent, what came, and what to
// try; the rest is not known then.
func TestWhatCannotBeMounted(t *testing.T) {
	pair := certs.Issue(t, certs.Options{Hosts: []string{"other.example"}})
	serving := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	for _, c := range []struct {
		name   string
		o      ftpscript.Options
		rule   ftpscript.Rule
		change func(*doctor.Config)
		id     string
		words  []string
	}{
		{"password", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) { c.Server.Password = "wrong-one" },
			"login", []string{"refused", "PASS ****", "530 Login incorrect.", "check user and password"}},
		{"nobody there", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) { c.Server.Port = ftpscript.Closed(t) },
			"greeting", []string{"connection refused", "(connect to 127.0.0.1:", "are host and port right"}},
		{"no answer", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) {
			c.Server.Port, c.Server.Timeout = ftpscript.Filtered(t), time.Second
		}, "greeting", []string{"no answer", "firewall"}},
		{"unknown host", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) { c.Server.Host = "no.such.host.invalid" },
			"greeting", []string{"no.such.host.invalid", "host"}},
		{"silent", ftpscript.Options{}, ftpscript.Rule{Verb: "CONNECT", Swallow: true}, func(c *doctor.Config) { c.Server.Timeout = time.Second },
			"greeting", []string{"no greeting came", "ftps://"}},
		{"full", ftpscript.Options{}, ftpscript.Rule{Verb: "CONNECT", Instead: "421 Too many."}, func(c *doctor.Config) { c.Server.Timeout = time.Second },
			"login", []string{"takes no login now", "421 Too many.", "ftpfs status"}},
		{"certificate", ftpscript.Options{TLS: serving}, ftpscript.Rule{}, func(c *doctor.Config) {
			c.Server.TLS = ftpconn.TLS{Security: ftpconn.Explicit, Roots: certs.Pool(pair)}
		}, "tls", []string{"not for 127.0.0.1 but for other.example", "pin_sha256=" + pin.Of(pair.Leaf).String(), "fingerprint", "until " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly)}},
		{"no TLS", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) { c.Server.TLS.Security = ftpconn.Explicit },
			"tls", []string{"does not take AUTH TLS", "500 Unknown command.", "ftps://"}},
		{"directory", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) { c.Server.Dir = "/none" },
			"directory", []string{"/none is not there", "CWD /none", "550 No such directory.", "//path is absolute"}},
		{"no data", ftpscript.Options{Refuse: []string{"EPRT", "PORT"}}, ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb == "EPSV" || c.Verb == "PASV" }, Instead: "425 Cannot open."}, nil,
			"data", []string{"425 Cannot open.", "firewall"}},
		{"no active data", ftpscript.Options{}, ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb == "EPRT" || c.Verb == "PORT" }, Instead: "500 Not there."}, func(c *doctor.Config) { c.Server.Active = true },
			"data", []string{"500 Not there.", "leave active away; or"}},
		{"no such address", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) { c.Server.Active, c.Server.Announce = true, "no.such.host.invalid" },
			"data", []string{"the address for active mode", "no.such.host.invalid", "active_address"}},
		{"proxy", ftpscript.Options{}, ftpscript.Rule{}, func(c *doctor.Config) {
			c.Server.Proxy = &proxy.Proxy{Kind: proxy.SOCKS5, Host: "127.0.0.1", Port: ftpscript.Closed(t)}
		}, "greeting", []string{"proxy socks5://127.0.0.1:", "connection refused", "is the proxy right"}},
		{"our certificate", ftpscript.Options{TLS: &tls.Config{Certificates: serving.Certificates, ClientAuth: tls.RequireAnyClientCert}}, ftpscript.Rule{}, func(c *doctor.Config) {
			c.Server.TLS = ftpconn.TLS{Security: ftpconn.Explicit, NoVerify: true}
		}, "tls", []string{"wants a certificate of ours", "give it with cert=FILE,key=FILE"}},
		{"data in clear", ftpscript.Options{TLS: serving}, ftpscript.Rule{Verb: "MLSD", Instead: "522 Data connections must be encrypted; sorry. No."}, func(c *doctor.Config) {
			c.Server.TLS = ftpconn.TLS{Security: ftpconn.Explicit, NoVerify: true, ClearData: true}
		}, "data", []string{"MLSD", "522 Data connections", "leave clear_data away"}},
		{"PROT C", ftpscript.Options{TLS: serving}, ftpscript.Rule{Verb: "PROT", Instead: "534 Policy; no. Bye."}, func(c *doctor.Config) {
			c.Server.TLS = ftpconn.TLS{Security: ftpconn.Explicit, NoVerify: true, ClearData: true}
		}, "tls", []string{"PROT C", "534 Policy", "leave clear_data away"}},
		{"nobody in clear", ftpscript.Options{}, ftpscript.Rule{Verb: "USER", Instead: "530 Use SSL; or go. Bye."}, nil,
			"tls", []string{"USER tester", "530 Use SSL", "use ftpes://"}},
		{"no listing", ftpscript.Options{}, ftpscript.Rule{Verb: "MLSD", Instead: "451 Not now."}, nil,
			"listing", []string{"MLSD", "451 Not now.", "trace_ftp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := ftpscript.Start(t, c.o)
			if c.rule.Verb != "" || c.rule.Match != nil {
				srv.Add(c.rule)
			}
			cfg := config(srv)
			if c.change != nil {
				c.change(&cfg)
			}
			rep := doctor.Run(t.Context(), cfg)
			says(t, rep, c.id, doctor.Problem, c.words...)
			if f := find(t, rep, c.id); f.Try == "" || strings.Contains(f.Try, "Bye.") {
				t.Errorf("nothing to try: %+v", f)
			}
			if rep.Verdict != doctor.Impossible {
				t.Errorf("verdict %s", rep.Verdict)
			}
			says(t, rep, "names", doctor.Unknown)
			clean(t, srv)
			if sent := srv.Since(0).Verbs("PASS"); c.id == "tls" && c.rule.Verb != "PROT" && len(sent) > 0 {
				t.Errorf("a server that is not believed was told %v", sent)
			}
		})
	}
}

// What cannot be written is said, and the rest is found out without.
func TestWhatCannotBeWritten(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{})
		srv.Add(ftpscript.Rule{Verb: "MKD", Instead: "550 Permission denied."})
		rep := doctor.Run(t.Context(), config(srv))
		says(t, rep, "directory", doctor.Problem, "cannot be written", "MKD /", "550 Permission denied.", "-o ro")
		says(t, rep, "names", doctor.Unknown, "the directory cannot be written")
		says(t, rep, "listing", doctor.OK, "MLSD")
		if rep.Verdict != doctor.Limited || len(rep.Options) != 1 || rep.Options[0].Text != "ro" {
			t.Errorf("verdict %s, options %v", rep.Verdict, rep.Options)
		}
		clean(t, srv)
	})
	t.Run("names with a dot", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{})
		srv.Add(ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb == "MKD" && strings.Contains(c.Path, "/.") }, Instead: "550 Prohibited."})
		rep := doctor.Run(t.Context(), config(srv))
		says(t, rep, "directory", doctor.Problem, "begin with a dot", "550 Prohibited.")
		says(t, rep, "rename", doctor.OK)
		clean(t, srv)
	})
	t.Run("disk", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{Space: 50 << 10, Full: "552 Quota exceeded."})
		rep := doctor.Run(t.Context(), config(srv))
		says(t, rep, "speed", doctor.Problem, "64 KiB could not be written", "STOR", "552 Quota exceeded.", "room")
		says(t, rep, "rename", doctor.OK)
		clean(t, srv)
	})
	t.Run("disk, of all", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{})
		srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "452 Disk full."})
		rep := doctor.Run(t.Context(), config(srv))
		says(t, rep, "directory", doctor.Problem, "no space", "452 Disk full.", "room")
		says(t, rep, "rename", doctor.Unknown, "files cannot be written")
		clean(t, srv)
	})
	t.Run("half of the throughput", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{Space: 80 << 10})
		rep := doctor.Run(t.Context(), config(srv))
		says(t, rep, "speed", doctor.Note, "with a file of 64 KiB", "128 KiB could not be written", "452")
		clean(t, srv)
	})
}

// Content that comes back changed, and renames that were not done, are problems.
func TestServersThatLie(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Add(ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb == "RNTO" && strings.HasSuffix(c.Path, "/old") }, Instead: "250 Done."})
	srv.Add(ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb == "STOR" && strings.HasSuffix(c.Path, "/speed") },
		Then: func(c ftpscript.Command) { srv.Tree.Put(c.Path, []byte("ASCII")) }})
	srv.Add(ftpscript.Rule{Verb: "MDTM", Match: func(c ftpscript.Command) bool { return !strings.Contains(c.Arg, " ") }, Final: "213 20010101000000"})
	rep := doctor.Run(t.Context(), config(srv))
	says(t, rep, "rename", doctor.Problem, "said to be done", "250 Done.")
	says(t, rep, "speed", doctor.Problem, "came back with other bytes")
	says(t, rep, "listing", doctor.Note, "behind of our clock")
	if rep.Verdict != doctor.Limited {
		t.Errorf("verdict %s", rep.Verdict)
	}
	clean(t, srv)
}

// A server that hides names keeps its directory from being removed by what is listed.
func TestHiddenNamesAreRemovedToo(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{Listing: func(verb, dir string, lines []string) []string {
		return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, " .") })
	}})
	rep := doctor.Run(t.Context(), config(srv))
	says(t, rep, "hidden", doctor.Note, "not shown")
	clean(t, srv)
}

// Without MDTM the zone of listings is found by our clock, and is an option then.
func TestTheZoneWithoutMDTM(t *testing.T) {
	o := ftpscript.InZone(-3*60 - 30)
	o.Refuse = append(o.Refuse, "MDTM")
	srv := ftpscript.Start(t, o)
	rep := doctor.Run(t.Context(), config(srv))
	says(t, rep, "listing", doctor.Note, "times of zone -03:30 by our clock", "of files that others wrote")
	if len(rep.Options) != 1 || rep.Options[0].Text != "timezone=-03:30" {
		t.Errorf("options %v", rep.Options)
	}
	clean(t, srv)
}

// The throughput is that of a mount with the same options: bwlimit holds.
func TestTheThroughputKeepsToBwlimit(t *testing.T) {
	cfg := config(ftpscript.Start(t, ftpscript.Options{}))
	cfg.Server.Rates = ftpconn.Rates{Up: 200 << 10, Down: 100 << 10}
	rep := doctor.Run(t.Context(), cfg)
	says(t, rep, "speed", doctor.OK, "within bwlimit")
	if f := rep.Facts; f.Up > 400<<10 || f.Down > 200<<10 {
		t.Errorf("%.0f bytes a second up, %.0f down", f.Up, f.Down)
	}
}

// Names in a code page are told of, with a guess and what it makes of them, also where
// nothing may be tried.
func TestNamesInACodePage(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		srv := ftpscript.Start(t, ftpscript.DOSCodePage())
		for _, n := range []string{"1", "2", "3"} {
			srv.Tree.Put("/"+n+"\xcf\xf0\xe8\xe2\xe5\xf2.txt", nil)
		}
		cfg := config(srv)
		cfg.ReadOnly = readOnly
		says(t, doctor.Run(t.Context(), cfg), "listing", doctor.Note, "not UTF-8: 3 in the directory", `1\xcf`, "codepage=cp1251", "1Привет.txt")
	}
}

// Of checksums that FEAT tells of in vain it is said what was sent and what came.
func TestChecksumsThatAreOnlyTold(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{Sums: []string{"XCRC"}})
	srv.Add(ftpscript.Rule{Verb: "XCRC", Instead: "550 Not today."})
	says(t, doctor.Run(t.Context(), config(srv)), "sums", doctor.Note, "none that can be used", "XCRC /", "550 Not today.", "nothing: the mount")
}

// TLS is told of where it is spoken, and where it could be.
func TestEncryptionIsTold(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	srv := ftpscript.Start(t, ftpscript.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}, MaxSessions: 1})
	cfg := config(srv)
	cfg.Server.TLS = ftpconn.TLS{Security: ftpconn.Explicit, Roots: certs.Pool(pair)}
	rep := doctor.Run(t.Context(), cfg)
	says(t, rep, "tls", doctor.Note, "TLS 1.3", "sessions resumed", "pin_sha256="+pin.Of(pair.Leaf).String(), "the certificate ends in 23 h")
	if e := rep.Facts.TLS; e.Data != "private" || e.Resumed != e.Handshakes || e.Handshakes == 0 || !*e.Believed {
		t.Errorf("%+v", e)
	}
	cfg = config(srv)
	cfg.Server.SafeURL = "ftpes://safe"
	rep = doctor.Run(t.Context(), cfg)
	says(t, rep, "tls", doctor.OK, "none; the server offers TLS 1.3", "ftpes://safe", pin.Of(pair.Leaf).String())
	if e := rep.Facts.TLS; !*e.Offered || e.Version != "" {
		t.Errorf("%+v", e)
	}
}

// Passive mode behind a firewall: active mode is tried, and is an option if it works.
func TestActiveWherePassiveFails(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	for _, verb := range []string{"EPSV", "PASV"} {
		srv.Add(ftpscript.Rule{Verb: verb, Final: map[string]string{"EPSV": "229 Here (|||" + fmt.Sprint(ftpscript.Closed(t)) + "|)", "PASV": "227 Here (127,0,0,1,0,1)"}[verb]})
	}
	rep := doctor.Run(t.Context(), config(srv))
	f := find(t, rep, "data")
	if f.Sent == "" || f.Came == "" {
		t.Errorf("it does not say what was sent, and what came: %+v", f)
	}
	if f.Level == doctor.Problem || !strings.Contains(f.Text, "active") {
		t.Errorf("%+v", f)
	}
	says(t, rep, "rename", doctor.OK)
	if rep.Verdict != doctor.Good || len(rep.Options) != 1 || rep.Options[0].Text != "active" {
		t.Errorf("verdict %s, options %v", rep.Verdict, rep.Options)
	}
	clean(t, srv)
}

// A run that is ended removes what it made, wherever it was.
func TestAnEndedRunRemovesItsDirectory(t *testing.T) {
	for _, verb := range []string{"MKD", "STOR", "RNTO", "NOOP", "RETR", "APPE"} {
		t.Run(verb, func(t *testing.T) {
			srv := ftpscript.Start(t, ftpscript.Options{})
			gate := make(chan struct{})
			hold := srv.Add(ftpscript.Rule{Verb: verb, Times: 1, Hold: gate})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-hold.Hit()
				cancel()
				close(gate)
			}()
			rep := doctor.Run(ctx, config(srv))
			if rep.Verdict != doctor.Cut || len(rep.Left) > 0 {
				t.Errorf("verdict %s, left %v", rep.Verdict, rep.Left)
			}
			clean(t, srv)
		})
	}
}

// What cannot be removed is named, with the command that does it; and that does it.
func TestWhatIsLeftIsNamed(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/theirs", nil)
	gone := srv.Add(ftpscript.Rule{Verb: "APPE", Times: 1, Then: func(ftpscript.Command) { srv.SetMaxSessions(1) }, Hangup: true})
	full := srv.Add(ftpscript.Rule{Verb: "CONNECT", Skip: 1, Instead: "421 Not now."})
	cfg := config(srv)
	cfg.Server.Timeout = time.Second
	rep := doctor.Run(t.Context(), cfg)
	if gone.Hits() != 1 || len(rep.Left) != 1 {
		t.Fatalf("left %v", rep.Left)
	}
	name := strings.TrimPrefix(rep.Left[0], "/")
	says(t, rep, "left", doctor.Problem, name, "ftpfs doctor --remove "+name, "421 Not now.")
	if _, there := srv.Tree.Stat(rep.Left[0]); !there || !doctor.Scratch(name) {
		t.Errorf("%s is not there", name)
	}
	full.Remove()
	if err := doctor.Remove(t.Context(), cfg.Server, "theirs"); err == nil {
		t.Error("something of theirs was to be removed")
	}
	if err := doctor.Remove(t.Context(), cfg.Server, name); err != nil {
		t.Error(err)
	}
	clean(t, srv, "/theirs")
}

// No password is in a report, whoever says it.
func TestNoPasswordInAReport(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Add(ftpscript.Rule{Verb: "PASS", Instead: "530 " + ftpscript.Password + " is not the password of tester."})
	rep := doctor.Run(t.Context(), config(srv))
	says(t, rep, "login", doctor.Problem, "530 **** is not the password")
	b, err := json.Marshal(rep)
	if err != nil || strings.Contains(string(b), ftpscript.Password) {
		t.Errorf("%v: %s", err, b)
	}
}

// What was learned is for the mount: the cap, and what an earlier mount believed in vain.
func TestWhatIsLearnedIsKept(t *testing.T) {
	o := ftpscript.Capped(ftpscript.CapGreeting, 2)
	o.Refuse = []string{"SITE CHMOD", "MFMT"}
	srv := ftpscript.Start(t, o)
	m := doctor.Run(t.Context(), config(srv)).Memory
	if m.Cap.Value.Conns != 2 || !m.NoChmod.Value || m.SetTime.Value != "MDTM" || m.NoAppend.Value {
		t.Errorf("%+v", m)
	}
	older := m
	older.NoAppend, older.NoChmod = ftpconn.Fact[bool]{Value: true, At: time.Now().Add(-time.Hour)}, ftpconn.Fact[bool]{}
	if got := m.Merge(older); got.NoAppend.Value || !got.NoChmod.Value {
		t.Errorf("it still believes that the server does not append: %+v", got)
	}
	s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password, Memory: m})
	defer s.Close()
	if err := s.Connect(t.Context()); err != nil || s.Caps().SetMode || s.Stats().SetsTimes != "MDTM" {
		t.Errorf("%v, %+v, %+v", err, s.Caps(), s.Stats())
	}
}

// TestSweep breaks the dialogue at its nth command, in several ways: the run ends, says
// what was not found out, and leaves nothing behind, or names it.
func TestSweep(t *testing.T) {
	breaks := map[string]ftpscript.Rule{
		"reset before":  {Drop: true},
		"reset after":   {Hangup: true},
		"421":           {Instead: "421 Enough."},
		"no such thing": {Instead: "500 What?"},
		"later":         {Final: "450 Later."},
	}
	count := ftpscript.Start(t, ftpscript.Options{})
	doctor.Run(t.Context(), sweepConfig(count))
	n := len(count.Since(0))
	step := 41
	if *sweepAll {
		step = 1
	}
	t.Logf("figure: %d commands of ftpfs doctor, each %d'th broken in %d ways", n, step, len(breaks))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	at := 0
	for name, rule := range breaks {
		at += 5
		for i := at % step; i < n; i += step {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				srv, err := ftpscript.New(ftpscript.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				defer srv.Stop()
				rule := rule
				rule.Skip, rule.Times = i, 1
				srv.Add(rule)
				begun := time.Now()
				rep := doctor.Run(t.Context(), sweepConfig(srv))
				var left []string
				for _, f := range srv.Tree.All() {
					if strings.Count(f.Path, "/") == 1 {
						left = append(left, f.Path)
					}
				}
				if fmt.Sprint(left) != fmt.Sprint(rep.Left) && len(left)+len(rep.Left) > 0 {
					t.Errorf("%s at %d: left behind %v, named %v\n%s", name, i, left, rep.Left, srv.Transcript(30))
				}
				if len(left) > 0 {
					t.Errorf("%s at %d: left behind %v: %+v\n%s", name, i, left, rep.Findings, srv.Transcript(30))
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("%s at %d took %v", name, i, took)
				}
				if len(rep.Findings) < 20 {
					t.Errorf("%s at %d: only %d findings", name, i, len(rep.Findings))
				}
			})
		}
	}
	wg.Wait()
}

func sweepConfig(srv *ftpscript.Server) doctor.Config {
	cfg := config(srv)
	cfg.Server.MaxConns = 2
	return cfg
}
