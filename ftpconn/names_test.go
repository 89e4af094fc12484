package ftpconn_test

import (
	"bytes"
	"log/slog"
	"path"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/codepage"
	"ftpfs/test/ftpscript"
)

// manglers are servers that store some names as others, and say nothing.
var manglers = []struct {
	what    string
	options ftpscript.Options
	name    string // one that is not kept
	becomes string
	kept    string // one like it that is
}{
	{"as Pure-FTPd does, the owner's banner", ftpscript.Options{Stores: blankToLine}, "x ", "x_", "x y"},
	{"as Pure-FTPd does, control characters", ftpscript.Options{Stores: blankToLine}, "x\x01y", "x_y", "x~y"},
	{"blanks at the end are cut", ftpscript.Options{Takes: func(n string) string { return strings.TrimRight(n, " ") }}, "x ", "x", "x y"},
	{"dots at the end are cut", ftpscript.Options{Takes: func(n string) string { return strings.TrimRight(n, ".") }}, "x.", "x", "x.y"},
	{"blanks at the beginning are cut", ftpscript.Options{Takes: func(n string) string { return strings.TrimLeft(n, " ") }}, " x", "x", "x y"},
	{"names are cut", ftpscript.Options{Takes: cut}, strings.Repeat("x", 65), strings.Repeat("x", 64), strings.Repeat("y", 64)},
	{"accents are taken apart", ftpscript.Options{Takes: norm.NFD.String}, "\u00e9", "e\u0301", "e\u0301x"},
	{"accents are put together", ftpscript.Options{Stores: norm.NFC.String}, "e\u0301", "\u00e9", "\u00e9x"},
	{"bytes that are not UTF-8", ftpscript.Options{Stores: func(n string) string { return strings.ToValidUTF8(n, "\ufffd") }}, "x\xe9", "x\ufffd", "\u00e9"},
	{"Windows, a dot", ftpscript.Options{Windows: true}, "x.", "x", "x y"},
	{"Windows, a blank", ftpscript.Options{Windows: true}, "x ", "x", "x.y"},
}

func blankToLine(n string) string {
	n = strings.Map(func(r rune) rune {
		if r < ' ' {
			return '_'
		}
		return r
	}, n)
	if t := strings.TrimRight(n, " "); t != n {
		return t + strings.Repeat("_", len(n)-len(t))
	}
	return n
}

func cut(n string) string { return n[:min(len(n), 64)] }

// A name that the server would store as another one is refused by whatever would make it, and
// what has the other name stays as it is.
func TestNamesThatAServerMangles(t *testing.T) {
	for _, c := range manglers {
		t.Run(c.what, func(t *testing.T) {
			for op, do := range map[string]func(s *ftpconn.Store, p string) error{
				"ask": func(s *ftpconn.Store, p string) error { return s.Storable(t.Context(), p) },
				"publish": func(s *ftpconn.Store, p string) error {
					ok(t, "upload", s.Write(t.Context(), "/dir/.tag7", bytes.NewReader(content), 0, int64(len(content))))
					_, err := s.Publish(t.Context(), "/dir/.tag7", remote.Publish{Path: p, Size: int64(len(content)), Force: true})
					return err
				},
				"write":  func(s *ftpconn.Store, p string) error { return s.Write(t.Context(), p, strings.NewReader("odd"), 0, 3) },
				"mkdir":  func(s *ftpconn.Store, p string) error { return s.Mkdir(t.Context(), p) },
				"rename": func(s *ftpconn.Store, p string) error { return s.Rename(t.Context(), "/dir/other", p) },
				"remove": func(s *ftpconn.Store, p string) error { return s.Remove(t.Context(), p) },
				"rmdir":  func(s *ftpconn.Store, p string) error { return s.Rmdir(t.Context(), p) },
				"chmod": func(s *ftpconn.Store, p string) error {
					mode := uint32(0o600)
					return s.SetAttr(t.Context(), p, remote.Attr{Mode: &mode})
				},
			} {
				srv, s := start(t, c.options, nil)
				srv.Tree.Put("/dir/"+c.becomes, []byte("theirs"))
				srv.Tree.Put("/dir/other", []byte("other"))
				kind(t, op, do(s, "/dir/"+c.name), remote.BadName)
				from := srv.Mark()
				kind(t, op+" again", do(s, "/dir/"+c.name), remote.BadName)
				for _, cmd := range srv.Since(from) {
					if cmd.Verb == "MKD" {
						t.Errorf("%s: it was found out twice: %v", op, cmd)
					}
				}
				if b, _ := srv.Tree.Get("/dir/" + c.becomes); string(b) != "theirs" {
					t.Errorf("%s: what has the other name is %q", op, b)
				}
				if _, there := srv.Tree.Get("/dir/other"); !there {
					t.Errorf("%s: the other file is gone", op)
				}
				for _, f := range srv.Tree.All() {
					if name := path.Base(f.Path); f.Dir && name != "dir" {
						t.Errorf("%s: left behind: %q", op, f.Path)
					}
				}
				ok(t, op+": a name that is kept", s.Storable(t.Context(), "/dir/"+c.kept))
				ok(t, op+": mkdir of it", s.Mkdir(t.Context(), "/dir/"+c.kept))
				if f, there := srv.Tree.Stat("/dir/" + c.kept); !there || f.Path != "/dir/"+c.kept {
					t.Errorf("%s: %q was not made", op, c.kept)
				}
			}
		})
	}
}

// A server that keeps all names is asked once, and plain names cost nothing.
func TestPlainNamesAreNotAskedAbout(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	for _, name := range []string{"plain", "with blank", "a.b", "UPPER", ".hidden", "x-y_z"} {
		ok(t, "mkdir", s.Mkdir(t.Context(), "/"+name))
	}
	if n := len(srv.Since(0).Verbs("MKD")); n != 6 {
		t.Errorf("%d MKD for six plain names", n)
	}
	for _, name := range []string{"x ", "x.", " y", "a\\b", "a:b", "s*", "q?", "[b]", "{c}", "\u00e9", "e\u0301", "z\xe9", "w\xff", strings.Repeat("l", 250)} {
		ok(t, "mkdir", s.Mkdir(t.Context(), "/"+name))
		if f, there := srv.Tree.Stat("/" + name); !there || f.Path != "/"+name {
			t.Errorf("%q was not made", name)
		}
	}
}

// Where it cannot be found out, names that might hit another one are refused, others not.
func TestNamesOfAServerThatLetsNothingBeTried(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Answers: map[string]string{"MKD": "550 Permission denied."}, Stores: blankToLine}, nil)
	srv.Tree.Put("/x_", []byte("theirs"))
	kind(t, "write", s.Write(t.Context(), "/x ", strings.NewReader("odd"), 0, 3), remote.BadName)
	ok(t, "write", s.Write(t.Context(), "/\u00e9", strings.NewReader("odd"), 0, 3))
	if b, _ := srv.Tree.Get("/x_"); string(b) != "theirs" {
		t.Errorf("x_ is %q", b)
	}
	if _, err := s.Stat(t.Context(), "/x "); !remote.Is(err, remote.NotExist) {
		t.Errorf("stat of a name that is not listed: %v", err)
	}
}

// The byte 255 is doubled for a server that takes two for one, whatever its banner.
func TestTheByte255(t *testing.T) {
	fold := func(n string) string { return strings.ReplaceAll(n, "\xff\xff", "\xff") }
	for what, o := range map[string]ftpscript.Options{"taken as it is": {}, "two are one": {Takes: fold}} {
		srv, s := start(t, o, nil)
		srv.Tree.Put("/one", []byte("1"))
		for _, name := range []string{"a\xffb", "c\xff\xffd", "\xff"} {
			ok(t, what, s.Mkdir(t.Context(), "/"+name))
			if _, there := srv.Tree.Stat("/" + name); !there {
				t.Errorf("%s: %q was not made", what, name)
			}
			ok(t, what, s.Rmdir(t.Context(), "/"+name))
		}
	}
}

// A server that cuts our temporary names would mix uploads: nothing is uploaded there.
func TestAServerThatCutsTemporaryNames(t *testing.T) {
	long := "/.ftpfs-tag7u0123abcd"
	srv, s := start(t, ftpscript.Options{Takes: func(n string) string { return n[:min(len(n), 8)] }}, nil)
	ok(t, "upload", s.Write(t.Context(), long, bytes.NewReader(content), 0, int64(len(content))))
	for range 2 {
		_, err := s.Publish(t.Context(), long, remote.Publish{Path: "/f", Size: int64(len(content))})
		kind(t, "publish", err, remote.BadName)
	}
	if _, there := srv.Tree.Stat("/f"); there {
		t.Error("it was published")
	}
}

// Whether cases are told apart is noticed by what is asked anyway.
func TestCases(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		for _, windows := range []bool{false, true} {
			srv, s := start(t, ftpscript.Options{Refuse: refuse, Windows: windows}, nil)
			ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
			if s.Caps().FoldsCase {
				t.Error("it is known before anything was asked")
			}
			srv.Tree.Put("/README", []byte("theirs"))
			_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/readme", Size: int64(len(content))})
			if windows {
				kind(t, "publish", err, remote.Changed)
			} else {
				ok(t, "publish", err)
			}
			if got := s.Caps().FoldsCase; got != windows {
				t.Errorf("folds case: %v, want %v", got, windows)
			}
			if b, _ := srv.Tree.Get("/README"); string(b) != "theirs" {
				t.Errorf("README is %q", b)
			}
			ok(t, "rename to another case", s.Rename(t.Context(), "/README", "/Readme"))
			if f, _ := srv.Tree.Stat("/Readme"); f.Path != "/Readme" {
				t.Errorf("it is called %q", f.Path)
			}
		}
	})
}

// A single question tells, too.
func TestCasesByStat(t *testing.T) {
	for _, windows := range []bool{false, true} {
		srv, s := start(t, ftpscript.Options{Windows: windows}, nil)
		srv.Tree.Put("/README", []byte("theirs"))
		_, err := s.Stat(t.Context(), "/README")
		ok(t, "stat", err)
		if got := s.Caps().FoldsCase; got != windows {
			t.Errorf("folds case: %v, want %v", got, windows)
		}
	}
}

func inPage(t *testing.T, name string) func(*ftpconn.Config) {
	t.Helper()
	page, err := codepage.Find(name)
	ok(t, "code page", err)
	return func(c *ftpconn.Config) { c.Codepage = page }
}

// Every command, every listing and the directory of the login are in the server's code page.
func TestCodepage(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		for _, c := range []struct{ page, dir, thereDir, name, there string }{
			{"cp866", "Каталог", "\x8a\xa0\xe2\xa0\xab\xae\xa3", "Привет.txt", "\x8f\xe0\xa8\xa2\xa5\xe2.txt"},
			{"shift_jis", "表", "\x95\x5c", "ポ", "\x83\x7c"},
			{"cp1251", "яя", "\xff\xff", "я", "\xff"},
		} {
			srv, s := start(t, ftpscript.Options{Refuse: refuse}, func(cfg *ftpconn.Config) {
				inPage(t, c.page)(cfg)
				cfg.Dir = "/" + c.dir
			})
			srv.Tree.Put("/"+c.thereDir+"/"+c.there, []byte("theirs"))
			srv.Tree.Put("/"+c.thereDir+"/\x95", []byte("no letter in one of the pages"))
			ok(t, "connect", s.Connect(t.Context()))
			list, err := s.List(t.Context(), "/")
			ok(t, "list", err)
			if !strings.Contains(" "+names(list)+" ", " "+c.name+" ") {
				t.Errorf("%s: listed are %q, want %q", c.page, names(list), c.name)
			}
			for _, e := range list {
				_, err := s.Stat(t.Context(), "/"+e.Name)
				ok(t, "stat of what is listed", err)
			}
			r, err := s.Open(t.Context(), "/"+c.name, 0, nil)
			ok(t, "open", err)
			r.Close()
			ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
			_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/" + c.name, Size: int64(len(content)), Force: true})
			ok(t, "publish", err)
			if b, _ := srv.Tree.Get("/" + c.thereDir + "/" + c.there); !bytes.Equal(b, content) {
				t.Errorf("%s: %d bytes there", c.page, len(b))
			}
			ok(t, "mkdir", s.Mkdir(t.Context(), "/"+c.dir))
			ok(t, "rename", s.Rename(t.Context(), "/"+c.name, "/"+c.dir+"/"+c.name))
			if _, there := srv.Tree.Get("/" + c.thereDir + "/" + c.thereDir + "/" + c.there); !there {
				t.Errorf("%s: not renamed", c.page)
			}
			ok(t, "remove", s.Remove(t.Context(), "/"+c.dir+"/"+c.name))
			ok(t, "rmdir", s.Rmdir(t.Context(), "/"+c.dir))
			for op, err := range map[string]error{
				"ask": s.Storable(t.Context(), "/ü"), "mkdir": s.Mkdir(t.Context(), "/ü"), "rename": s.Rename(t.Context(), "/.tag7", "/ü"),
				"write": s.Write(t.Context(), "/ü", strings.NewReader(""), 0, 0), "not UTF-8": s.Storable(t.Context(), "/\xff"),
			} {
				kind(t, op, err, remote.BadName)
			}
			if n := len(srv.Since(0).Verbs("OPTS")); n == 0 || strings.Contains(srv.Transcript(1000), "UTF8 ON") {
				t.Errorf("%s: UTF-8 is not turned off", c.page)
			}
		}
	})
}

// What the next mount is told is what it may refuse; what it may use it finds out itself.
func TestBadNamesAreRemembered(t *testing.T) {
	l := lives{t: t, srv: ftpscript.Start(t, ftpscript.Options{Windows: true})}
	l.live(func(s *ftpconn.Store) { kind(t, "ask", s.Storable(t.Context(), "/x."), remote.BadName) })
	said := l.live(func(s *ftpconn.Store) {
		ok(t, "connect", s.Connect(t.Context()))
		kind(t, "ask", s.Storable(t.Context(), "/x."), remote.BadName)
		kind(t, "ask", s.Storable(t.Context(), "/x "), remote.BadName)
	})
	if n := len(said.Verbs("MKD")); n != 0 {
		t.Errorf("%d MKD to find out what was known", n)
	}
	said = l.live(func(s *ftpconn.Store) { ok(t, "ask", s.Storable(t.Context(), "/\u00e9")) })
	if len(said.Verbs("MKD")) == 0 {
		t.Error("that a name is kept was believed from memory")
	}
}

// That names may be in a code page, or not in the one given, is said once, with a guess.
func TestTheCodePageIsHintedAtOnce(t *testing.T) {
	for _, c := range []struct{ given, name, say, not string }{
		{"", "\xcf\xf0\xe8\xe2\xe5\xf2.txt", "codepage=cp1251", ""},
		{"", "Привет.txt", "", "codepage"},
		{"", "plain", "", "codepage"},
		{"cp1252", "Привет", "mount without codepage", ""},
		{"cp1251", "\xcf\xf0\xe8\xe2\xe5\xf2", "", "codepage"},
	} {
		var log bytes.Buffer
		srv, s := start(t, ftpscript.Options{}, func(cfg *ftpconn.Config) {
			if c.given != "" {
				inPage(t, c.given)(cfg)
			}
			cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		for _, dir := range []string{"/a/", "/b/"} {
			for _, n := range []string{"1", "2", "3"} {
				srv.Tree.Put(dir+n+c.name, nil)
			}
			_, err := s.List(t.Context(), dir[:2])
			ok(t, "list", err)
		}
		ok(t, "close", s.Close())
		said := log.String()
		if strings.Count(said, "mount with") > 1 || !strings.Contains(said, c.say) || c.not != "" && strings.Contains(said, c.not) {
			t.Errorf("%q with %q: the log has %q, want %q", c.name, c.given, said, c.say)
		}
	}
}

// A refusal of RMD that says no more than that may be of what was in the directory, and has
// gone by the time we look: an upload that was given up. It is tried once more.
func TestADirectoryThatWasEmptiedMeanwhileIsRemoved(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.MkdirAll("/d")
	rule := srv.Add(ftpscript.Rule{Verb: "RMD", Path: "/d", Times: 1, Instead: "550 Remove directory operation failed."})
	ok(t, "rmdir", s.Rmdir(t.Context(), "/d"))
	rule.Remove()
	srv.Tree.MkdirAll("/e")
	srv.Add(ftpscript.Rule{Verb: "RMD", Path: "/e", Instead: "550 Remove directory operation failed."})
	kind(t, "rmdir that is refused", s.Rmdir(t.Context(), "/e"), remote.Permission)
}
