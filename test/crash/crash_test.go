// Package crash kills the daemon with SIGKILL under a mixed load through a real
// mount, over and over, and compares what is there afterwards with what had been
// acknowledged. Promise 1 of package fs, and 3, are proven here.
//
//	worker_test.go  the load: processes of their own, each with a journal
//	op_test.go      the journal
//	model_test.go   what a journal allows to be found
//	server_test.go  the servers, and who watches their disks
//	kill_test.go    the moments at which the daemon is killed
//	crash_test.go   rounds of load, kill, mount, compare
//
// After each kill the mount is made anew over the dead one and read through: every
// file is as its last acknowledged call left it, or as the one in flight would have;
// a file that was open is kept as interrupted, with at least each acknowledged
// write; none that was closed is. Now and then what is interrupted is released with
// ftpfs retry, and after ftpfs sync the server's own disk is compared, byte by byte.
// All the time it is watched for a content that nobody ever closed: half a file.
package crash

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

var (
	kills = flag.Int("crash.kills", 12, "how often the daemon is killed, over all servers")
	seed  = flag.Uint64("crash.seed", 0, "of the load and of the moments; 0: a new one")
	only  = flag.String("crash.mode", "", "kill in this way only")
)

func TestMain(m *testing.M) {
	if text := os.Getenv(workerEnv); text != "" {
		work(text)
	}
	mount.Main(m)
}

// figures of all servers.
var figures struct {
	kills, servers, acked, compared, sights atomic.Int64
}

// The daemon is killed at random moments of a mixed load; nothing acknowledged is
// lost, and nothing is half on the server.
func TestKillNineAtRandomMoments(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64() >> 24
	}
	t.Logf("go test ./test/crash -run %s -crash.kills %d -crash.seed %d", t.Name(), *kills, *seed)
	all := map[string]func(*testing.T) *server{
		"scripted":             func(t *testing.T) *server { return startScript(t, ftpscript.Options{}) },
		"scripted, no replace": func(t *testing.T) *server { return startScript(t, ftpscript.Options{NoRenameOver: true}) },
		"scripted, slow":       func(t *testing.T) *server { return startScript(t, ftpscript.Options{Latency: 20 * time.Millisecond}) },
	}
	for _, kind := range servers.All {
		all[string(kind)] = func(t *testing.T) *server { return startReal(t, kind) }
	}
	t.Run("on", func(t *testing.T) {
		n := 0
		for name, start := range all {
			n++
			each := (*kills + len(all) - 1) / len(all)
			stream := uint64(slices.Index([]string{"scripted", "scripted, no replace", "scripted, slow", "vsftpd", "proftpd", "pureftpd", "pyftpdlib"}, name))
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := &story{T: t, srv: start(t), rnd: rand.New(rand.NewPCG(*seed, stream))}
				s.run(each)
			})
		}
	})
	t.Logf("figure: crash: %d kills on %d servers, %d operations acknowledged, %d files compared, %d contents seen on the servers, 0 lost (seed %d)",
		figures.kills.Load(), figures.servers.Load(), figures.acked.Load(), figures.compared.Load(), figures.sights.Load(), *seed)
}

const workers = 3

// story is what happens on one server.
type story struct {
	*testing.T
	srv   *server
	rnd   *rand.Rand
	dir   string // mountpoint
	state string // cache_dir
	m     *mount.Mount
	watch *watch

	models   [workers]tree
	versions [workers][][]byte // that may be on the server
	first    [workers]int
	round    int
	killed   int
	crew     *crew          // of this round
	lives    *[workers]life // what the round's journals say
	patient  bool           // the server may still be coming back

	interrupted [workers]map[string]bool // and not yet released
	set         int                      // files quarantined rightly: see compare
	told        []string
}

func (s *story) say(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf("round %d: ", s.round)+fmt.Sprintf(format, args...))
	if n := len(s.told) - 60; n > 0 {
		s.told = s.told[n:]
	}
}

// options: short enough for a server that is down, and no kill is spared by nofail.
var options = []string{"timeout=4", "dir_cache_time=1", "nofail"}

func (s *story) mount() {
	s.Helper()
	m, err := mount.Try(s.T, mount.Options{URL: s.srv.url, Password: s.srv.password, O: options, Dir: s.dir, CacheDir: s.state, Watchdog: 3 * time.Minute})
	if err != nil {
		s.fatal("mount: %v", err)
	}
	s.m, s.dir, s.state = m, m.Dir, m.CacheDir
}

func (s *story) fatal(format string, args ...any) {
	s.Helper()
	s.Fatalf("round %d: %s\nwhat happened:\n%s", s.round, fmt.Sprintf(format, args...), strings.Join(s.told, "\n"))
}

func name(w int) string { return fmt.Sprintf("w%d", w) }

func (s *story) run(kills int) {
	figures.servers.Add(1)
	s.mount()
	for w := range s.models {
		s.models[w] = tree{}
		if err := os.Mkdir(s.m.Path(name(w)), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	s.watch = startWatch(s.srv)
	defer s.watch.end()
	for s.killed < kills {
		s.round++
		s.kill()
		if s.round%3 == 0 {
			s.settle()
		}
	}
	s.settle()
	s.noTemporaries()
	s.m.Unmount()
	figures.kills.Add(int64(s.killed))
}

// crew is the processes of one round.
type crew struct {
	s    *story
	cmds []*exec.Cmd
	jobs []job
}

// load starts the workers. It returns once each has been at work.
func (s *story) load(calm, large, shuffle bool) *crew {
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	c := &crew{s: s}
	at := mount.TempDir(s.T)
	for w := range workers {
		j := job{Dir: s.m.Path(name(w)), Journal: filepath.Join(at, name(w)), Seed: s.rnd.Uint64() >> 40, First: s.first[w],
			Files: map[string]int64{}, Calm: calm, Large: large, Shuffle: shuffle}
		for p, f := range s.models[w] {
			if f == nil {
				j.Dirs = append(j.Dirs, p)
			} else {
				j.Files[p] = int64(len(f.data))
			}
		}
		text, err := json.Marshal(j)
		if err != nil {
			s.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
		said, err := os.Create(j.Journal + ".said")
		if err != nil {
			s.Fatal(err)
		}
		cmd.Stderr, cmd.SysProcAttr = said, &syscall.SysProcAttr{Setpgid: true}
		err = cmd.Start()
		said.Close()
		if err != nil {
			s.Fatal(err)
		}
		c.cmds, c.jobs = append(c.cmds, cmd), append(c.jobs, j)
	}
	for _, j := range c.jobs {
		limit := time.After(30 * time.Second)
		tick := time.NewTicker(2 * time.Millisecond)
		for ready := false; !ready; {
			select {
			case <-limit:
				s.fatal("a worker did not begin: %s", readAll(j.Journal+".said"))
			case <-tick.C:
				fi, err := os.Stat(j.Journal)
				ready = err == nil && fi.Size() > 0
			}
		}
		tick.Stop()
	}
	return c
}

func readAll(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

// end waits for the workers, which the loss of the daemon ends; those are killed that
// have nothing to notice it by.
func (c *crew) end(kill bool) [workers]life {
	var lives [workers]life
	for w, cmd := range c.cmds {
		if kill {
			_ = cmd.Process.Kill()
		}
		stuck := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
		err := cmd.Wait()
		if !stuck.Stop() || err != nil && !kill {
			c.s.fatal("worker %d: %v: %s", w, err, readAll(c.jobs[w].Journal+".said"))
		}
		ops, err := readJournal(c.jobs[w].Journal)
		if err != nil {
			c.s.fatal("%v", err)
		}
		if len(ops) > 0 {
			c.s.first[w] = ops[len(ops)-1].N
			c.s.say("worker %d: %d ops, the last: %v", w, len(ops), ops[len(ops)-1])
		}
		for _, o := range ops {
			if o.Err != "" {
				c.s.say("worker %d: %v", w, o)
			}
		}
		lives[w] = replay(c.s.models[w], c.s.interrupted[w], ops)
		figures.acked.Add(int64(lives[w].acked))
	}
	return lives
}

// compare finds what a mount shows among what the journals allow, and goes on from that.
func (s *story) compare(lives [workers]life, patient bool) {
	s.Helper()
	for w, l := range lives {
		deadline := time.Now().Add(40 * time.Second)
		for {
			got, err := readTree(s.m.Path(name(w)))
			var t tree
			diff := fmt.Sprint(err)
			if err == nil {
				t, diff = l.found(got)
			}
			if diff == "" {
				figures.compared.Add(int64(len(t)))
				s.versions[w] = append(append(s.versions[w], l.closed...), t.contents()...)
				s.models[w] = t
				break
			}
			if !(patient || l.moving) || time.Now().After(deadline) {
				s.fatal("worker %d: the mount shows what its calls do not allow:\n%s\nits last calls:\n%s\nstatus: %+v", w, diff, lastOps(l.ops, diff), s.m.Status().Cache)
			}
			pause(100 * time.Millisecond)
		}
	}
	for w := range s.interrupted {
		s.interrupted[w] = nil
	}
	st := s.m.Status().Cache
	for _, f := range st.Files {
		dir, rest, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if f.State != "interrupted" && f.State != "parked" {
			continue
		}
		w := slices.IndexFunc([]string{"w0", "w1", "w2"}, func(d string) bool { return d == dir })
		if w < 0 || !lives[w].open[rest] && !lives[w].kept[rest] || f.State == "parked" {
			s.fatal("%s is %s (%s), and was not open at any kill", f.Path, f.State, f.Error)
		}
		if s.interrupted[w] == nil {
			s.interrupted[w] = map[string]bool{}
		}
		s.interrupted[w][rest] = true
	}
	for _, l := range lives {
		if l.over { // the file that was replaced, if the record of the new one came first
			s.set++
		}
	}
	if st.Quarantined > s.set {
		notes, _ := filepath.Glob(filepath.Join(st.SpoolDir, "quarantine", "*.txt"))
		var text []string
		for _, n := range notes {
			text = append(text, readAll(n))
		}
		s.fatal("%d files in quarantine, want at most %d:\n%s", st.Quarantined, s.set, strings.Join(text, "\n"))
	}
}

// lastOps are those about the paths that diff names, and the last ones.
func lastOps(ops []op, diff string) string {
	var out []string
	for i, o := range ops {
		if i >= len(ops)-5 || strings.Contains(diff, o.Path) || o.To != "" && strings.Contains(diff, o.To) {
			out = append(out, o.String())
		}
	}
	return strings.Join(out[max(0, len(out)-40):], "\n")
}

// readTree is what a mount shows: files, and directories as nil.
func readTree(top string) (map[string][]byte, error) {
	all := map[string][]byte{}
	return all, filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == top {
			return err
		}
		rel := p[len(top)+1:]
		if d.IsDir() {
			all[rel] = nil
			return nil
		}
		b, err := os.ReadFile(p)
		all[rel] = b
		return err
	})
}

// settle has everything published and compares the server's disk.
func (s *story) settle() {
	s.Helper()
	if s.m.Status().Cache.Parked > 0 {
		if r := mount.Ftpfs(s.T, "retry", s.dir); r.Code != 0 {
			s.fatal("ftpfs retry: %+v", r)
		}
	}
	if r := mount.Ftpfs(s.T, "sync", s.dir); r.Code != 0 {
		s.fatal("ftpfs sync: exit code %d: %s%s\nstatus: %+v", r.Code, r.Out, r.Err, s.m.Status().Cache)
	}
	s.watch.look()
	for w := range s.models {
		got, err := s.srv.tree(name(w))
		if err != nil {
			s.Fatal(err)
		}
		for p := range got {
			if strings.HasPrefix(filepath.Base(p), ".ftpfs") {
				delete(got, p)
			}
		}
		if diff := s.models[w].differs(got); len(diff) > 0 {
			s.fatal("worker %d: after ftpfs sync the server has not what the mount has:\n%s", w, strings.Join(diff, "\n"))
		}
		figures.compared.Add(int64(len(got)))
		n, half := s.watch.account(name(w), s.versions[w])
		figures.sights.Add(int64(n))
		for _, h := range half {
			s.fatal("%s was on the server with %d bytes that nobody had closed: %.60q…", h.path, len(h.b), h.b)
		}
		s.versions[w] = s.models[w].contents()
		s.interrupted[w] = nil
	}
	s.watch.mu.Lock()
	err := s.watch.err
	s.watch.mu.Unlock()
	if err != nil {
		s.fatal("watch the server's disk: %v", err)
	}
}

// noTemporaries waits for the sweep, which the end of uploads and the listing of a
// directory begin.
func (s *story) noTemporaries() {
	deadline := time.Now().Add(60 * time.Second)
	for {
		left, err := s.srv.temporary()
		if err != nil {
			s.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.fatal("left on the server: %q", left)
		}
		pause(1100 * time.Millisecond) // past dir_cache_time: the next listing asks the server
		if _, err := readTree(s.dir); err != nil {
			s.fatal("list the mount: %v", err)
		}
	}
}

// pause is for what no event announces.
func pause(d time.Duration) { <-time.After(d) }
