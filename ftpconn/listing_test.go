package ftpconn_test

import (
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// modes are the two ways to list.
var modes = map[string][]string{"MLSD": nil, "LIST": {"MLSD", "MLST"}}

func eachMode(t *testing.T, f func(t *testing.T, verb string, refuse []string)) {
	for verb, refuse := range modes {
		t.Run(verb, func(t *testing.T) { f(t, verb, refuse) })
	}
}

func tree(srv *ftpscript.Server) {
	for _, p := range []string{"/d/one", "/d/two", "/d/three"} {
		srv.Tree.Put(p, []byte("content of "+p))
	}
}

// A listing whose connection breaks is an error, not a short listing.
func TestListBroken(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		for what, fault := range map[string]ftpscript.DataFault{
			"reset":              {After: 60, Reset: true},
			"closed, 426":        {After: 60},
			"closed, 226":        {After: 60, Reply: "226 Transfer complete"},
			"closed at 0, 451":   {After: 0, Reply: "451 local error"},
			"reset at 0, 226":    {After: 0, Reset: true, Reply: "226 fine"},
			"closed at 0, reset": {After: 1, Reset: true},
		} {
			srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
			tree(srv)
			rule := srv.Add(ftpscript.Rule{Verb: verb, Data: &fault})
			entries, err := s.List(t.Context(), "/d")
			if err == nil && !(fault.After == 0 && fault.Reset) {
				t.Errorf("%s: listed %q without an error", what, names(entries))
			}
			if remote.Is(err, remote.NotExist) {
				t.Errorf("%s: %v is NotExist", what, err)
			}
			rule.Remove()
			entries, err = s.List(t.Context(), "/d")
			if err != nil || len(entries) != 3 {
				t.Errorf("%s, afterwards: listed %q, %v", what, names(entries), err)
			}
		}
	})
}

func TestListTruncatedByServer(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
		tree(srv)
		srv.Add(ftpscript.Rule{Verb: verb, Final: "226 Output truncated to 2 matches"})
		_, err := s.List(t.Context(), "/d")
		kind(t, "a listing that the server cut", err, remote.Protocol)
	})
}

func TestListStrangeLine(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		_, s := start(t, ftpscript.Options{Refuse: refuse, Listing: func(_, _ string, lines []string) []string {
			return append(lines, "what on earth is this")
		}}, nil)
		_, err := s.List(t.Context(), "/")
		kind(t, "a listing with a line nobody understands", err, remote.Protocol)
		if !strings.Contains(err.Error(), "what on earth") {
			t.Errorf("%v does not name the line", err)
		}
	})
}

func TestListLongLine(t *testing.T) {
	_, s := start(t, ftpscript.Options{Listing: func(_, _ string, lines []string) []string {
		return append(lines, "type=file; "+strings.Repeat("x", 100_000))
	}}, nil)
	_, err := s.List(t.Context(), "/")
	kind(t, "a listing with an endless line", err, remote.Protocol)
}

// Some servers answer 226 and nothing for a directory that is not there: the CWD
// before it decides.
func TestListMissing(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		srv, s := start(t, ftpscript.Options{Refuse: refuse}, nil)
		tree(srv)
		_, err := s.List(t.Context(), "/d/none")
		kind(t, "list what is not there", err, remote.NotExist)
		_, err = s.List(t.Context(), "/d/one")
		kind(t, "list a file", err, remote.NotDir)
		for _, reply := range []string{"550 Failed to change directory.", "550 no", "450 busy"} {
			rule := srv.Add(ftpscript.Rule{Verb: "CWD", Path: "/d", Instead: reply})
			_, err = s.List(t.Context(), "/d")
			if err == nil || remote.Is(err, remote.NotExist) {
				t.Errorf("a directory that is there, but %q: got %v", reply, err)
			}
			rule.Remove()
		}
	})
}

// MLSD that is advertised and then refused falls back to LIST.
func TestListAdvertisedOnly(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	tree(srv)
	srv.Add(ftpscript.Rule{Verb: "MLSD", Instead: "502 not today"})
	entries, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	if len(entries) != 3 {
		t.Errorf("listed %q", names(entries))
	}
}

// Without MLSD the times of files come from MDTM, all in one segment.
func TestListExactTimes(t *testing.T) {
	var seg segments
	srv := ftpscript.Start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}})
	tree(srv)
	s := open(t, srv, func(c *ftpconn.Config) { c.Dial = seg.dial(srv.Port, nil) })
	_, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	seg.take()
	entries, err := s.List(t.Context(), "/d")
	ok(t, "list again", err)
	for _, e := range entries {
		f, _ := srv.Tree.Stat("/d/" + e.Name)
		if !e.MTime.Equal(f.MTime) || e.MGrain.Seconds() != 1 {
			t.Errorf("%s: time %v to %v, the server has %v", e.Name, e.MTime, e.MGrain, f.MTime)
		}
	}
	if sent := seg.take(); len(sent) > 3 {
		t.Errorf("took %d segments: %q", len(sent), sent)
	}
}
