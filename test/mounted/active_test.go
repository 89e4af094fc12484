package mounted

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// A mount without options where no passive data connection can be made: rsync goes there
// and back as anywhere, the log and ftpfs status say that it is by active mode, and why,
// and the next mount begins with it.
func TestActiveIsTriedWherePassiveFails(t *testing.T) {
	told := func(t *testing.T, m *mount.Mount, why string) {
		t.Helper()
		if c := m.Status().Connections; c.Passive != "active" || !strings.Contains(c.Because, why) {
			t.Errorf("ftpfs status --json says %q because %q, want %q", c.Passive, c.Because, why)
		}
		if said := mount.Run(t, "/", program(t), "status", m.Dir); !strings.Contains(said, ", in active mode (passive fails: ") {
			t.Errorf("ftpfs status says:\n%s", said)
		}
		if n := strings.Count(m.Log(), "active mode from now on"); n != 1 {
			t.Errorf("the log tells it %d times", n)
		}
	}
	for how, port := range map[string]func(testing.TB) int{"refused": ftpscript.Closed, "filtered": ftpscript.Filtered} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			srv := ftpscript.Start(t, ftpscript.Options{})
			closed := port(t)
			srv.Add(ftpscript.Rule{Verb: "EPSV", Instead: fmt.Sprintf("229 Here (|||%d|)", closed)})
			srv.Add(ftpscript.Rule{Verb: "PASV", Instead: fmt.Sprintf("227 Here (127,0,0,1,%d,%d)", closed>>8, closed&255)})
			cache, mark := mount.TempDir(t), 0
			thereAndBack(t, "", func() *mount.Mount {
				mark = srv.Mark()
				return mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, CacheDir: cache})
			}, func(m *mount.Mount) { told(t, m, "data connection") })
			if n := len(srv.Since(mark).Verbs("EPSV", "PASV")); n != 0 {
				t.Errorf("the second mount tried passive mode %d times", n)
			}
		})
	}
	t.Run("vsftpd pasv_enable=NO", func(t *testing.T) {
		t.Parallel()
		srv := servers.Start(t, servers.VSFTPD, servers.Options{Extra: []string{"pasv_enable=NO"}})
		thereAndBack(t, srv.Root, func() *mount.Mount { return mountOf(t, srv) }, func(m *mount.Mount) { told(t, m, "550 Permission denied.") })
	})
}

// What -o active is given for a router that forwards ports reaches the server: it is told
// that address, and connects to these ports only.
func TestActiveAddressAndPorts(t *testing.T) {
	low := threePorts(t)
	srv, m := scripted(t, ftpscript.Options{}, "active", "active_address=127.0.0.5", fmt.Sprintf("active_ports=%d-%d", low, low+2))
	srv.Tree.Put("/theirs", []byte("theirs"))
	holds(t, m.Path("theirs"), []byte("theirs"))
	put(t, m.Path("ours"), []byte("ours"))
	syncNow(t, m)
	if got, _ := srv.Tree.Get("/ours"); string(got) != "ours" {
		t.Errorf("on the server: %q", got)
	}
	said := srv.Since(0)
	if n := len(said.Verbs("EPSV", "PASV")); n != 0 {
		t.Errorf("%d times passive mode", n)
	}
	if len(said.Verbs("EPRT")) < 3 {
		t.Errorf("active mode %d times only:\n%s", len(said.Verbs("EPRT")), said)
	}
	for _, c := range said.Verbs("EPRT") {
		var port int
		if _, err := fmt.Sscanf(c.Arg, "|1|127.0.0.5|%d|", &port); err != nil || port < low || port > low+2 {
			t.Errorf("told %s, want 127.0.0.5 and a port from %d to %d", c.Arg, low, low+2)
		}
	}
}

// threePorts is the first of three on which nothing listens now, below those that the
// kernel gives to connections.
func threePorts(t *testing.T) (low int) {
	for low = 20_000; low < 30_000; low += 3 {
		var open []net.Listener
		for port := low; port < low+3; port++ {
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				open = append(open, l)
			}
		}
		for _, l := range open {
			l.Close()
		}
		if len(open) == 3 {
			return low
		}
	}
	t.Fatal("no free ports")
	return 0
}
