package trial

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/link"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// trial is one trial under way. All of it is the test's goroutine's, but for what a
// recorder has written until it was stopped.
type trial struct {
	t      *testing.T
	begun  time.Time
	scale  scale
	source string
	size   map[string]int64 // of each file in the source
	total  int64
	srv    *servers.Server
	m      *mount.Mount
	dest   string // in the mount

	kills, restarts, checked int
	recorded                 map[string][]byte // closed before the last kill
	stopRecord               func()
	silent                   <-chan struct{} // closed at the end of the silence; nil: none
}

// event happens when rsync has copied a part of the bytes.
type event struct {
	at float64
	do func()
}

func (tr *trial) say(format string, args ...any) {
	tr.t.Logf("%6.1fs  %s", time.Since(tr.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (tr *trial) must(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

// copy runs rsync, and has the events happen on the way. If rsync ends before
// they all have, it is run again; if it finds nothing more to copy, they happen
// at once.
func (tr *trial) copy(events ...event) {
	tr.t.Helper()
	tr.stopRecord = tr.record()
	defer func() { tr.stopRecord() }()
	for len(events) > 0 && !tr.t.Failed() {
		code, said := tr.rsync(func(done int64) {
			for len(events) > 0 && float64(done) >= events[0].at*float64(tr.total) {
				events[0].do()
				events = events[1:]
			}
		})
		if len(events) == 0 {
			tr.say("rsync ended with %d: %s", code, said)
			return
		}
		tr.say("rsync ended with %d before all had happened: %s", code, said)
		if code == 0 {
			for _, e := range events {
				e.do()
			}
			return
		}
	}
}

// rsync copies the source into the mount. It calls at with the bytes of all files
// that are known to be copied, each time there are more. What is there already
// counts.
func (tr *trial) rsync(at func(done int64)) (code int, last string) {
	tr.t.Helper()
	cmd := exec.Command("rsync", "-a", "--delete", "--bwlimit="+tr.scale.bwlimit, "--out-format=%n", tr.source+"/", tr.m.Path(tr.dest)+"/")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	tr.must(err)
	tr.must(cmd.Start())
	done := tr.total
	for name, size := range tr.size { // what rsync will not name
		if info, err := os.Lstat(tr.m.Path(tr.dest, name)); err != nil || info.Size() != size {
			done -= size
		}
	}
	tr.say("rsync begins; %.0f %% is there", 100*float64(done)/float64(tr.total))
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		done += tr.size[lines.Text()]
		at(min(done, tr.total))
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		tr.t.Fatal(err)
	}
	text := strings.Split(strings.TrimSpace(said.String()), "\n")
	return cmd.ProcessState.ExitCode(), fmt.Sprintf("%s (%d lines)", text[0], len(text))
}

// record writes small files beside rsync, one after the other, and remembers
// those whose close returned, until stop is called.
func (tr *trial) record() (stop func()) {
	dir := tr.m.Path(fmt.Sprintf("record %d", tr.kills))
	tr.must(os.Mkdir(dir, 0o755))
	end := make(chan struct{})
	var ended sync.WaitGroup
	written := map[string][]byte{}
	ended.Go(func() {
		tick := time.NewTicker(tr.scale.silence / 50)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			name := filepath.Join(dir, fmt.Sprintf("%05d", i))
			data := bytes.Repeat(fmt.Appendf(nil, "line of %s\n", name), 1+i%700)
			if os.WriteFile(name, data, 0o644) == nil {
				rel, _ := filepath.Rel(tr.m.Dir, name)
				written[rel] = data
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		ended.Wait()
		for name, data := range written {
			tr.recorded[name] = data
		}
	})
}

func (tr *trial) restart() {
	tr.heard()
	tr.say("the server is restarted")
	tr.srv.Restart()
	tr.restarts++
}

// silence lets the line lose everything for a while, during which rsync goes on.
func (tr *trial) silence(l *link.Link) {
	tr.say("the line falls silent for %v", tr.scale.silence)
	l.Silence()
	over := make(chan struct{})
	tr.silent = over
	time.AfterFunc(tr.scale.silence, func() {
		defer close(over)
		l.Restore()
		tr.say("the line carries again")
	})
}

// heard waits for the end of a silence.
func (tr *trial) heard() {
	if tr.silent != nil {
		<-tr.silent
		tr.silent = nil
	}
}

// kill notes what has been closed, kills the daemon, mounts again, has the owed
// files sent, and looks whether all that was closed is on the server.
func (tr *trial) kill(l *link.Link) {
	tr.t.Helper()
	tr.heard()
	closed := tr.closed()
	before := tr.m.Status().Cache
	tr.m.Kill()
	tr.stopRecord()
	tr.kills++
	tr.say("kill -9: %d files were closed; %d files, %s were owed", len(closed), before.Owed, human(before.OwedBytes))
	begun := time.Now()
	o := tr.options(l)
	tr.m = tr.m.Again(o)
	tr.say("mounted again in %v", time.Since(begun).Round(time.Millisecond))
	tr.sync()
	wrong := 0
	for _, name := range closed {
		if err := equal(filepath.Join(tr.source, name), filepath.Join(tr.srv.Root, tr.dest, name)); err != nil {
			wrong++
			if wrong < 10 {
				tr.t.Errorf("closed before the kill, and not there after it: %v", err)
			}
		}
	}
	tr.checked += len(closed)
	tr.say("of the %d files that rsync had closed %d are not on the server", len(closed), wrong)
	tr.checkRecorded()
}

// closed are the files that rsync has given their final name: it closes them
// before. Just after a restart listing may fail for a moment.
func (tr *trial) closed() []string {
	tr.t.Helper()
	root := tr.m.Path(tr.dest)
	for begun := time.Now(); ; {
		var names []string
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if rel, _ := filepath.Rel(root, p); tr.size[rel] > 0 {
				names = append(names, rel)
			}
			return nil
		})
		if err == nil {
			return names
		}
		if time.Since(begun) > 2*time.Minute {
			tr.t.Fatalf("list what is there before the kill: %v", err)
		}
		tr.say("list what is there before the kill: %v; again", err)
		<-time.After(time.Second)
	}
}

// sync waits until all is on the server, except for files that the kill left open,
// which are given up, as their owner will write them again.
func (tr *trial) sync() {
	tr.t.Helper()
	begun := time.Now()
	code := tr.ftpfs("sync", tr.m.Dir)
	status := tr.m.Status().Cache
	interrupted := 0
	for _, f := range status.Files {
		if f.State != "interrupted" {
			continue
		}
		interrupted++
		if code := tr.ftpfs("discard", tr.m.Path(f.Path)); code != 0 {
			tr.t.Errorf("ftpfs discard %s: exit code %d", f.Path, code)
		}
	}
	tr.say("ftpfs sync ended with %d after %v; %d files were open at a kill, and discarded", code, time.Since(begun).Round(100*time.Millisecond), interrupted)
	if code != 0 && !(code == 4 && interrupted > 0 && status.Parked <= interrupted) {
		text, _ := json.Marshal(status)
		tr.t.Errorf("ftpfs sync ended with %d; status: %s", code, text)
	}
	if status.Quarantined > 0 {
		tr.t.Errorf("%d files in quarantine after a mere kill", status.Quarantined)
	}
}

// ftpfs runs a command that may take as long as the uploads do.
func (tr *trial) ftpfs(args ...string) int {
	tr.t.Helper()
	program, err := mount.Program()
	tr.must(err)
	r := mount.Command{Timeout: 15 * time.Minute}.Do(tr.t, program, args...)
	if r.Code != 0 {
		tr.say("ftpfs %s: %s", args[0], strings.TrimSpace(r.Err))
	}
	return r.Code
}

// checkRecorded looks for what the recorders closed, on the server's disk.
func (tr *trial) checkRecorded() {
	tr.t.Helper()
	wrong := 0
	for name, data := range tr.recorded {
		if got, err := os.ReadFile(filepath.Join(tr.srv.Root, name)); err != nil || !bytes.Equal(got, data) {
			wrong++
			if wrong < 10 {
				tr.t.Errorf("written and closed: %s is not whole on the server: %d of %d bytes, %v", name, len(got), len(data), err)
			}
		}
	}
	tr.checked += len(tr.recorded)
	tr.say("of the %d small files written beside rsync %d are not on the server", len(tr.recorded), wrong)
	clear(tr.recorded)
}

// finish runs rsync to its end, waits for the uploads, and compares.
func (tr *trial) finish() {
	tr.t.Helper()
	code, said := tr.rsync(func(int64) {})
	tr.say("the last rsync ended with %d: %s", code, said)
	if code != 0 {
		tr.t.Errorf("the last rsync ended with %d: %s", code, said)
	}
	tr.sync()
	r := mount.Command{Timeout: 10 * time.Minute}.Do(tr.t, "diff", "-r", tr.source, filepath.Join(tr.srv.Root, tr.dest))
	if r.Code != 0 {
		tr.t.Errorf("diff -r of the source and the server's disk: %.2000s%s", r.Out, r.Err)
	}
	tr.say("diff -r of the source and the server's disk ended with %d", r.Code)
	tr.m.Unmount()
	tr.say("unmounted")
}

func equal(want, got string) error {
	w, err := os.ReadFile(want)
	if err != nil {
		return err
	}
	g, err := os.ReadFile(got)
	if err != nil {
		return err
	}
	if !bytes.Equal(w, g) {
		return fmt.Errorf("%s: %d bytes that differ, want %d", got, len(g), len(w))
	}
	return nil
}
