package doctor_test

import (
	"net"
	"testing"
	"time"

	"ftpfs/ftpconn/doctor"
	"ftpfs/test/ftpscript"
)

// Who has the connections decides what to do, and mounts here are counted with our own.
func TestMountsBesideIt(t *testing.T) {
	for n, want := range map[int]string{0: "no mount of this user", 2: "mounts here have 2"} {
		srv := ftpscript.Start(t, ftpscript.Options{MaxSessions: 2})
		theirs := open(t, srv, 2)
		cfg := config(srv)
		cfg.Others = func() int { return n }
		hasty := cfg
		hasty.Server.Timeout = time.Second
		says(t, doctor.Run(t.Context(), hasty), "login", doctor.Problem, want)
		theirs[0].Close()
		rep := doctor.Run(t.Context(), cfg)
		says(t, rep, "connections", doctor.Note, "1 at once")
		if f := rep.Facts; f.Connections != 1+n || rep.Memory.Cap.Value.Conns != 1+n {
			t.Errorf("%d connections, remembered %+v", f.Connections, rep.Memory.Cap)
		}
	}
}

// open has n sessions on srv, as other programs have.
func open(t *testing.T, srv *ftpscript.Server, n int) (all []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 100)); err != nil { // the greeting
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	return all
}

// idleBeside are the commands of two logins on other connections, and less than those of three.
const idleBeside = 20

// Connections that are counted do not idle while others log in, and one that only got no
// answer is no cap, which a mount would keep to.
func TestConnectionsAreCountedRight(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		cfg := config(ftpscript.Start(t, ftpscript.Options{IdleBeside: idleBeside}))
		cfg.Server.MaxConns = 6
		says(t, doctor.Run(t.Context(), cfg), "connections", doctor.OK, "6 at once; more were not asked for")
	})
	t.Run("no answer", func(t *testing.T) {
		srv := ftpscript.Start(t, ftpscript.Options{})
		srv.Add(ftpscript.Rule{Verb: "PASS", Skip: 2, Swallow: true})
		cfg := config(srv)
		cfg.Server.Timeout = time.Second
		rep := doctor.Run(t.Context(), cfg)
		says(t, rep, "connections", doctor.Note, "2 at once; then no further connection could be made", "PASS ****", "longer timeout=")
		if rep.Facts.Capped || !rep.Memory.Cap.At.IsZero() {
			t.Errorf("it counts as a cap: %+v, %+v", rep.Facts, rep.Memory.Cap)
		}
	})
}
