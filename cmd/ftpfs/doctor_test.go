package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/doctor"
	"ftpfs/test/ftpscript"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// The exit code tells whether there can be a mount; the table says why; what is left
// behind is nothing, and a password is nowhere.
func TestDoctorCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		rule ftpscript.Rule
		env  []string
		args []string
		code int
		say  []string
	}{
		{"good", ftpscript.Rule{}, nil, nil, 0, []string{"It can be mounted, and nothing stands in the way.", "  mount point       mkdir -p /mnt/", "  mount             ftpfs ", "  /etc/fstab        ftp://tester@", "  round trip        "}},
		{"read-only", ftpscript.Rule{}, nil, []string{"--read-only"}, 0, []string{"not tried: read-only: hidden files, names,"}},
		{"mounted read-only", ftpscript.Rule{}, nil, []string{"-o", "ro"}, 0, []string{"not tried: read-only:", "ftpfs -o max_conns=2,cache_dir=", ",ro ftp://tester@"}},
		{"limited", ftpscript.Rule{Verb: "MKD", Instead: "550 Permission denied."}, nil, nil, exitLimited,
			[]string{"! directory         ", "sent MKD /", "came 550 Permission denied.", "try  -o ro", "with 1 problem (!)", "option            ro, for: "}},
		{"impossible", ftpscript.Rule{}, []string{"FTPFS_PASSWORD=not-it"}, nil, 32,
			[]string{"! login             refused", "sent PASS ****", "came 530 Login incorrect.", "? all the rest      not tried", "It cannot be mounted so."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := ftpscript.Start(t, ftpscript.Options{})
			if c.rule.Verb != "" {
				srv.Add(c.rule)
			}
			env := append([]string{"FTPFS_PASSWORD=" + ftpscript.Password}, c.env...)
			args := append([]string{"doctor", "-o", "max_conns=2,cache_dir=" + t.TempDir()}, append(c.args, srv.URL(""))...)
			r := ftpfs(t, "ftpfs", env, args...)
			if r.code != c.code || r.err != "" {
				t.Errorf("exit code %d, want %d: %s", r.code, c.code, r.err)
			}
			for _, s := range c.say {
				if !strings.Contains(r.out, s) {
					t.Errorf("it does not say %q:\n%s", s, r.out)
				}
			}
			if strings.Contains(r.out+r.err, ftpscript.Password) {
				t.Error("the password shows")
			}
			if all := srv.Tree.All(); len(all) > 0 {
				t.Errorf("left on the server: %v", all)
			}
		})
	}
	for _, args := range [][]string{{"doctor"}, {"doctor", "a", "b"}, {"doctor", "-o", "no_such", "ftp://h"}, {"doctor", "--remove", "theirs", "ftp://h"}, {"doctor", "--nonsense"}} {
		if r := ftpfs(t, "ftpfs", nil, args...); r.code != 1 || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q", args, r.code, r.err)
		}
	}
}

// What was learned is read by the next mount, and shown to nobody.
func TestDoctorKeepsWhatItLearned(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Capped(ftpscript.CapGreeting, 2))
	dir := t.TempDir()
	r := ftpfs(t, "ftpfs", []string{"FTPFS_PASSWORD=" + ftpscript.Password}, "doctor", "-o", "cache_dir="+dir, srv.URL(""))
	files, _ := filepath.Glob(filepath.Join(dir, "state/servers/*.json"))
	if r.code != 0 || len(files) != 1 {
		t.Fatalf("exit code %d, files %v:\n%s%s", r.code, files, r.out, r.err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(b)), ""), `"cap":{"value":{"conns":2,`) {
		t.Errorf("%v: %s", err, b)
	}
	fi, err := os.Stat(filepath.Join(dir, "state"))
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// Ctrl-C ends the run when its directory is removed.
func TestDoctorInterrupted(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	gate := make(chan struct{})
	hold := srv.Add(ftpscript.Rule{Verb: "APPE", Times: 1, Hold: gate})
	cmd := exec.Command("/proc/self/exe", "doctor", "-o", "cache_dir="+t.TempDir(), srv.URL(""))
	cmd.Args[0] = "ftpfs"
	cmd.Env = []string{"FTPFS_TEST_PLAYS=1", "HOME=" + t.TempDir(), "FTPFS_PASSWORD=" + ftpscript.Password}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-hold.Hit()
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	close(gate)
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(out.String(), "The run was ended") {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
	if all := srv.Tree.All(); len(all) > 0 {
		t.Errorf("left on the server: %v", all)
	}
}

// Scripts rely on the form of --json: keys go nowhere, and mean what they meant.
func TestDoctorJSON(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{Sums: []string{"HASH"}, Space: 100 << 20})
	srv.Add(ftpscript.Rule{Verb: "APPE", Instead: "451 No."})
	srv.Add(ftpscript.Rule{Verb: "SITE QUOTA", Instead: "200-\n Uploaded Mb:\t1.50/100.00\n200 End"})
	srv.Add(ftpscript.Rule{Verb: "STAT", Instead: "211-status\n Session timeout in seconds is 300\n vsFTPd 3.0.3\n211 End"})
	r := ftpfs(t, "ftpfs", []string{"FTPFS_PASSWORD=" + ftpscript.Password}, "doctor", "--json", "-o", "max_conns=2,cache_dir="+t.TempDir(), srv.URL(""))
	var got any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
		t.Fatalf("exit code %d, %v:\n%s%s", r.code, err, r.out, r.err)
	}
	var keys []string
	walk("", got, func(path string, v any) {
		if path == ".findings.id" {
			keys = append(keys, "finding "+v.(string))
		}
		keys = append(keys, path+" "+strings.TrimPrefix(fmt.Sprintf("%T", v), "[]"))
	})
	slices.Sort(keys)
	text := strings.Join(slices.Compact(keys), "\n") + "\n"
	const file = "testdata/doctor.json.keys"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != text {
		t.Errorf("%v: the keys are now (if that is meant, run with -update):\n%s", err, text)
	}
	for _, s := range []string{`"verdict": "good"`, `"came": "451 No."`, `"version": 1`} {
		if !strings.Contains(r.out, s) {
			t.Errorf("no %s in\n%s", s, r.out)
		}
	}
}

// walk calls f for every value that is not an object or list, those of lists under the
// list's name.
func walk(path string, v any, f func(string, any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			walk(path+"."+k, e, f)
		}
	case []any:
		if len(v) == 0 {
			f(path+"[]", "")
		}
		for _, e := range v {
			walk(path, e, f)
		}
	default:
		f(path, v)
	}
}

// The lines for a mount hold what was asked with and what was found, and no secret.
func TestMounting(t *testing.T) {
	for _, c := range []struct {
		url     string
		lists   []string
		found   []doctor.Option
		command string
		fstab   string
	}{
		{"ftp://h", nil, nil, "ftpfs ftp://h /mnt/h",
			"ftp://h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount 0 0"},
		{"ftpes://alice@nas.lan/my photos", []string{"credentials=/etc/c,timeout=5"}, []doctor.Option{{Text: "active"}, {Text: "timezone=+05:30"}},
			"ftpfs -o credentials=/etc/c,timeout=5,active,timezone=+05:30 ftpes://alice@nas.lan/my%20photos /mnt/my_photos",
			"ftpes://alice@nas.lan/my%20photos /mnt/my_photos ftpfs noauto,nofail,_netdev,x-systemd.automount,credentials=/etc/c,timeout=5,active,timezone=+05:30 0 0"},
		{"ftp://h:2121", []string{"user=bob:geheim,port=2121", "password=geheim", "tls=try,ssl_control"}, nil,
			"ftpfs -o tls=try,clear_data ftp://bob@h:2121 /mnt/h",
			"ftp://bob@h:2121 /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,credentials=/etc/ftpfs-h.cred,tls=try,clear_data 0 0"},
		{"ftp://h", []string{"active=no,timezone=auto,ro"}, []doctor.Option{{Text: "active"}, {Text: "timezone=+05:30"}, {Text: "ro"}}, "ftpfs -o active,timezone=+05:30,ro ftp://h /mnt/h",
			"ftp://h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,active,timezone=+05:30,ro 0 0"},
		{"ftp://h", []string{"proxy=socks5://carl:geheim@p:1080"}, nil, "ftpfs -o credentials=/etc/ftpfs-h.cred,proxy=socks5://carl@p:1080 ftp://h /mnt/h",
			"ftp://h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,credentials=/etc/ftpfs-h.cred,proxy=socks5://carl@p:1080 0 0"},
		{"ftp://h", []string{"socks_proxy=carl:geheim@p:1080,credentials=c"}, nil, "ftpfs -o socks_proxy=carl@p:1080,credentials=c ftp://h /mnt/h",
			"ftp://h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,socks_proxy=carl@p:1080,credentials=" + absolute("credentials=c")[len("credentials="):] + " 0 0"},
		{"ftp://bob@h", []string{"http_proxy=http://carl:geheim@p:1080"}, nil, "ftpfs -o credentials=/etc/ftpfs-h.cred,http_proxy=http://carl@p:1080 ftp://bob@h /mnt/h",
			"ftp://bob@h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,credentials=/etc/ftpfs-h.cred,http_proxy=http://carl@p:1080 0 0"},
		{"ftp://h", []string{"proxy=p:1080,proxy-user=carl:ge:heim"}, nil, "ftpfs -o credentials=/etc/ftpfs-h.cred,proxy=p:1080,proxy-user=carl ftp://h /mnt/h",
			"ftp://h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,credentials=/etc/ftpfs-h.cred,proxy=p:1080,proxy-user=carl 0 0"},
		{"ftp://h", []string{`cache_dir=/a\,b c`}, []doctor.Option{{Text: `cache_dir=/a,b c`}}, `ftpfs -o 'cache_dir=/a\,b c' ftp://h /mnt/h`,
			`ftp://h /mnt/h ftpfs noauto,nofail,_netdev,x-systemd.automount,cache_dir=/a\134,b\040c 0 0`},
	} {
		at, err := target.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if at.User == "" {
			at.User = "anonymous"
		}
		if strings.Contains(strings.Join(c.lists, ","), "bob") {
			at.User = "bob"
		}
		m := mounting(at, c.lists, &doctor.Report{Options: c.found})
		command := strings.ReplaceAll(m.Command, "anonymous@", "")
		fstab := strings.ReplaceAll(m.Fstab, "anonymous@", "")
		if point := c.command[strings.LastIndexByte(c.command, ' ')+1:]; m.Prepare != "mkdir -p "+point {
			t.Errorf("%s: %q, for %s", c.url, m.Prepare, point)
		}
		if command != c.command || fstab != c.fstab {
			t.Errorf("%s %q:\n%s\n%s\nwant\n%s\n%s", c.url, c.lists, command, fstab, c.command, c.fstab)
		}
	}
}

// A report fits a page of 110 columns, and what a server says cannot paint on a terminal.
func TestShowExamined(t *testing.T) {
	rep := &doctor.Report{Verdict: doctor.Limited, Options: []doctor.Option{{Text: "ro", Why: "it cannot be written"}}, Findings: []doctor.Finding{
		{ID: "greeting", Title: "greeting", Level: doctor.OK, Text: "Hello\x1b[31m" + strings.Repeat(" many words", 30)},
		{ID: "append", Title: "append", Level: doctor.Problem, Text: "refused", Sent: "APPE x", Came: "451 No.", Try: "nothing", More: []string{"and more"}},
		{ID: "sums", Title: "checksums", Level: doctor.Unknown, Text: "not tried: read-only"},
		{ID: "names", Title: "names", Level: doctor.Unknown, Text: "not tried: read-only"},
	}}
	var b bytes.Buffer
	showExamined(&b, "ftp://h", rep, mountLines{Command: "ftpfs ftp://h /mnt/h", Fstab: strings.Repeat("x", 200)})
	for _, l := range strings.Split(b.String(), "\n") {
		if utf8.RuneCountInString(l) > 110 && !strings.Contains(l, "xxx") || strings.TrimRight(l, " ") != l {
			t.Errorf("line of %d: %q", len(l), l)
		}
	}
	for _, want := range []string{`Hello\x1b[31m many`, "! append            refused\n                    and more\n                    sent APPE x\n                    came 451 No.\n                    try  nothing\n",
		"? the rest          not tried: read-only: checksums, names\n", "It can be mounted; with 1 problem (!), 2 not found out (?).", "  option            ro, for: it cannot be written\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
