package ftpconn_test

import (
	"bytes"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// A publication that broke off before the rename, and is done again on another connection, knows nothing of what it came
// to on the first: here that the file was given the mode of what it replaces.
func TestAPublicationBegunAgainBeginsAnew(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", []byte("theirs"))
	srv.Tree.Chmod("/f", 0o600)
	e, err := s.Stat(t.Context(), "/f")
	ok(t, "stat", err)
	v := e.Version()
	ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
	srv.Add(ftpscript.Rule{Verb: "RNFR", Skip: 1, Times: 1, Instead: "550 No."})
	cut := srv.Add(ftpscript.Rule{Verb: "MLST", Path: "/.tag7", Skip: 2, Times: 1, Drop: true}) // as it is looked at why
	at := time.Unix(1_500_000_000, 0)
	out, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content)), MTime: &at, Expect: &v, Kept: true})
	ok(t, "publish", err)
	if cut.Hits() != 1 {
		t.Fatal("it was not begun again")
	}
	f, _ := srv.Tree.Stat("/f")
	if got, _ := srv.Tree.Get("/f"); !bytes.Equal(got, content) || f.Mode != 0o600 || !f.MTime.Equal(at) || !out.TimeSet {
		t.Errorf("on the server: %d bytes, mode %o of %v; told %+v", len(got), f.Mode, f.MTime, out)
	}
}
