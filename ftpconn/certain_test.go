package ftpconn_test

import (
	"bytes"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// "No such file" in the answer to SIZE is what several servers say of a directory:
// it is not the word that there is nothing.
func TestDirectoryThatIsNoFile(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
		srv.Tree.MkdirAll("/d/e")
		if verb == "MLSD" { // MLST says nothing of use
			srv.Add(ftpscript.Rule{Verb: "MLST", Instead: "550 Forget it."})
		}
		srv.Add(ftpscript.Rule{Verb: "MDTM", Instead: "550 No such file."})
		e, err := s.Stat(t.Context(), "/d/e")
		if err != nil || e.Type != remote.Dir {
			t.Errorf("stat of a directory: %+v, %v", e, err)
		}
		_, err = s.Open(t.Context(), "/d/e", 0, nil)
		kind(t, "open of a directory", err, remote.IsDir)
		_, err = s.Stat(t.Context(), "/d/none")
		kind(t, "stat of nothing", err, remote.NotExist)
		_, err = s.Open(t.Context(), "/d/none", 0, nil)
		kind(t, "open of nothing", err, remote.NotExist)
	})
}

// An upload that arrived short is found out also where MLST tells no size.
func TestShortUploadWithoutSizeFact(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/.tag7", content[:1000])
	srv.Add(ftpscript.Rule{Verb: "MLST", Path: "/.tag7", Instead: "250-Here\n type=file; /.tag7\n250 End"})
	_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content))})
	kind(t, "publish of a short file", err, remote.ShortWrite)
	if b, there := srv.Tree.Get("/f"); there {
		t.Errorf("/f is there, with %d bytes of %d", len(b), len(content))
	}
	srv.Tree.Put("/.tag7", content)
	_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content))})
	ok(t, "publish", err)
	if b, _ := srv.Tree.Get("/f"); !bytes.Equal(b, content) {
		t.Errorf("/f has %d bytes", len(b))
	}
}

// On a server that must be looked at first, a stale connection costs a retry, and
// what was never sent is never called done.
func TestChangeOnStaleConnection(t *testing.T) {
	for what, c := range map[string]struct {
		do   func(s *ftpconn.Store) error
		want remote.Kind
	}{
		"remove":            {func(s *ftpconn.Store) error { return s.Remove(t.Context(), "/f") }, remote.Unknown},
		"rmdir":             {func(s *ftpconn.Store) error { return s.Rmdir(t.Context(), "/empty") }, remote.Unknown},
		"remove of nothing": {func(s *ftpconn.Store) error { return s.Remove(t.Context(), "/none") }, remote.NotExist},
		"rmdir of nothing":  {func(s *ftpconn.Store) error { return s.Rmdir(t.Context(), "/none") }, remote.NotExist},
	} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Tree.Put("/f", content)
		srv.Tree.MkdirAll("/empty")
		ok(t, "connect", s.Connect(t.Context()))
		srv.Add(ftpscript.Rule{Verb: "MLST", Times: 1, Hangup: true})
		if err := c.do(s); c.want == remote.Unknown {
			ok(t, what, err)
		} else {
			kind(t, what, err, c.want)
		}
	}
}

// A file named "-a", where LIST takes -a for a name: that file is not the listing.
func TestListTakesOptionForName(t *testing.T) {
	var calls int
	srv, s := start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}, Listing: func(_, _ string, lines []string) []string {
		if calls++; calls == 1 { // LIST -a
			return lines[:1]
		}
		return lines
	}}, nil)
	for _, p := range []string{"/d/-a", "/d/b", "/d/c"} {
		srv.Tree.Put(p, nil)
	}
	entries, err := s.List(t.Context(), "/d")
	if err != nil || len(entries) != 3 {
		t.Errorf("listed %q, %v", names(entries), err)
	}
}

// "File exists" in the answer to RNTO onto a full directory is no invitation to
// move that directory away.
func TestRenameOntoFullDirectory(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.MkdirAll("/from")
	srv.Tree.Put("/to/inside", content)
	srv.Add(ftpscript.Rule{Verb: "RNTO", Instead: "550 /to: File exists."})
	kind(t, "rename", s.Rename(t.Context(), "/from", "/to"), remote.NotEmpty)
}
