package mounted

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// outage is one way for a server to be gone during rsync -a --delete.
type outage struct {
	cache  string // cold, fresh or stale when rsync begins
	frozen bool   // silent instead of stopped
	middle bool   // it goes when rsync is at work, not before
}

var outages = []outage{
	{"cold", false, false},
	{"fresh", false, false},
	{"stale", false, false},
	{"stale", true, false},
	{"fresh", false, true},
	{"stale", true, true},
}

func (o outage) String() string {
	s := o.cache + ", stopped"
	if o.frozen {
		s = o.cache + ", frozen"
	}
	if o.middle {
		return s + " in the middle"
	}
	return s + " before"
}

// deleting is one run of rsync -a --delete between a directory and a mount of its
// own.
type deleting struct {
	outage
	work
	sub   string // what is mounted
	local string // the other directory
}

// A stopped server during rsync --delete deletes nothing and ends with an error
// within the timeout: with the mount as destination, and with the mount as source.
func TestStoppedServerDuringRsyncDeleteDeletesNothing(t *testing.T) {
	mount.Need(t, "rsync")
	onEach(t, func(t *testing.T, w work) {
		for i, o := range outages {
			for _, out := range []bool{true, false} {
				where := "into the mount"
				if out {
					where = "out of the mount"
				}
				t.Run(where+", "+o.String(), func(t *testing.T) {
					d := deleting{o, w, fmt.Sprintf("case%d%v", i, out), mount.TempDir(t)}
					if out {
						d.outOfTheMount(t)
					} else {
						d.intoTheMount(t)
					}
				})
			}
		}
	})
}

// sections are what both sides have; the last is reached long after the first.
var sections = []string{"a", "m", "z"}

const deleteTimeout = 2 * time.Second

func (d *deleting) prepare(t *testing.T) *mount.Mount {
	for i, s := range sections {
		d.srv.Put(filepath.Join(d.sub, s, "big"), noise(uint64(i), 150_000))
		d.srv.Put(filepath.Join(d.sub, s, "small"), []byte(s))
	}
	// dir_cache_time=0: what was listed is old at once.
	options := []string{"timeout=2", "dir_cache_time=0"}
	if d.cache == "fresh" {
		options[1] = "dir_cache_time=600"
	}
	m := mount.New(t, mount.Options{URL: d.srv.URL(d.sub), Password: d.srv.Password, O: options})
	if d.cache != "cold" {
		mount.Run(t, "/", "find", m.Dir, "-printf", "%s")
	}
	return m
}

// rsync runs it while the server goes, and returns how it ended. begun says when it
// is in the middle.
func (d *deleting) rsync(t *testing.T, begun func() bool, from, to string, more ...string) mount.Result {
	t.Helper()
	goes, back := d.srv.Stop, d.srv.Restart
	if d.frozen {
		goes, back = d.srv.Freeze, d.srv.Thaw
	}
	defer back()
	if !d.middle {
		goes()
	}
	args := append([]string{"-a", "--delete", "--no-owner", "--no-group"}, more...)
	if d.middle {
		args = append(args, "--bwlimit=200") // KiB/s: slow enough to be met at work
	}
	cmd := exec.Command("rsync", append(args, from+"/", to+"/")...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if d.middle {
		eventually(t, "see rsync at work", begun)
		goes()
		start = time.Now()
	}
	// A call may spend the timeout, and rsync's processes make theirs at the same
	// time; the rest is for slow machines.
	select {
	case <-ended:
	case <-time.After(20 * deleteTimeout):
		_ = cmd.Process.Kill()
		<-ended
		t.Errorf("rsync was still there %v after the server went", 20*deleteTimeout)
	}
	t.Logf("rsync ended with code %d after %v", cmd.ProcessState.ExitCode(), time.Since(start).Round(10*time.Millisecond))
	return mount.Result{Code: cmd.ProcessState.ExitCode(), Out: said.String()}
}

// The mount is the source; the local directory is an older copy of it.
func (d *deleting) outOfTheMount(t *testing.T) {
	for i, s := range sections {
		if d.middle && i == 0 {
			continue // to be sent
		}
		put(t, filepath.Join(mkdir(t, filepath.Join(d.local, s)), "small"), []byte("older copy"))
	}
	if d.cache != "fresh" && !d.middle { // then nobody knows whether the server has it
		put(t, filepath.Join(d.local, "z", "perhaps new on the server"), nil)
	}
	m := d.prepare(t)
	before := paths(t, d.local)
	r := d.rsync(t, func() bool {
		_, err := os.Lstat(filepath.Join(d.local, "a", "big"))
		return err == nil
	}, m.Dir, d.local)
	if r.Code == 0 {
		t.Errorf("rsync succeeded without its server: %s", r.Out)
	}
	d.allThere(t, before, d.local, r)
}

// The mount is the destination; the local directory lacks some of what the server has.
func (d *deleting) intoTheMount(t *testing.T) {
	put(t, filepath.Join(mkdir(t, filepath.Join(d.local, "a")), "new"), noise(9, 250_000))
	put(t, filepath.Join(mkdir(t, filepath.Join(d.local, "m")), "new"), noise(9, 250_000))
	m := d.prepare(t)
	before := paths(t, filepath.Join(d.srv.Root, d.sub))
	var more []string
	if d.middle { // else it deletes at once, and rightly
		more = []string{"--delete-after"}
	}
	r := d.rsync(t, func() bool {
		_, err := os.Lstat(m.Path("a", "new"))
		return err == nil
	}, d.local, m.Dir, more...)
	if r.Code == 0 {
		t.Errorf("rsync succeeded without its server: %s", r.Out)
	}
	syncNow(t, m)
	d.allThere(t, before, filepath.Join(d.srv.Root, d.sub), r)
	// And with the server back the same command does all of it.
	eventually(t, "find the server again", func() bool { return m.Status().Cache.Online })
	mount.Run(t, d.local, "rsync", "-a", "--delete", "--no-owner", "--no-group", "./", m.Dir+"/")
	syncNow(t, m)
	same(t, d.local, filepath.Join(d.srv.Root, d.sub))
}

// allThere fails the test if one of the paths has gone from top.
func (d *deleting) allThere(t *testing.T, before []string, top string, r mount.Result) {
	t.Helper()
	for _, p := range before {
		if _, err := os.Lstat(filepath.Join(top, p)); err != nil {
			t.Errorf("deleted: %s (rsync's code %d: %s)", p, r.Code, firstLines(r.Out, 10))
		}
	}
}

func paths(t *testing.T, top string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(top, func(p string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(top, p)
		all = append(all, rel)
		return err
	}))
	return all
}

// What tools make of a directory of a server that is down: those that show names show
// them, those that need all of them are told that these may not be all.
func TestToolsAreToldThatAListingIsOld(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "timeout=2", "dir_cache_time=0")
	srv.Tree.Put("/d/one", []byte("1"))
	srv.Tree.Put("/d/two", []byte("2"))
	mount.Run(t, m.Dir, "cat", "d/one", "d/two")
	names(t, m.Path("d"))
	srv.Stop()
	for _, c := range []struct {
		argv []string
		want string // printed
		code int
	}{
		{[]string{"ls", "d"}, "one\ntwo\n", 2},
		{[]string{"find", "d", "-type", "f"}, "d/one\nd/two\n", 1},
		{[]string{"bash", "-c", "echo d/*"}, "d/one d/two\n", 0},
		{[]string{"cat", "d/one", "d/two"}, "12", 0},
		{[]string{"cp", "-r", "d", mount.TempDir(t)}, "", 1},
		{[]string{"rm", "-r", "d"}, "", 1},
		{[]string{"python3", "-c", "import os\ntry: os.listdir('d')\nexcept OSError as e: print(e.errno)"}, "5\n", 0},
	} {
		if c.argv[0] == "python3" {
			mount.Need(t, "python3")
		}
		r := (mount.Command{Dir: m.Dir}).Do(t, c.argv[0], c.argv[1:]...)
		if r.Out != c.want || r.Code != c.code {
			t.Errorf("%q: printed %q, code %d, and said %q; want %q and %d", c.argv, r.Out, r.Code, r.Err, c.want, c.code)
		}
	}
	must(t, srv.Restart())
	eventually(t, "find the server again", func() bool { return m.Status().Cache.Online })
	if got := names(t, m.Path("d")); len(got) != 2 {
		t.Errorf("with the server back: %q", got)
	}
}
