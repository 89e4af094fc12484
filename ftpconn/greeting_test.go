package ftpconn_test

import (
	"strings"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

// A server that waits for TLS greets nobody who waits for its greeting: the error names the
// URL that would do. One that has greeted before is only slow.
func TestNoGreetingMayBeImplicitTLS(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for _, how := range []ftpconn.Security{ftpconn.Clear, ftpconn.Explicit} {
		srv := ftpscript.Start(t, ftpscript.Options{TLS: serving(pair), Implicit: true})
		s := open(t, srv, func(c *ftpconn.Config) { c.TLS.Security, c.Timeout = how, time.Second })
		if err := s.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "ftps://") {
			t.Errorf("%v: %v", how, err)
		}
	}
	srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.Timeout = time.Second })
	ok(t, "connect", s.Connect(t.Context()))
	srv.Add(ftpscript.Rule{Verb: "CONNECT", Swallow: true})
	srv.KillSessions()
	if _, err := s.List(t.Context(), "/"); err == nil || strings.Contains(err.Error(), "ftps://") {
		t.Errorf("of a server that is known: %v", err)
	}
}
