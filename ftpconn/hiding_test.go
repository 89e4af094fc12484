package ftpconn_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// hiding gives a Store on a server whose listings leave out names with a dot.
func hiding(t *testing.T) (*ftpscript.Server, *ftpconn.Store) {
	t.Helper()
	srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Listing: dotless}, nil)
	tree(srv)
	srv.Tree.Put("/d/.theirs", []byte("theirs"))
	_, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	return srv, s
}

// What is neither a file nor a directory to the server, and can be renamed, is there; what
// cannot for another reason than that it is not, may be.
func TestAHiddenNameThatIsNoFile(t *testing.T) {
	for reply, want := range map[string]remote.Kind{
		"550 .theirs: Permission denied.": remote.Permission,
		"450 Try later.":                  remote.Unknown,
		"550 What?":                       remote.NotExist,
		"":                                0, // it is there
	} {
		srv, s := hiding(t)
		for _, verb := range []string{"SIZE", "CWD", "MDTM"} {
			srv.Add(ftpscript.Rule{Verb: verb, Path: "/d/.theirs", Instead: "550 What?"})
		}
		if reply != "" {
			srv.Add(ftpscript.Rule{Verb: "RNFR", Path: "/d/.theirs", Instead: reply})
		}
		e, err := s.Stat(t.Context(), "/d/.theirs")
		if reply != "" {
			kind(t, "stat with "+reply, err, want)
		} else if err != nil || e.Type != remote.Other || e.Size != -1 {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// A listing is not said to be whole while it is not known whether a hidden name is there.
func TestAHiddenNameInDoubt(t *testing.T) {
	srv, s := hiding(t)
	_, err := s.Stat(t.Context(), "/d/.theirs")
	ok(t, "stat", err)
	var rules []*ftpscript.Applied
	for verb, reply := range map[string]string{"SIZE": "550 What?", "CWD": "550 What?", "MDTM": "550 What?", "RNFR": "450 Busy."} {
		rules = append(rules, srv.Add(ftpscript.Rule{Verb: verb, Path: "/d/.theirs", Instead: reply}))
	}
	if entries, err := s.List(t.Context(), "/d"); err == nil {
		t.Errorf("listed %q", names(entries))
	}
	for _, r := range rules {
		r.Remove()
	}
	entries, err := s.List(t.Context(), "/d")
	if err != nil || !strings.Contains(names(entries), ".theirs") {
		t.Errorf("listed %q, %v", names(entries), err)
	}
}

// Where the server says clearly that there is no such name nothing else is tried; and of
// what listings show nothing is remembered.
func TestPlainNamesWhereOthersAreHidden(t *testing.T) {
	srv, s := hiding(t)
	_, err := s.Stat(t.Context(), "/d/.none")
	kind(t, "what is not there", err, remote.NotExist)
	if n := srv.Since(0).Verbs("RNFR"); len(n) > 0 {
		t.Errorf("asked: %v", n)
	}
	_, err = s.Stat(t.Context(), "/d/one")
	ok(t, "stat", err)
	entries, err := s.List(t.Context(), "/d")
	if err != nil || names(entries) != "one three two" {
		t.Errorf("listed %q, %v", names(entries), err)
	}
}

// A name that listings show by now is in them once, and is no longer asked for, also if
// it is hidden again; that this server hides names is not said any more.
func TestAHiddenNameThatIsShown(t *testing.T) {
	var shows atomic.Bool
	srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Listing: func(verb, dir string, lines []string) []string {
		if shows.Load() {
			return lines
		}
		return dotless(verb, dir, lines)
	}}, nil)
	tree(srv)
	srv.Tree.Put("/d/.theirs", []byte("theirs"))
	list := func() string {
		t.Helper()
		entries, err := s.List(t.Context(), "/d")
		ok(t, "list", err)
		return names(entries)
	}
	list()
	_, err := s.Stat(t.Context(), "/d/.theirs")
	ok(t, "stat", err)
	shows.Store(true)
	if got := list(); strings.Count(got, ".theirs") != 1 || s.Caps().HidesDots {
		t.Errorf("listed %q, names are hidden: %v", got, s.Caps().HidesDots)
	}
	shows.Store(false)
	if got := list(); strings.Contains(got, ".theirs") {
		t.Errorf("listed %q", got)
	}
}

// What is gone, by whomever, is asked for once more at most; what was renamed here is not.
func TestHiddenNamesAreForgotten(t *testing.T) {
	for what, gone := range map[string]func(srv *ftpscript.Server, s *ftpconn.Store) error{
		"moved with its directory": func(_ *ftpscript.Server, s *ftpconn.Store) error {
			if err := s.Rename(t.Context(), "/d", "/e"); err != nil {
				return err
			}
			return s.Mkdir(t.Context(), "/d")
		},
		"removed here": func(_ *ftpscript.Server, s *ftpconn.Store) error { return s.Remove(t.Context(), "/d/.theirs") },
		"renamed here": func(_ *ftpscript.Server, s *ftpconn.Store) error {
			return s.Rename(t.Context(), "/d/.theirs", "/d/plain")
		},
		"removed there": func(srv *ftpscript.Server, _ *ftpconn.Store) error { srv.Tree.Remove("/d/.theirs"); return nil },
	} {
		srv, s := hiding(t)
		_, err := s.Stat(t.Context(), "/d/.theirs")
		ok(t, "stat", err)
		ok(t, what, gone(srv, s))
		mark := srv.Mark()
		for i := range 3 {
			_, err = s.List(t.Context(), "/d")
			ok(t, "list", err)
			if asked := srv.Since(mark).Verbs("SIZE").About("/d/.theirs"); len(asked) > 1 || len(asked) > 0 && (i > 0 || !strings.HasPrefix(what, "removed")) {
				t.Errorf("%s: asked for: %v", what, asked)
			}
			mark = srv.Mark()
		}
	}
}

// Names of our own temporary files are not for listings, and no more than a thousand
// names are remembered.
func TestHiddenNamesThatAreNotRemembered(t *testing.T) {
	srv, s := hiding(t)
	srv.Tree.Put("/d/.ftpfs-tag7u1", []byte("part"))
	_, err := s.Stat(t.Context(), "/d/.ftpfs-tag7u1")
	ok(t, "stat", err)
	for i := range 1005 {
		p := fmt.Sprintf("/d/.n%04d", i)
		srv.Tree.Put(p, nil)
		_, err := s.Stat(t.Context(), p)
		ok(t, "stat", err)
	}
	entries, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	if got := names(entries); strings.Contains(got, "tag7") || strings.Count(got, ".n") != 1000 {
		t.Errorf("%d names, %q", strings.Count(got, ".n"), got[:min(200, len(got))])
	}
}
