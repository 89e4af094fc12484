package ftpconn_test

import (
	"bytes"
	"log/slog"
	"path"
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// nothingLeft checks that no directory of a survey is on the server.
func nothingLeft(t *testing.T, what string, srv *ftpscript.Server) {
	t.Helper()
	for _, f := range srv.Tree.All() {
		if f.Dir && strings.Contains(f.Path, ".ftpfs-") {
			t.Errorf("%s: left behind: %q", what, f.Path)
		}
	}
}

// sample is a rule's match for the directory of that name in a survey.
func sample(name string) func(ftpscript.Command) bool {
	return func(c ftpscript.Command) bool {
		return strings.Contains(c.Arg, ".ftpfs-") && path.Base(c.Arg) == name
	}
}

// Whatever the one thing is that a server makes another of, names with it are refused, and
// others are not.
func TestEachOddityIsTried(t *testing.T) {
	for bad, name := range map[string]string{"\x01": "x\x01y", "\t": "x\ty", `\`: `x\y`, ":": "x:y", "*": "x*", "?": "x?", "[": "x[y]", "{": "x{y}",
		"\x95\\": "x\x95\\", "\xff": "x\xffy", "\u00e9": "x\u00e9", "e\u0301": "xe\u0301", "\xe9": "x\xe9y", strings.Repeat("z", 200): strings.Repeat("x", 200)} {
		srv, s := start(t, ftpscript.Options{Stores: func(n string) string { return strings.ReplaceAll(n, bad, "_") }}, nil)
		kind(t, name, s.Storable(t.Context(), "/"+name), remote.BadName)
		for _, other := range []string{"plain", " x", "x,y", strings.Repeat("y", 100)} {
			ok(t, name+" is not kept, but "+other, s.Storable(t.Context(), "/"+other))
		}
		nothingLeft(t, name, srv)
	}
	for end, name := range map[string]string{" ": "x ", "\t": "x\t", ".": "x."} {
		srv, s := start(t, ftpscript.Options{Stores: func(n string) string { return strings.TrimSuffix(n, end) }}, nil)
		kind(t, name, s.Storable(t.Context(), "/"+name), remote.BadName)
		ok(t, "one like it", s.Storable(t.Context(), "/x"+end+"y"))
		nothingLeft(t, name, srv)
	}
}

// A server that does not tell cases apart may not keep them either.
func TestCasesThatAreNotKept(t *testing.T) {
	for what, c := range map[string]struct {
		stores      func(string) string
		bad, stands string
	}{"all small": {strings.ToLower, "/Xy", "/xy"}, "all capitals": {strings.ToUpper, "/xy", "/XY"}} {
		srv, s := start(t, ftpscript.Options{Windows: true, Stores: func(n string) string {
			if strings.HasPrefix(n, ".ftpfs-") {
				return n
			}
			return c.stores(n)
		}}, nil)
		srv.Tree.Put("/README", content)
		_, err := s.Stat(t.Context(), "/README") // that tells
		ok(t, "stat", err)
		kind(t, what, s.Storable(t.Context(), c.bad), remote.BadName)
		ok(t, what, s.Storable(t.Context(), c.stands))
		nothingLeft(t, what, srv)
	}
}

// A server that takes the name in RMD for a pattern would remove a neighbour.
func TestPatternsInRMD(t *testing.T) {
	for pattern, name := range map[string]string{"012*": "x*", "012?": "x?", "012[3]": "x[y]", "012{3}": "x{y}"} {
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Add(ftpscript.Rule{Verb: "RMD", Match: sample(pattern), Instead: "250 Done.", Then: func(c ftpscript.Command) {
			srv.Tree.Remove(path.Dir(c.Path) + "/0123")
		}})
		kind(t, name, s.Rmdir(t.Context(), "/"+name), remote.BadName)
		for _, other := range []string{"x*", "x?", "x[y]", "x{y}", "x "} {
			if other != name {
				ok(t, pattern+" is one, but not "+other, s.Storable(t.Context(), "/"+other))
			}
		}
		nothingLeft(t, pattern, srv)
	}
}

// A listing that does not show what was just made says nothing of names.
func TestASurveyOfWhichNothingIsListed(t *testing.T) {
	var log bytes.Buffer
	_, s := start(t, ftpscript.Options{Listing: func(_, dir string, lines []string) []string {
		if strings.Contains(dir, ".ftpfs-") {
			return nil
		}
		return lines
	}}, func(c *ftpconn.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	ok(t, "a name that hits no other", s.Storable(t.Context(), "/x*"))
	err := s.Storable(t.Context(), "/x.")
	kind(t, "one that may", err, remote.BadName)
	if !strings.Contains(err.Error(), "is not listed") {
		t.Errorf("%v: does not say why", err)
	}
	ok(t, "close", s.Close())
	if !strings.Contains(log.String(), "left on the server") { // what is not listed cannot be removed
		t.Errorf("the log does not say what is left: %s", log.String())
	}
}

// The survey is made in a directory with a plain path: the server may take another one
// for that of an odd name.
func TestASurveyIsMadeBelowPlainNamesOnly(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.MkdirAll("/plain/odd./in it")
	ok(t, "ask", s.Storable(t.Context(), "/plain/odd./in it/x."))
	made := srv.Since(0).Verbs("MKD")
	for _, c := range made {
		if !strings.HasPrefix(c.Path, "/plain/.ftpfs-") {
			t.Errorf("made %s", c.Path)
		}
	}
	if len(made) == 0 {
		t.Error("nothing was made")
	}
	nothingLeft(t, "below an odd name", srv)
}

// Before the survey, what is said of an odd name by name may be said of a neighbour.
func TestANeighborIsNotShownUnderAnOddName(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Takes: func(n string) string { return strings.TrimRight(n, " ") }}, nil)
	srv.Tree.Put("/x", content)
	_, err := s.Stat(t.Context(), "/x ")
	kind(t, "stat", err, remote.NotExist)
}

// The directory of the survey is removed also where the byte 255 is written twice.
func TestASurveyByProFTPDsRules(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Greeting: "ProFTPD Server ready.", Takes: func(n string) string {
		return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(n, "\xff\xff", "\x00"), "\xff", ""), "\x00", "\xff")
	}}, nil)
	ok(t, "ask", s.Storable(t.Context(), "/x\xff"))
	nothingLeft(t, "a byte 255 alone is dropped", srv)
}

// What the server cannot do now it may do in a moment: no conclusion is drawn, and the next
// who asks is told the truth.
func TestASurveyThatFailsForAMoment(t *testing.T) {
	scratch := func(c ftpscript.Command) bool { return strings.HasPrefix(path.Base(c.Path), ".ftpfs-") }
	for what, rule := range map[string]ftpscript.Rule{
		"busy":              {Match: scratch, Instead: "450 Busy."},
		"full":              {Match: scratch, Instead: "552 Quota exceeded."},
		"no directory":      {Match: scratch, Instead: "550 No such file or directory."},
		"busy in the midst": {Match: sample("0123"), Instead: "450 Busy."},
		"busy at a sample":  {Match: sample("c."), Instead: "450 Busy."},
		"cut":               {Match: scratch, Drop: true, Times: 2},
		"cut at a sample":   {Match: sample("c."), Drop: true, Times: 2},
	} {
		srv, s := start(t, ftpscript.Options{Stores: func(n string) string { return strings.TrimSuffix(n, ".") }}, nil)
		rule.Verb = "MKD"
		failing := srv.Add(rule)
		if err := s.Storable(t.Context(), "/x."); err == nil || remote.Is(err, remote.BadName) && rule.Times == 0 {
			t.Errorf("%s: %v, want a failure of the moment", what, err)
		}
		failing.Remove()
		if rule.Times == 0 {
			nothingLeft(t, what, srv)
		}
		ok(t, "up again", s.Connect(t.Context()))
		err := s.Storable(t.Context(), "/x.")
		kind(t, what+", then not", err, remote.BadName)
		if strings.Contains(err.Error(), "does not let that be tried") {
			t.Errorf("%s: it counts as refused: %v", what, err)
		}
		ok(t, what+": a name that is kept", s.Storable(t.Context(), "/x "))
	}
}

// Where a directory can be made and nothing in it, it is removed again, and tried no more.
func TestASurveyThatIsRefused(t *testing.T) {
	for _, at := range []string{"the directory", "what is in it"} {
		match := sample("0123")
		if at == "the directory" {
			match = nil
		}
		srv, s := start(t, ftpscript.Options{}, nil)
		srv.Add(ftpscript.Rule{Verb: "MKD", Match: match, Instead: "550 Permission denied."})
		kind(t, "a name that may hit another", s.Storable(t.Context(), "/x "), remote.BadName)
		nothingLeft(t, at, srv)
		mark := srv.Mark()
		err := s.Storable(t.Context(), "/y.")
		kind(t, "another", err, remote.BadName)
		if !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("%v: does not say why", err)
		}
		ok(t, "one that hits no other", s.Storable(t.Context(), "/x*"))
		if n := srv.Since(mark).Verbs("MKD"); len(n) > 0 {
			t.Errorf("tried again: %v", n)
		}
	}
}

// What we know of a product need not be found out.
func TestNamesOfKnownProducts(t *testing.T) {
	for _, c := range []struct{ greeting, bad, good string }{
		{"---------- Welcome to Pure-FTPd ----------", "/x ", "/x."},
		{"---------- Welcome to Pure-FTPd ----------", "/x\x01y", "/x."},
		{"pyftpdlib 1.5.9 ready.", "/x\xe9", "/x "},
		{"(vsFTPd 3.0.3)", "", "/x "},
	} {
		srv, s := start(t, ftpscript.Options{Greeting: c.greeting, Answers: map[string]string{"MKD": "550 Permission denied."}}, nil)
		ok(t, "connect", s.Connect(t.Context()))
		if c.bad != "" {
			kind(t, c.greeting, s.Storable(t.Context(), c.bad), remote.BadName)
			if n := srv.Since(0).Verbs("MKD"); len(n) > 0 {
				t.Errorf("%s: tried %v", c.greeting, n)
			}
		}
		ok(t, c.greeting+", another name, though nothing can be made", s.Storable(t.Context(), c.good))
	}
}

// A name that was refused teaches what is wrong with it, if that can be one thing only.
func TestARefusedNameTeaches(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Add(ftpscript.Rule{Verb: "RNTO", Match: func(c ftpscript.Command) bool { return strings.ContainsAny(c.Arg, ":*") }, Instead: "553 Invalid filename."})
	publish := func(p string) error {
		ok(t, "upload", s.Write(t.Context(), "/.tag7", strings.NewReader("x"), 0, 1))
		_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: p, Size: 1})
		return err
	}
	kind(t, "two things", publish("/x:y*"), remote.BadName)
	ok(t, "one of them", s.Storable(t.Context(), "/x*"))
	kind(t, "one thing", publish("/x:y"), remote.BadName)
	mark := srv.Mark()
	kind(t, "the same", s.Storable(t.Context(), "/z:"), remote.BadName)
	ok(t, "the other", s.Storable(t.Context(), "/x*"))
	if n := srv.Since(mark); len(n) > 0 {
		t.Errorf("asked: %v", n)
	}
}
