package ftpconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/certs"
	"ftpfs/test/ftpscript"
)

// A dialogue says what its owner wants, a patch in place too, and what was refused leaves
// it in use. Whoever watches sees all of it, and no password.
func TestADialogueOfOnesOwn(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	srv, s := start(t, ftpscript.Options{MaxSessions: 1}, func(c *ftpconn.Config) {
		c.Watch = func(_ int, line string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, line)
		}
	})
	srv.Tree.Put("/f", []byte("0123456789"))
	ctx := t.Context()
	d, err := s.Dialogue(ctx)
	ok(t, "log in", err)
	_, err = s.Dialogue(ctx)
	kind(t, "a second login", err, remote.Temporary)

	if r, err := d.Cmd(ctx, "SYST"); err != nil || r.Code != 215 {
		t.Errorf("SYST: %v, %v", r, err)
	}
	if r, err := d.Upload(ctx, "STOR "+d.Path("/f"), 4, strings.NewReader("ab")); err != nil || !r.OK() {
		t.Errorf("REST and STOR: %v, %v", r, err)
	}
	if got, _ := srv.Tree.Get("/f"); string(got) != "0123ab6789" {
		t.Errorf("patched: %q", got)
	}
	srv.Add(ftpscript.Rule{Verb: "REST", Instead: "502 No."})
	if r, err := d.Upload(ctx, "STOR "+d.Path("/g"), 4, strings.NewReader("ab")); err != nil || r.Code != 502 {
		t.Errorf("REST refused: %v, %v", r, err)
	}
	var b bytes.Buffer
	if r, err := d.Download(ctx, "/f", 0, &b); err != nil || !r.OK() || b.String() != "0123ab6789" {
		t.Errorf("RETR: %v, %v, %q", r, err, b.String())
	}
	if r, err := d.Download(ctx, "/none", 0, &b); err != nil || r.Code != 550 {
		t.Errorf("RETR of nothing: %v, %v", r, err)
	}
	enough := errors.New("enough")
	if _, err := d.Download(ctx, "/f", 0, unwilling{enough}); !errors.Is(err, enough) {
		t.Errorf("RETR that nobody takes: %v", err)
	}
	if err := d.ProveAppend(ctx, "/"); err != nil {
		t.Errorf("append: %v", err)
	}
	if e, err := d.List(ctx, "/"); err != nil || len(e) == 0 || d.Dead() != nil {
		t.Errorf("list: %v, %v, %v", e, err, d.Dead())
	}
	d.Close()
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(seen, "\n")
	for _, want := range []string{"< 220 ", "> PASS ****", "> REST 4", "< 502 No.", "> QUIT"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q was not seen", want)
		}
	}
	if strings.Contains(all, ftpscript.Password) {
		t.Error("the password was seen")
	}
}

type unwilling struct{ err error }

func (f unwilling) Write([]byte) (int, error) { return 0, f.err }

// Meet learns who a server is, and tells it nothing.
func TestMeetDoesNotLogIn(t *testing.T) {
	pair := certs.Issue(t, certs.Options{})
	srv := ftpscript.Start(t, ftpscript.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}})
	s := open(t, srv, func(c *ftpconn.Config) { c.TLS = ftpconn.TLS{Security: ftpconn.Explicit, NoVerify: true} })
	r, p, err := s.Meet(t.Context())
	if err != nil || r.Code != 220 || p.Leaf == nil || !p.Leaf.Equal(pair.Leaf) || p.Version != "TLS 1.3" {
		t.Errorf("%v, %+v, %v", r, p, err)
	}
	if said := srv.Since(0).Verbs("USER", "PASS"); len(said) > 0 {
		t.Errorf("it was told %v", said)
	}
}
