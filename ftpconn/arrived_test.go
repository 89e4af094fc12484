package ftpconn_test

import (
	"bytes"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// A server, or something on the way to it, says 250 to RNTO and does nothing. That is not
// taken for a publication, whatever had the name; the next attempt is one.
func TestARenameThatOnlyWasSaidToBeDone(t *testing.T) {
	then := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		for what, old := range map[string][]byte{
			"a new file": nil, "over a file of another size": content[:10], "over a file of the same size": bytes.ToUpper(content),
		} {
			srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
			p := remote.Publish{Path: "/f", Size: int64(len(content)), MTime: &then}
			if old != nil {
				srv.Tree.Put("/f", old)
				e, err := s.Stat(t.Context(), "/f")
				ok(t, "stat", err)
				v := e.Version()
				p.Expect = &v
			}
			ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
			lie := srv.Add(ftpscript.Rule{Verb: "RNTO", Path: "/f", Instead: "250 Renamed."})
			_, err := s.Publish(t.Context(), "/.tag7", p)
			kind(t, what+": publish without a rename", err, remote.Temporary)
			if b, _ := srv.Tree.Get("/.tag7"); !bytes.Equal(b, content) {
				t.Errorf("%s: of the upload %d bytes are left", what, len(b))
			}
			lie.Remove()
			_, err = s.Publish(t.Context(), "/.tag7", p)
			ok(t, what+": publish", err)
			if b, _ := srv.Tree.Get("/f"); !bytes.Equal(b, content) {
				t.Errorf("%s: /f has %d bytes", what, len(b))
			}
		}
	})
}

// A server that tells of a file's time as it likes, or not of the file itself, but does what
// it says: nothing is published twice.
func TestARenameThatWasDoneIsBelieved(t *testing.T) {
	for what, rule := range map[string]ftpscript.Rule{
		"a time of its own": {Verb: "MLST", Path: "/f", Skip: 1, Instead: "250-Here\n type=file;size=320000;modify=19990101000000; /f\n250 End"},
		"says nothing":      {Verb: "MLST", Path: "/f", Skip: 1, Instead: "550 Forget it."},
		"no size":           {Verb: "MLST", Path: "/f", Skip: 1, Instead: "250-Here\n type=file; /f\n250 End"},
		"not understood":    {Verb: "MLST", Path: "/f", Skip: 1, Instead: "250 Well."},
		"not allowed":       {Verb: "MLST", Path: "/f", Skip: 1, Instead: "550 Permission denied."},
	} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Tree.Put("/f", content[:10])
		ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
		srv.Add(rule)
		_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content)), Force: true})
		ok(t, what, err)
		if b, _ := srv.Tree.Get("/f"); !bytes.Equal(b, content) {
			t.Errorf("%s: /f has %d bytes", what, len(b))
		}
	}
}

// A server that takes away what is delivered to it, or lets somebody else replace it at once,
// has done what it said: the same file is not delivered again.
func TestAPublishedFileThatIsTakenAwayAtOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		for what, then := range map[string]func(srv *ftpscript.Server){
			"taken away": func(srv *ftpscript.Server) { srv.Tree.Remove("/f") },
			"replaced":   func(srv *ftpscript.Server) { srv.Tree.Put("/f", content[:10]) },
		} {
			srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
			ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
			srv.Add(ftpscript.Rule{Verb: "RNTO", Path: "/f", Then: func(ftpscript.Command) { then(srv) }})
			_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content))})
			ok(t, what, err)
		}
	})
}

// The connection breaks behind the reply to RNTO: that it was done is found out on another.
func TestTheLinkBreaksBehindARename(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		for what, rule := range map[string]ftpscript.Rule{
			"the question is lost": {Path: "/f", Drop: true}, "its answer is lost": {Path: "/f", Hangup: true},
		} {
			srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
			ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
			renamed := false
			rule.Times = 1
			rule.Match = func(c ftpscript.Command) bool {
				was := renamed
				renamed = renamed || c.Verb == "RNTO"
				return was
			}
			broke := srv.Add(rule)
			_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content))})
			ok(t, what, err)
			if b, _ := srv.Tree.Get("/f"); !bytes.Equal(b, content) || broke.Hits() != 1 {
				t.Errorf("%s: /f has %d bytes, and the link broke %d times", what, len(b), broke.Hits())
			}
		}
	})
}
