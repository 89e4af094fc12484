package ftpconn_test

import (
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// The words of SITE end at blanks: a time meant for "/f with blanks" is never set by SITE
// UTIME, which would set that of "/f".
func TestSITEUTIMENeverNamesAnotherFile(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Refuse: []string{"MFMT", "MFF", "MLST", "MLSD"}}, nil)
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

// stamped is a server that has only SITE UTIME YYYYMMDDhhmmss path, off by a while if so.
func stamped(t *testing.T, off time.Duration, refuse ...string) (*ftpscript.Server, *ftpconn.Store) {
	srv, s := start(t, ftpscript.Options{Refuse: append(refuse, "MFMT", "MFF"), NoSetTime: true}, nil)
	first := func(c ftpscript.Command) bool { return strings.HasPrefix(c.Arg, "/") }
	srv.Add(ftpscript.Rule{Verb: "SITE UTIME", Match: first, Instead: "501 Usage: SITE UTIME YYYYMMDDhhmm[ss] path"})
	srv.Add(ftpscript.Rule{Verb: "SITE UTIME", Instead: "200 Done.", Then: func(c ftpscript.Command) {
		word, p, _ := strings.Cut(c.Arg, " ")
		if at, err := time.Parse("20060102150405", word); err == nil {
			srv.Tree.SetTime(p, at.Add(off))
		}
	}})
	return srv, s
}

func TestSecondShapeOfSITEUTIMEIsLearnedOnOurOwnFiles(t *testing.T) {
	at := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC)
	for _, c := range []struct {
		refuse []string
		off    time.Duration
	}{{nil, 0}, {[]string{"MDTM"}, 0}, {[]string{"MLST", "MLSD"}, 0}, {nil, time.Hour}} {
		srv, s := stamped(t, c.off, c.refuse...)
		srv.Tree.Put("/f", content)
		srv.Tree.Put("/f g", content)
		was, _ := srv.Tree.Stat("/f")
		kind(t, "before it is known", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &at}), remote.Unsupported)
		if now, _ := srv.Tree.Stat("/f"); !now.MTime.Equal(was.MTime) {
			t.Errorf("without %v: tried on a user's file", c.refuse)
		}
		srv.Tree.Put("/.tag7", content)
		p, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/new", Size: int64(len(content)), MTime: &at})
		ok(t, "publish", err)
		if p.TimeSet != (c.off == 0) {
			t.Errorf("without %v, off by %v: time set: %v", c.refuse, c.off, p.TimeSet)
		}
		err = s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &at})
		if now, _ := srv.Tree.Stat("/f"); c.off == 0 && (err != nil || !now.MTime.Equal(at)) {
			t.Errorf("without %v: %v, time %v", c.refuse, err, now.MTime)
		} else if c.off != 0 && !now.MTime.Equal(was.MTime) {
			t.Errorf("a time that did not read back is set on a user's file: %v", now.MTime)
		}
		mark := srv.Mark()
		kind(t, "with a blank", s.SetAttr(t.Context(), "/f g", remote.Attr{MTime: &at}), remote.Unsupported)
		if n := srv.Since(mark).Verbs("SITE UTIME"); len(n) > 0 {
			t.Errorf("sent: %v", n)
		}
	}
}

// Nor is it found out on such a name: neither shape is sent for it, and that the way was not
// found there says nothing of other names.
func TestSITEUTIMEIsNotTriedOnANameOfSeveralWords(t *testing.T) {
	at := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC)
	for _, blank := range []string{" ", "\t"} {
		srv, s := stamped(t, 0)
		words := "/.ftpfs-tag7u1" + blank + "f" // ours, so that both shapes might be tried
		srv.Tree.Put(words, content)
		srv.Tree.Put("/.ftpfs-tag7u1", content)
		kind(t, "find out on a name of two words", s.SetAttr(t.Context(), words, remote.Attr{MTime: &at}), remote.Unsupported)
		if n := srv.Since(0).Verbs("SITE UTIME"); len(n) > 0 {
			t.Errorf("sent for %q: %v", words, n)
		}
		ok(t, "on another name", s.SetAttr(t.Context(), "/.ftpfs-tag7u1", remote.Attr{MTime: &at}))
		mark := srv.Mark()
		kind(t, "once it is known", s.SetAttr(t.Context(), words, remote.Attr{MTime: &at}), remote.Unsupported)
		if n := srv.Since(mark).Verbs("SITE UTIME"); len(n) > 0 {
			t.Errorf("sent for %q: %v", words, n)
		}
	}
}

// A server that takes the first shape, and does something else, would do something else with
// the second, too.
func TestTheSecondShapeIsNotTriedWhereTheFirstWasTaken(t *testing.T) {
	at := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC)
	srv, s := start(t, ftpscript.Options{Refuse: []string{"MFMT", "MFF"}, NoSetTime: true}, nil)
	srv.Add(ftpscript.Rule{Verb: "SITE UTIME", Instead: "200 Done."})
	srv.Tree.Put("/.tag7", content)
	p, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content)), MTime: &at})
	ok(t, "publish", err)
	if n := srv.Since(0).Verbs("SITE UTIME"); len(n) != 1 || p.TimeSet {
		t.Errorf("time set: %v, sent: %v", p.TimeSet, n)
	}
}

// A file of somebody else's, met first, does not say that the server has no MFMT, where
// FEAT does not name it.
func TestAnothersFileDoesNotSettleHowTimesAreSet(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Feat: []string{"SIZE", "MDTM", "REST STREAM"}, Refuse: []string{"SITE UTIME", "MLST", "MLSD"}, NoSetTime: true}, nil)
	srv.Tree.Put("/theirs", content)
	srv.Tree.Put("/f", content)
	srv.Add(ftpscript.Rule{Verb: "MFMT", Path: "/theirs", Instead: "550 /theirs: Operation not permitted"})
	at := time.Date(2011, 12, 13, 14, 15, 16, 0, time.UTC)
	if err := s.SetAttr(t.Context(), "/theirs", remote.Attr{MTime: &at}); err == nil {
		t.Error("the time of /theirs was set")
	}
	ok(t, "set the time of /f", s.SetAttr(t.Context(), "/f", remote.Attr{MTime: &at}))
}
