package bench

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// TestCommandsOfWorkloads counts what each workload, in small, sends to a server by way of a
// real mount, by verb, with a relay between that knows nothing of ftpfs. What it should be stands
// in a table for each server, a line for each workload: cp -r out of 40 files is 40 RETR.
//
// What is not in the rows follows from what is. Which commands a login is, after the first, which comes with the
// mount and is not counted, stands above them. How many logins there are is a bound: who has seven
// connections to gain logs in as fast as the machine lets it. A port is asked for once for each
// transfer, and on each connection once for one to come.
//
// What a server is asked does not hang on how fast machines are, but for a question whether a
// file that lay here for a second is still what it was. So a machine that stands still for a
// moment gets another try; what really costs more costs it each time.
func TestCommandsOfWorkloads(t *testing.T) {
	mount.Need(t, "rsync", "diff", "find", "grep")
	for kind, costs := range map[servers.Kind]costs{servers.ProFTPD: onProFTPD, servers.VSFTPD: onVSFTPD} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			c := &course{s: inSmall, here: mount.TempDir(t), patience: patience, srv: servers.Start(t, kind, servers.Options{})}
			c.build(t)
			for _, w := range workloads {
				t.Run(w.name, func(t *testing.T) {
					want, ok := costs.rows[w.name]
					if !ok {
						t.Fatalf("no costs of it are in the table")
					}
					const tries = 3
					for i := range tries {
						got := c.count(t, w)
						wrong := got.unlike(t, costs.login, want)
						if len(wrong) == 0 {
							t.Logf("sent: %s", got.line(costs.login))
							return
						}
						if i == tries-1 {
							t.Errorf("sent, each of %d times: %s\nin the table:  %s\n%s", tries, got.line(costs.login), want, strings.Join(wrong, "\n"))
						}
					}
				})
			}
		})
	}
}

// count runs a workload on a fresh mount, and tells what it sent.
func (c *course) count(t *testing.T, w workload) count {
	c.reset(t)
	defer os.RemoveAll(c.local("out"))
	relay := newRelay(t, c.srv.Host, c.srv.Port)
	m := mount.New(t, mount.Options{URL: fmt.Sprintf("ftp://%s@%s:%d/", c.srv.User, c.srv.Host, relay.port()), Password: c.srv.Password,
		Watchdog: c.patience + time.Minute, O: []string{"log_level=info", "dir_cache_time=3600"}}) // no listing gets old, however slow the machine
	defer m.Unmount()
	r := &run{course: c, t: t, who: "ftpfs", m: mounted{dir: m.Dir, pid: m.PID()}}
	if w.before != nil {
		w.before(r)
		m.Sync()
	}
	before, _ := relay.settled(t)
	told := m.Status().Connections
	w.work(r)
	if w.later != nil {
		w.later(r)
	}
	m.Sync()
	after, all := relay.settled(t)
	got := after.since(before)
	if now := m.Status().Connections; all && (now.Commands-told.Commands != got.commands() || now.Logins-told.Logins != int64(got.logins)) {
		t.Errorf("ftpfs status tells of %d commands and %d logins; %d and %d went by", now.Commands-told.Commands, now.Logins-told.Logins, got.commands(), got.logins)
	}
	return got
}

// costs are what a server is sent: for a login, by verb, and by each workload.
type costs struct {
	login map[string]int
	rows  map[string]string
}

// count is what went over control connections.
type count struct {
	verbs  map[string]int
	logins int
}

// since is what came after earlier.
func (c count) since(earlier count) count {
	diff := count{verbs: map[string]int{}, logins: c.logins - earlier.logins}
	for v, n := range c.verbs {
		if n -= earlier.verbs[v]; n > 0 {
			diff.verbs[v] = n
		}
	}
	return diff
}

func (c count) commands() int64 {
	n := 0
	for _, k := range c.verbs {
		n += k
	}
	return int64(n)
}

// line is one for the table, but for bounds.
func (c count) line(login map[string]int) string {
	var all []string
	for _, v := range slices.Sorted(maps.Keys(c.verbs)) {
		n := c.verbs[v] - login[v]*c.logins
		if n != 0 && v != "EPSV" {
			all = append(all, fmt.Sprintf("%s %d", v, n))
		}
	}
	return strings.Join(append(all, fmt.Sprintf("login %d", c.logins)), " ")
}

// unlike says what of it is not as a line of the table says: "MLSD 6 login 0-7".
func (c count) unlike(t *testing.T, login map[string]int, line string) (wrong []string) {
	want := map[string][2]int{}
	words := strings.Fields(line)
	if len(words)%2 != 0 {
		t.Fatalf("%q is not verbs and numbers", line)
	}
	for i := 0; i < len(words); i += 2 {
		low, high, bound := strings.Cut(words[i+1], "-")
		if !bound {
			high = low
		}
		a, err := strconv.Atoi(low)
		must(t, err)
		b, err := strconv.Atoi(high)
		must(t, err)
		want[words[i]] = [2]int{a, b}
	}
	check := func(what string, got, low, high int) {
		if got < low || got > high {
			wrong = append(wrong, fmt.Sprintf("%s: %d, want %d to %d", what, got, low, high))
		}
	}
	transfers := 0
	for _, v := range []string{"LIST", "MLSD", "NLST", "RETR", "STOR", "APPE"} {
		transfers += c.verbs[v]
	}
	check("login", c.logins, want["login"][0], want["login"][1])
	check("EPSV", c.verbs["EPSV"], transfers-1, transfers+1+c.logins) // one connection was there, with a port or without
	verbs := map[string]bool{}
	for v := range c.verbs {
		verbs[v] = true
	}
	for v := range login {
		verbs[v] = true
	}
	for v := range want {
		verbs[v] = true
	}
	delete(verbs, "EPSV")
	delete(verbs, "login")
	for v := range verbs {
		n := login[v] * c.logins
		check(v, c.verbs[v], want[v][0]+n, want[v][1]+n)
	}
	slices.Sort(wrong)
	return wrong
}
