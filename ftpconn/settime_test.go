package ftpconn_test

import (
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// then is a time to be set, told in a zone of the user's.
var then = time.Date(2011, 12, 13, 14, 15, 16, 0, time.FixedZone("", 5*3600))

// timed is whether what is at p has the time then on the server.
func timed(srv *ftpscript.Server, p string) bool {
	f, there := srv.Tree.Stat(p)
	return there && f.MTime.Equal(then)
}

// asks is whether an MDTM asks for the time of p, and does not set it.
func asks(p string) func(ftpscript.Command) bool {
	return func(c ftpscript.Command) bool { return c.Arg == p }
}

// sets is whether an MDTM sets the time of p.
func sets(p string) func(ftpscript.Command) bool {
	return func(c ftpscript.Command) bool { return strings.HasSuffix(c.Arg, " "+p) }
}

// Whichever way there is, times go over the wire in UTC.
func TestTimesAreSetInUTC(t *testing.T) {
	for way, refuse := range map[string][]string{"MFMT": nil, "MDTM": {"MFMT"}} {
		srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
		srv.Tree.Put("/f", content)
		ok(t, way, s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &then}))
		if f, _ := srv.Tree.Stat("/f"); !f.MTime.Equal(then) {
			t.Errorf("%s set %v, want %v", way, f.MTime, then.UTC())
		}
	}
}

// A server that cannot set times is asked once, about a plain file: what fails for a
// directory, or for one name, may work for others.
func TestThatTimesCannotBeSetIsLearnedOfAFile(t *testing.T) {
	o := ftpscript.Options{Refuse: []string{"MFMT", "SITE UTIME"}, NoSetTime: true}
	srv, s := start(t, o, nil)
	srv.Tree.Put("/f", content)
	for i := range 2 {
		mark := srv.Mark()
		kind(t, "set", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &then}), remote.Unsupported)
		if n := srv.Since(mark); i > 0 && len(n) > 0 {
			t.Errorf("asked again: %v", n)
		}
	}

	srv, s = start(t, ftpscript.Options{Refuse: []string{"MFMT", "SITE UTIME"}}, nil)
	srv.Tree.MkdirAll("/d")
	srv.Tree.Put("/f", content)
	srv.Add(ftpscript.Rule{Verb: "MDTM", Match: sets("/d"), Instead: "550 Not a plain file."})
	kind(t, "set that of a directory", s.SetAttr(t.Context(), "/d", remote.Attr{MTime: &then}), remote.Unsupported)
	ok(t, "set that of a file", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &then}))
	if !timed(srv, "/f") {
		t.Error("the time of the file is not set")
	}
	kind(t, "set that of a directory, once it is known", s.SetAttr(t.Context(), "/d", remote.Attr{MTime: &then}), remote.Unsupported)
}

// What was set is believed when it reads back. Where nothing can be read back, as of a
// directory by MDTM, MFMT is believed if FEAT names it, and no other way is.
func TestATimeThatCannotBeReadBack(t *testing.T) {
	for _, mfmt := range []bool{true, false} {
		o := ftpscript.Options{Refuse: []string{"MLST", "MLSD"}}
		if !mfmt {
			o.Refuse = append(o.Refuse, "MFMT")
		}
		srv, s := start(t, o, nil)
		srv.Tree.MkdirAll("/d")
		srv.Add(ftpscript.Rule{Verb: "MDTM", Match: asks("/d"), Instead: "550 Not a plain file."})
		srv.Add(ftpscript.Rule{Verb: "SITE UTIME", Instead: "200 Done."})
		err := s.SetAttr(t.Context(), "/d", remote.Attr{MTime: &then})
		if mfmt {
			ok(t, "set by MFMT", err)
		} else {
			kind(t, "set by others", err, remote.Unsupported)
		}
		if set := timed(srv, "/d"); mfmt && !set {
			t.Error("MFMT: it is not set")
		}
	}
}

// MFMT that is refused for one file is not MFMT that is not there: no other way is tried on
// that file, and MFMT stays the way for the rest.
func TestMFMTThatIsRefusedForAFile(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/theirs", content)
	srv.Tree.Put("/f", content)
	srv.Add(ftpscript.Rule{Verb: "MFMT", Path: "/theirs", Instead: "550 Permission denied."})
	kind(t, "theirs", s.SetAttr(t.Context(), "/theirs", remote.Attr{MTime: &then}), remote.Permission)
	if timed(srv, "/theirs") {
		t.Error("what was refused was done in another way")
	}
	ok(t, "ours", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &then}))
	if !timed(srv, "/f") {
		t.Error("the time of the other is not set")
	}
}
