// Package trial is what one would try by hand before trusting a mount with data,
// written down as a program: rsync into a capped server at the far end of a slow
// line, with the daemon killed, the server restarted and the line silent
// meanwhile; and then every file is looked for on the server's own disk.
//
//	make trial        1 GiB, a minute of silence: about 8 minutes
//	go test           the same in small
//
// It says what it does as it goes (-v).
package trial

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/test/link"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

var full = flag.Bool("trial.full", false, "1 GiB and a minute of silence")

func TestMain(m *testing.M) { mount.Main(m) }

// scale is how large the trial is.
type scale struct {
	large, medium, small int           // files
	unit                 int64         // bytes of a large file; a medium one has a 16th
	silence              time.Duration // of the line
	bwlimit              string        // of rsync, which else is done before anything can happen to it
	line                 link.Options
}

// What happens, at which part of the bytes copied:
//
//	first run of rsync    15 %  the server is restarted
//	                      40 %  kill -9 of the daemon; mounted again; ftpfs sync
//	second run            45 %  the line falls silent for a minute
//	                      85 %  the server is restarted again
//	                      92 %  kill -9, mounted again, ftpfs sync
//	third run                   to its end; ftpfs sync; diff -r
//
// After each kill, and before rsync runs again, every file that had been closed
// before the kill is looked for on the server's disk.
func TestTrial(t *testing.T) {
	mount.Need(t, "rsync", "diff")
	// A small trial also has a kill in the middle of what takes a while.
	s := scale{large: 3, medium: 8, small: 60, unit: 8 << 20, silence: 5 * time.Second, bwlimit: "6m",
		line: link.Options{RTT: 20 * time.Millisecond, Rate: 200e6}}
	if *full {
		s.large, s.medium, s.small, s.unit = 5, 40, 1000, 128<<20
		s.silence, s.bwlimit = time.Minute, "7m"
	}
	begun := time.Now()
	tr := &trial{t: t, begun: begun, scale: s, recorded: map[string][]byte{}}
	tr.source = mount.TempDir(t)
	tr.makeSource()
	tr.say("made %d files of %s in all", len(tr.size), human(tr.total))

	l := link.New(t, s.line)
	tr.srv = servers.Start(t, servers.VSFTPD, servers.Options{MaxClients: 3, In: l.Far})
	tr.say("vsftpd with 3 connections at most, at the end of a line of %v and %d Mbit/s", s.line.RTT, s.line.Rate/1e6)
	tr.m = mount.New(t, tr.options(l))
	tr.dest = "backup"
	if err := os.Mkdir(tr.m.Path(tr.dest), 0o755); err != nil {
		t.Fatal(err)
	}

	tr.copy(
		event{0.15, func() { tr.restart() }},
		event{0.40, func() { tr.kill(l) }},
	)
	tr.copy(
		event{0.45, func() { tr.silence(l) }},
		event{0.85, func() { tr.restart() }},
		event{0.92, func() { tr.kill(l) }},
	)
	tr.finish()
	t.Logf("figure: %s in %d files over %v and %d Mbit/s, 3 connections: %d kills, %d restarts of the server, silent for %v; %d files closed before a kill, all there without rsync; diff -r finds nothing; %v",
		human(tr.total), len(tr.size), s.line.RTT, s.line.Rate/1e6, tr.kills, tr.restarts, s.silence, tr.checked, time.Since(begun).Round(time.Second))
}

func (tr *trial) options(l *link.Link) mount.Options {
	return mount.Options{URL: tr.srv.URL(""), Password: tr.srv.Password, In: l.Near.Do, Watchdog: 20 * time.Minute,
		O: []string{"timeout=10", "log_level=info"}}
}

// makeSource fills the source with directories of files of all sizes, the same
// in every run.
func (tr *trial) makeSource() {
	tr.size = map[string]int64{}
	r := rand.NewChaCha8([32]byte{'t', 'r', 'i', 'a', 'l'})
	pick := rand.New(r)
	block := make([]byte, 1<<20)
	put := func(name string, size int64) {
		full := filepath.Join(tr.source, name)
		tr.must(os.MkdirAll(filepath.Dir(full), 0o755))
		f, err := os.Create(full)
		tr.must(err)
		for left := size; left > 0; left -= int64(len(block)) {
			_, _ = r.Read(block)
			_, err := f.Write(block[:min(left, int64(len(block)))])
			tr.must(err)
		}
		tr.must(f.Close())
		// Not of today: rsync compares times, and vsftpd keeps seconds.
		at := time.Unix(1_700_000_000+pick.Int64N(10_000_000), 0)
		tr.must(os.Chtimes(full, at, at))
		tr.size[name] = size
		tr.total += size
	}
	dirs := 10
	for i := range tr.scale.large {
		put(fmt.Sprintf("part %d/video %d.mp4", i*dirs/tr.scale.large, i), tr.scale.unit)
	}
	for i := range tr.scale.medium {
		put(fmt.Sprintf("part %d/photos/img_%04d.jpg", i%dirs, i), tr.scale.unit/16)
	}
	for i := range tr.scale.small {
		put(fmt.Sprintf("part %d/notes/ü %04d.txt", i%dirs, i), pick.Int64N(64<<10))
	}
}

func human(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }
