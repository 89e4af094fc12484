package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
	"ftpfs/cmd/internal/daemon"
	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/place"
	"ftpfs/ftpconn"
)

func TestShellQuotesWhatAShellReadsBack(t *testing.T) {
	for _, s := range []string{"/mnt/x/a.txt", "/mnt/a b", "it's", "a\nb", "\x1b[31m", "caf\xe9", "", "$HOME", "-rf", "ü", `back\slash'`, "\t"} {
		out, err := exec.Command("bash", "-c", "printf %s "+shell(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("shell(%q) = %s, which bash reads as %q (%v)", s, shell(s), out, err)
		}
	}
}

func TestPlainHidesControlCharacters(t *testing.T) {
	for in, want := range map[string]string{"a b ü": "a b ü", "\x1b[2J": `\x1b[2J`, "a\nb": `a\nb`, "\xff": `\xff`} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHelpNamesEveryOption(t *testing.T) {
	names := option.Names()
	for _, n := range names {
		switch n {
		case "password", "rw", "debug", "cache", "nomulticonn", "vfs_cache_max_size": // other people's words, or not to be advertised
			continue
		}
		if !strings.Contains(usage, n) {
			t.Errorf("--help does not mention %s", n)
		}
	}
	for _, l := range strings.Split(usage, "\n") {
		if len(l) > 80 {
			t.Errorf("too wide: %s", l)
		}
	}
}

func TestStatusShowsWhatToDo(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	down := now.Add(-90 * time.Second)
	var b strings.Builder
	show(&b, report{
		Mounts: []mountReport{{Status: control.Status{URL: "ftp://h/x", Mountpoint: "/mnt/x", State: "mounted", Cache: cache.Status{
			DownSince: &down, LastError: "refused", OwedFiles: 1, OwedBytes: 1 << 20, Parked: 1, Quarantined: 2, SpoolDir: "/s",
			Owed: []cache.OwedFile{
				{Path: "/p\x1b q", State: "parked", Error: "552 quota"},
				{Path: "/u", State: "uploading", Size: 1 << 20, Sent: 1 << 19, Open: true},
			}}}},
			{Status: control.Status{URL: "ftp://dead", Mountpoint: "/mnt/d"}, Error: "its daemon is dead"}},
		Unmounted: []spoolReport{{URL: "ftp://o", Mountpoint: "/mnt/o o", SpoolDir: "/so", Owed: 3, OwedBytes: 5, Parked: 1}},
	}, now)
	got := b.String()
	for _, want := range []string{
		"ftp://h/x at /mnt/x\n", "down since", "(1 min): refused", "1 file, 1 MiB", "uploading  /mnt/x/u  1 MiB (50 %), still being written",
		"552 quota", `ftpfs retry $'/mnt/x/p\x1b q'`, `ftpfs discard $'/mnt/x/p\x1b q'`, "2 records that could not be trusted",
		"its daemon is dead", "ftp://o (not mounted)", "3 files, 5 B", "ftpfs ftp://o '/mnt/o o'",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Errorf("an escape sequence of a file's name reaches the terminal:\n%q", got)
	}
}

// How the server is reached is one line, with what limits it and why it is not the usual way.
func TestStatusOfConnections(t *testing.T) {
	for want, c := range map[string]ftpconn.Stats{
		"1 open, 0 busy, at most 8": {Open: 1, Max: 8, Passive: "EPSV"},
		`2 open, 1 busy, at most 3, in active mode (passive fails: no way\x1b to it), through socks5://p:1080 (the server allows 3), 4 waiting for one`: {
			Open: 2, Busy: 1, Max: 3, Passive: "active", Because: "no way\x1b to it", Proxy: "socks5://p:1080", LearnedCap: 3, Waiting: 4},
		"1 open, 0 busy, at most 8, in active mode": {Open: 1, Max: 8, Passive: "active"}, // -o active
	} {
		if got := connections(mountReport{Status: control.Status{Connections: c}}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTellExitCodes(t *testing.T) {
	for _, c := range []struct {
		s    control.Settled
		code int
		say  string
	}{
		{control.Settled{Outcome: control.AllThere, Files: 2, Bytes: 3}, 0, "all is on the server (2 files, 3 B)"},
		{control.Settled{Outcome: control.StillOwed, Owed: 1, OwedBytes: 1024, LastError: "refused"}, 3, "/m: 1 file, 1 KiB still owed; the upload goes on (the server is down: refused)"},
		{control.Settled{Outcome: control.StillOwed, Owed: 2, Online: true, GaveUp: "nothing moved", Unmounted: true, SpoolDir: "/s"}, 3, "/m: 2 files, 0 B still owed; they will go out at the next mount (nothing moved; kept in /s)"},
		{control.Settled{Outcome: control.StillOwed, Owed: 1, Online: true, GaveUp: "the time was up", Refused: "530 no"}, 3, "the upload goes on (the server refuses the login: 530 no)"},
		{control.Settled{Outcome: control.SomeParked, Parked: 2}, 4, "2 files are parked"},
	} {
		var b strings.Builder
		if code := tell("/m", c.s, &b, &b); code != c.code || !strings.Contains(b.String(), c.say) || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%+v: exit %d, %q; want %d, %q", c.s, code, b.String(), c.code, c.say)
		}
	}
}

func TestWorse(t *testing.T) {
	for _, c := range [][3]int{{0, 3, 3}, {3, 4, 4}, {4, 3, 4}, {4, 0, 4}, {4, 2, 2}, {2, 3, 2}} {
		if got := worse(c[0], c[1]); got != c[2] {
			t.Errorf("worse(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestWaitFor(t *testing.T) {
	for in, want := range map[string]time.Duration{"5": 5 * time.Second, "0.5": time.Second / 2, "2m": 2 * time.Minute, "0": -1} {
		r := control.Request{Stall: time.Hour}
		if err := waitFor(&r, in); err != nil || r.Limit != want || r.Stall != 0 {
			t.Errorf("%q: %+v, %v; want a limit of %v", in, r, err, want)
		}
	}
	r := control.Request{Stall: time.Hour}
	if err := waitFor(&r, ""); err != nil || r.Stall != time.Hour {
		t.Errorf("without --timeout: %+v, %v", r, err)
	}
	if waitFor(&r, "soon") == nil || waitFor(&r, "-1") == nil {
		t.Error("rubbish was taken for a time")
	}
}

func TestStatusOfADeadDaemonTellsWhatItsSpoolOwes(t *testing.T) {
	r := mountReport{Status: control.Status{URL: "ftp://h", Mountpoint: "/m"}, Error: errDead.Error()}
	state := t.TempDir()
	log := filepath.Join(state, daemon.LogName)
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.fromSpool(spoolLeft{note: place.Note{Spool: filepath.Join(state, "spool")}, owed: 3, bytes: 2048, parked: 1})
	if c := r.Cache; c.OwedFiles != 2 || c.OwedBytes != 2048 || c.Parked != 1 {
		t.Errorf("%+v, want 2 files of 2048 bytes owed and 1 parked", c)
	}
	var b strings.Builder
	show(&b, report{Mounts: []mountReport{r}}, time.Now())
	for _, want := range []string{"daemon is dead", "2 files, 2 KiB; sent after the next mount", "1 file; kept until you decide", log + " says why"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestConnectionsSayWhatTheyWaitFor(t *testing.T) {
	for want, c := range map[string]ftpconn.Stats{
		"1 open, 1 busy, at most 8 (the server allows 1)": {Open: 1, Busy: 1, Max: 8, LearnedCap: 1},
		"0 open, 0 busy, at most 8, 1 waiting for one: the server has none left for this mount, others have them (421 Too many)": {
			Max: 8, Waiting: 1, Full: "421 Too many", Queued: true},
		"0 open, 0 busy, at most 8, 2 waiting for one: another mount of this server has its turn": {Max: 8, Waiting: 2, Queued: true},
	} {
		if got := connections(mountReport{Status: control.Status{Connections: c}}); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
