package bench

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/certs"
	"ftpfs/test/link"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// c0 is how the course is.
var c0 struct {
	full      bool
	runs      int
	server    string
	rtt       time.Duration
	rate      int64
	loopback  bool
	encrypted string
	cap       int
	only      string
	options   string
}

func init() {
	flag.BoolVar(&c0.full, "bench.full", false, "the sizes of the table, and the peers that are there")
	flag.IntVar(&c0.runs, "bench.runs", 1, "runs of each program; the median counts")
	flag.StringVar(&c0.server, "bench.server", "proftpd", "the server: vsftpd, proftpd, pureftpd, pyftpdlib")
	flag.DurationVar(&c0.rtt, "bench.rtt", 20*time.Millisecond, "round-trip time of the line")
	flag.Int64Var(&c0.rate, "bench.rate", 200e6, "bits a second of the line")
	flag.BoolVar(&c0.loopback, "bench.loopback", false, "no line: the server is beside the daemon")
	flag.StringVar(&c0.encrypted, "bench.tls", "", "explicit or implicit")
	flag.IntVar(&c0.cap, "bench.cap", 0, "connections that the server allows; 0: many")
	flag.StringVar(&c0.options, "bench.o", "", "more options of our mount; with trace_ftp among them its log is printed")
	flag.StringVar(&c0.only, "bench.only", "", "regexp: only workloads whose name it matches")
}

func TestMain(m *testing.M) { mount.Main(m) }

// course is a server at the end of a line, with the trees that the workloads need.
type course struct {
	srv      *servers.Server
	line     *link.Link // nil: loopback
	options  []string   // of our mount
	s        scale
	here     string // local copies
	patience time.Duration
}

// run is one program's run of one workload.
type run struct {
	*course
	t      *testing.T
	who    string
	m      mounted
	failed atomic.Bool
}

// fail notes that the program did not do it. Only ours has to: a peer that does not is a row of the table.
func (r *run) fail(format string, args ...any) {
	r.t.Helper()
	r.failed.Store(true)
	if r.who == ours.name {
		r.t.Errorf(format, args...)
	} else {
		r.t.Logf(format, args...)
	}
}

func (r *run) path(elem ...string) string {
	return filepath.Join(append([]string{r.m.dir}, elem...)...)
}
func (c *course) remote(name string) string { return filepath.Join(c.srv.Root, name) }
func (c *course) local(name string) string  { return filepath.Join(c.here, name) }

// run runs a program that must succeed. It is ended when its time is over.
func (r *run) run(name string, args ...string) string {
	ctx, cancel := context.WithTimeout(r.t.Context(), r.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		r.fail("%s: %s %q: %v: %.300s", r.who, name, args, err, errOut.String())
	}
	return out.String()
}

// measured is what one run took.
type measured struct {
	took, later time.Duration
	memory      int64
	processor   time.Duration
	commands    int64
	logins      int64
	failed      bool
}

// TestWorkloads prints the table.
func TestWorkloads(t *testing.T) {
	mount.Need(t, "rsync", "diff", "find", "grep")
	c := newCourse(t)
	programs := []program{ours}
	if c0.full {
		programs = append(programs, peers()...)
	}
	only := regexp.MustCompile(c0.only)
	tab := table{line: c.describe()}
	for _, w := range workloads {
		if !only.MatchString(w.name) {
			continue
		}
		row := tab.row(w, c)
		for i := range c0.runs {
			c.patience = patience
			for _, p := range programs {
				m := c.measure(t, w, p, i)
				row.add(p.name, m)
				if p.name == ours.name && !m.failed { // who takes five times as long is cut off there
					c.patience = max(5*(m.took+m.later), 10*time.Second)
				}
			}
		}
	}
	tab.print(t)
}

// patience is how long a run may take.
const patience = 5 * time.Minute

// measure runs a workload once, on a fresh mount.
func (c *course) measure(t *testing.T, w workload, p program, i int) (m measured) {
	m.failed = true
	t.Run(fmt.Sprintf("%s/%s/%d", w.name, p.name, i), func(t *testing.T) {
		c.reset(t)
		r := &run{course: c, t: t, who: p.name}
		var err error
		if r.m, err = p.start(t, c); err != nil {
			r.fail("%s: %v", r.who, err)
			return
		}
		if w.before != nil { // nobody is cut off there
			cut := c.patience
			c.patience = patience
			w.before(r)
			c.patience = cut
		}
		var commands, logins int64
		if r.m.wire != nil {
			commands, logins = r.m.wire()
		}
		used, began := processor(r.m.pid), time.Now()
		w.work(r)
		m.took = time.Since(began)
		if w.later != nil {
			w.later(r)
			m.later = time.Since(began)
		}
		m.processor, m.memory = processor(r.m.pid)-used, memory(r.m.pid)
		if r.m.wire != nil {
			m.commands, m.logins = r.m.wire()
			m.commands -= commands
			m.logins -= logins
		}
		m.failed = r.failed.Load()
		os.RemoveAll(c.local("out"))
	})
	if p.name == ours.name && m.memory > mostInAWorkload {
		t.Errorf("%s: %d MiB resident at the peak, want at most %d", w.name, m.memory>>20, mostInAWorkload>>20)
	}
	return m
}

func newCourse(t *testing.T) *course {
	c := &course{s: inSmall, here: mount.TempDir(t), patience: patience}
	if c0.full {
		c.s = inFull
	}
	o := servers.Options{MaxClients: c0.cap}
	if !c0.loopback {
		c.line = link.New(t, link.Options{RTT: c0.rtt, Rate: c0.rate})
		o.In = c.line.Far
	}
	if c0.encrypted != "" {
		host := "127.0.0.1"
		if c.line != nil {
			host = c.line.Far.Address()
		}
		pair := certs.Issue(t, certs.Options{Hosts: []string{host}})
		o.TLS = &servers.TLS{Cert: pair.PEM, Key: pair.Key, Implicit: c0.encrypted == "implicit"}
		must(t, os.WriteFile(c.local("ca.pem"), pair.PEM, 0o644))
		c.options = []string{"cacert=" + c.local("ca.pem")}
	}
	if c0.options != "" {
		c.options = append(c.options, strings.Split(c0.options, ",")...)
	}
	kind := servers.Kind(c0.server)
	if !slices.Contains(servers.All, kind) {
		t.Fatalf("-bench.server=%s is none of %v", c0.server, servers.All)
	}
	c.srv = servers.Start(t, kind, o)
	c.build(t)
	return c
}

func (c *course) describe() string {
	where := fmt.Sprintf("%v, %d Mbit/s", c0.rtt, c0.rate/1e6)
	if c0.loopback {
		where = "loopback"
	}
	s := c0.server + ", " + where
	if c0.encrypted != "" {
		s += ", TLS " + c0.encrypted
	}
	if c0.cap > 0 {
		s += fmt.Sprintf(", %d connections at most", c0.cap)
	}
	return s
}

// build makes the trees on the server's disk, and those that are copied in.
func (c *course) build(t *testing.T) {
	for d := range c.s.dirs {
		dir := filepath.Join(c.remote("walk"), fmt.Sprintf("d%03d", d))
		must(t, os.MkdirAll(dir, 0o755))
		for f := range c.s.perDir {
			put(t, filepath.Join(dir, fmt.Sprintf("f%03d", f)), nil)
		}
	}
	must(t, os.MkdirAll(c.remote("flat"), 0o755))
	for f := range c.s.flat {
		put(t, filepath.Join(c.remote("flat"), fmt.Sprintf("f%05d.jpg", f)), nil)
	}
	noise(t, c.remote("medium"), c.s.medium)
	noise(t, c.remote("large"), c.s.large)
	noise(t, c.local("medium"), c.s.medium)
	c.smallFiles(t, c.local("small"))
	c.reset(t)
	c.srv.Own(c.srv.Root)
}

// smallFiles makes the small files. Each has the needle that grep looks for.
func (c *course) smallFiles(t *testing.T, dir string) {
	for d := range 4 {
		must(t, os.MkdirAll(filepath.Join(dir, fmt.Sprint(d)), 0o755))
	}
	b := make([]byte, smallFile)
	for f := range c.s.small {
		_, _ = rand.Read(b)
		copy(b[100:], "\nneedle\n")
		put(t, filepath.Join(dir, fmt.Sprint(f%4), fmt.Sprintf("f%04d", f)), b)
	}
}

// reset makes the server's disk what it was.
func (c *course) reset(t *testing.T) {
	must(t, os.RemoveAll(c.remote("in")))
	if entries, _ := filepath.Glob(c.remote("small/*/*")); len(entries) != c.s.small {
		must(t, os.RemoveAll(c.remote("small")))
		must(t, os.CopyFS(c.remote("small"), os.DirFS(c.local("small"))))
		c.srv.Own(c.remote("small"))
	}
}

func put(t *testing.T, name string, b []byte) {
	t.Helper()
	must(t, os.WriteFile(name, b, 0o644))
	at := time.Unix(1_700_000_000, 0) // whole seconds, and not of today
	must(t, os.Chtimes(name, at, at))
}

// noise makes a file of random bytes.
func noise(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	b := make([]byte, 1<<20)
	for left := size; left > 0; left -= int64(len(b)) {
		_, _ = rand.Read(b)
		_, err := f.Write(b[:min(left, int64(len(b)))])
		must(t, err)
	}
	must(t, f.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
