package ftpconn_test

import (
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// The words of SITE end at blanks: a time meant for "/f with blanks" is never set by SITE
// UTIME, which would set that of "/f".
func TestSITEUTIMENeverNamesAnotherFile(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Refuse: []string{"MFMT", "MFF"}}, nil)
	srv.Tree.Put("/f", content)
	srv.Tree.Put("/f with blanks", content)
	// MDTM with a time asks for a file of that name.
	srv.Add(ftpscript.Rule{Verb: "MDTM", Match: func(c ftpscript.Command) bool { return !strings.HasPrefix(c.Arg, "/") }, Instead: "550 No such file."})
	at := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC)
	srv.Add(ftpscript.Rule{Verb: "SITE UTIME", Instead: "200 Done."})
	// It reads back as set.
	srv.Add(ftpscript.Rule{Verb: "MDTM", Path: "/f", Instead: "213 20111213141516"})
	ok(t, "set the time of /f", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &at}))
	mark := srv.Mark()
	kind(t, "with blanks", s.SetAttr(t.Context(), "/f with blanks", remote.Attr{MTime: &at}), remote.Unsupported)
	if n := srv.Since(mark).Verbs("SITE UTIME"); len(n) > 0 {
		t.Errorf("sent: %v", n)
	}
	mark = srv.Mark()
	ok(t, "set it again", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &at}))
	if n := srv.Since(mark).Verbs("SITE UTIME"); len(n) != 1 {
		t.Errorf("SITE UTIME is not remembered: %v", srv.Since(mark))
	}
}
