package ftpconn_test

import (
	"errors"
	"strings"
	"testing"

	"ftpfs/ftpconn"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

// A server that takes commands, and data only encrypted, is not a firewall's fault and not
// a passing trouble: the error names what to change, and nothing is tried in its place. The
// replies are those of vsftpd, pyftpdlib and FileZilla.
func TestDataThatMustBeEncrypted(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	for _, c := range []struct {
		name, verb, reply string
		clear             bool // the commands too
		want              string
	}{
		{"the verb", "MLSD", "522 Data connections must be encrypted.", false, "leave clear_data away"},
		{"passive mode", "EPSV", "550 SSL/TLS required on the data channel.", false, "leave clear_data away"},
		{"by its code", "MLSD", "521 No.", false, "leave clear_data away"},
		{"PROT C", "PROT", "534 No.", false, "leave clear_data away"},
		{"no TLS at all", "MLSD", "522 Data connections must be encrypted.", true, "ftpes://"},
		{"passive mode, no TLS at all", "EPSV", "550 SSL/TLS required on the data channel.", true, "ftpes://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, s := start(t, ftpscript.Options{TLS: serving(pair)}, func(cfg *ftpconn.Config) {
				cfg.TLS = ftpconn.TLS{Security: ftpconn.Explicit, ClearData: true, Roots: certs.Pool(pair)}
				if c.clear {
					cfg.TLS = ftpconn.TLS{}
				}
			})
			srv.Add(ftpscript.Rule{Verb: c.verb, Instead: c.reply})
			_, err := s.List(t.Context(), "/")
			if !errors.As(err, new(*ftpconn.Insecure)) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.reply) {
				t.Errorf("list: %v, want a refusal with %q", err, c.want)
			}
			if n := len(srv.Since(0).Verbs("EPRT", "PORT")); n > 0 {
				t.Errorf("active mode was tried:\n%s", srv.Transcript(20))
			}
		})
	}
}
