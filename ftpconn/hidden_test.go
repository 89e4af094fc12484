package ftpconn_test

import (
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// dotless has LIST leave out what begins with a dot.
func dotless(_, _ string, lines []string) (out []string) {
	for _, l := range lines {
		if !strings.Contains(l, " .") {
			out = append(out, l)
		}
	}
	return out
}

func flagged(c ftpscript.Command) bool { return strings.Contains(c.Arg, "-a") }

// On a server that lists as ls does, without -a, a name that begins with a dot is asked
// for by itself; what was made or found so is in the next listings, until it is gone.
func TestHiddenNames(t *testing.T) {
	for what, refuse := range map[string]string{"-a is refused": "501 no options", "-a is not known": "550 -a: No such file", "-a is passed over": ""} {
		t.Run(what, func(t *testing.T) {
			srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Listing: dotless}, nil)
			if refuse != "" {
				srv.Add(ftpscript.Rule{Verb: "LIST", Match: flagged, Instead: refuse})
			}
			tree(srv)
			srv.Tree.Put("/d/.theirs", []byte("theirs"))
			srv.Tree.MkdirAll("/d/.dir")
			list := func(want string) {
				t.Helper()
				entries, err := s.List(t.Context(), "/d")
				ok(t, "list", err)
				if got := names(entries); got != want {
					t.Errorf("listed %q, want %q", got, want)
				}
			}
			list("one three two")
			if !s.Caps().HidesDots {
				t.Error("Caps does not say that names may be hidden")
			}
			for p, want := range map[string]remote.EntryType{"/d/.theirs": remote.File, "/d/.dir": remote.Dir} {
				e, err := s.Stat(t.Context(), p)
				if err != nil || e.Type != want {
					t.Errorf("stat of %s: %+v, %v", p, e, err)
				}
			}
			_, err := s.Stat(t.Context(), "/d/.none")
			kind(t, "stat of what is not there", err, remote.NotExist)
			_, err = s.Stat(t.Context(), "/d/none")
			kind(t, "stat of what is not there and would be listed", err, remote.NotExist)

			srv.Tree.Put("/.tag7", []byte("ours"))
			_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/d/.ours", Size: 4})
			ok(t, "publish", err)
			ok(t, "mkdir", s.Mkdir(t.Context(), "/d/.made"))
			entries, err := s.List(t.Context(), "/d")
			ok(t, "list", err)
			if got := names(entries); strings.Count(got, ".") != 4 {
				t.Errorf("listed %q", got)
			}
			ok(t, "remove", s.Remove(t.Context(), "/d/.ours"))
			srv.Tree.Remove("/d/.theirs")
			ok(t, "rename", s.Rename(t.Context(), "/d/.made", "/d/.moved"))
			srv.Tree.Remove("/d/.dir")
			list("one three two .moved")
			ok(t, "rename of the directory", s.Rename(t.Context(), "/d", "/e"))
			entries, err = s.List(t.Context(), "/e")
			if err != nil || names(entries) != "one three two .moved" {
				t.Errorf("under its new name: %q, %v", names(entries), err)
			}
		})
	}
}

// Whether -a does is found out once.
func TestBareListIsRemembered(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Refuse: noMLSD, NoFlags: true}, nil)
	tree(srv)
	for range 3 {
		entries, err := s.List(t.Context(), "/d")
		if err != nil || len(entries) != 3 {
			t.Errorf("listed %q, %v", names(entries), err)
		}
	}
	n := 0
	for _, c := range srv.Since(0).Verbs("LIST") {
		if flagged(c) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("LIST -a was sent %d times", n)
	}
}

// Once a name with a dot was seen in a listing, or it lists as dir does, nothing is hidden.
func TestNothingIsHidden(t *testing.T) {
	for what, o := range map[string]ftpscript.Options{
		"MLSD":               {Listing: dotless},
		"LIST with a name":   {Refuse: noMLSD},
		"LIST as of dir":     {Refuse: noMLSD, DOSLines: true, Listing: dotless},
		"LIST that has dots": {Refuse: noMLSD, ListSelf: true},
	} {
		var seg segments
		srv := ftpscript.Start(t, o)
		tree(srv)
		if what == "LIST with a name" {
			srv.Tree.Put("/d/.profile", nil)
		}
		s := open(t, srv, func(c *ftpconn.Config) { c.Dial = seg.dial(srv.Port, nil) })
		_, err := s.List(t.Context(), "/d")
		ok(t, what, err)
		if s.Caps().HidesDots {
			t.Errorf("%s: names are said to be hidden", what)
		}
	}
}
