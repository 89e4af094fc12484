package ftpconn_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// Ports on which there is nothing: the operation fails as what it is, within the
// timeout, and the next works.
func TestPassivePorts(t *testing.T) {
	for what, c := range map[string]struct {
		port func(t testing.TB) int
		want remote.Kind
	}{
		"port 0":   {func(testing.TB) int { return 0 }, remote.Protocol},
		"refused":  {ftpscript.Closed, remote.Down},
		"filtered": {ftpscript.Filtered, remote.Timeout},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { impatient(c); c.Passive = true })
			srv.Tree.Put("/d/f", content)
			ok(t, "connect", s.Connect(t.Context()))
			rule := srv.Add(ftpscript.Rule{Verb: "EPSV", Instead: fmt.Sprintf("229 Here (|||%d|)", c.port(t))})
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(time.Minute, cancel).Stop() // a hang is Canceled, which nothing here wants
			_, err := s.List(ctx, "/d")
			kind(t, "list", err, c.want)
			rule.Remove()
			for err != nil && t.Context().Err() == nil { // a stall counts as down for a moment
				_, err = s.List(t.Context(), "/d")
			}
			ok(t, "afterwards", err)
		})
	}
}

// A server's data connections that come from a third host are turned away.
func TestActiveFromThirdHost(t *testing.T) {
	srv, s := start(t, ftpscript.Options{DataFrom: "127.0.0.2"}, func(c *ftpconn.Config) { c.Active = true; c.Timeout = short })
	srv.Tree.Put("/f", content)
	ok(t, "connect", s.Connect(t.Context()))
	got, err := read(s, "/f", 0)
	if err == nil || len(got) > 0 {
		t.Errorf("read %d bytes from a third host, %v", len(got), err)
	}
	kind(t, "read", err, remote.Down)
	if !strings.Contains(err.Error(), "127.0.0.2") {
		t.Errorf("%v: want the third host in it", err)
	}
}

// A wrong address in the answer to PASV is corrected: the port is looked for where the
// commands go, over IPv4 and IPv6.
func TestAWrongAddressInTheAnswerToPASV(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		srv, s := start(t, ftpscript.Options{Host: host, Refuse: []string{"EPSV"}, PassiveHost: "10.1.2.3"}, func(c *ftpconn.Config) { c.Passive = true })
		whole(t, srv, s)
		if st := s.Stats(); st.Passive != "PASV" || st.Logins != 1 {
			t.Errorf("%s: status says %q, after %d logins", host, st.Passive, st.Logins)
		}
	}
}
