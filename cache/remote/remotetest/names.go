package remotetest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// oddNames are names that are ordinary to a file system and special to someone
// on the way: a shell, a glob, a URL, a listing, an FTP command, Telnet.
var oddNames = []string{
	"plain", "two words", "a  b", "*", "?", "[ab]", "[", "]", "a*b?c", "#", "%", "%41", "%s%n", "'", `"`, `a"b"c`, "`", "$HOME", "!",
	"-", "-la", "--", "-a file", "~", "~root", "~x", "x~", "&", "(a)", "{a,b}", ";", "a;b=c; d", ",", ":", "@", "+", "=", "|", "<a>",
	`\`, `a\b`, `C:\a`, " leading", "  two leading", "trailing ", "trailing  ", " ", "trailing.", "...", "..x", ".x",
	"a -> b", "total 12", "-rw-r--r-- 1 a b 5 Jan  5  2024 x", "01-29-24  11:32PM 5 x", "tab\there", "\ttab", "tab\t",
	"\u00e9t\u00e9", "e\u0301te\u0301", "日本語", "Ünïcödé", "emoji 🙂", "\xe9t\xe9", "\xff", "a\xffb", "\xff\xff", "\x01", "\x7f", "\x1b[31m",
	strings.Repeat("n", 255), strings.Repeat("é", 127) + "x",
}

func (s *suite) names() {
	s.mkdirs("/f", "/d")
	s.put("/bystander", content(20))
	for _, name := range oddNames {
		s.oddFile(name)
		s.oddDir(name)
	}
	// The two spellings of one accented letter are two names.
	nfc, nfd := "/f/\u00e9t\u00e9", "/f/e\u0301te\u0301"
	s.put(nfc, content(3))
	s.put(nfd, content(4))
	s.holds(nfc, content(3))
	s.holds(nfd, content(4))
	s.has("/f", nfc[3:], nfd[3:])
	s.has("/d")
	s.has("/", "f", "d", "bystander")
	s.holds("/bystander", content(20))
}

// oddFile takes a file of that name through its life.
func (s *suite) oddFile(name string) {
	s.t.Helper()
	path, data := "/f/"+name, content(40)
	if err := s.Store.Write(s.ctx, path, bytes.NewReader(data), 0, int64(len(data))); err != nil {
		if s.Limits.Refuses == nil || !s.Limits.Refuses(name) {
			s.t.Errorf("write %q: %v", name, err)
		}
		s.noTrace("/f", name, err)
		return
	}
	if len(s.has("/f", name)) != 1 {
		s.sweep("/f")
		return
	}
	s.holds(path, data)
	if got, err := s.read(s.ctx, path, 30); err != nil || !bytes.Equal(got, data[30:]) {
		s.t.Errorf("read %q from 30: %s, %v", name, brief(got), err)
	}
	if e, err := s.Store.Stat(s.ctx, path); err != nil || e.Name != name || e.Size != 40 {
		s.t.Errorf("stat %q: %+v, %v", name, e, err)
	}
	mode := uint32(0o640)
	noMode := s.Limits.NoModes || s.Limits.RefusesMode != nil && s.Limits.RefusesMode(name)
	if err := s.Store.SetAttr(s.ctx, path, remote.Attr{Mode: &mode}); err != nil {
		if !noMode || !remote.Is(err, remote.Unsupported) {
			s.t.Errorf("set the mode of %q: %v", name, err)
		}
	} else if s.Behind != nil {
		if e, _ := s.Behind.Stat(path); e.Mode != mode {
			s.t.Errorf("mode of %q is %o on the server, want %o", name, e.Mode, mode)
		}
	}
	if err := s.Store.Rename(s.ctx, path, "/f/via"); err != nil {
		s.t.Errorf("rename %q: %v", name, err)
		s.sweep("/f")
		return
	}
	if err := s.Store.Rename(s.ctx, "/f/via", path); err != nil {
		s.t.Errorf("rename to %q: %v", name, err)
		s.sweep("/f")
		return
	}
	s.holds(path, data)
	size := remote.Publish{Path: path, Size: 5, Force: true}
	s.put("/f/tmp", content(5))
	if _, err := s.Store.Publish(s.ctx, "/f/tmp", size); err != nil {
		if !s.Limits.NoReplace {
			s.t.Errorf("publish over %q: %v", name, err)
		}
		s.ok(s.Store.Remove(s.ctx, "/f/tmp"), "remove the temporary file")
	} else {
		s.holds(path, content(5))
	}
	if err := s.Store.Remove(s.ctx, path); err != nil {
		s.t.Errorf("remove %q: %v", name, err)
		s.sweep("/f")
	}
	s.gone(path)
}

// oddDir does the same with a directory.
func (s *suite) oddDir(name string) {
	s.t.Helper()
	refuses := s.Limits.RefusesDir
	if refuses == nil {
		refuses = s.Limits.Refuses
	}
	dir := "/d/" + name
	if err := s.Store.Mkdir(s.ctx, dir); err != nil {
		if refuses == nil || !refuses(name) {
			s.t.Errorf("mkdir %q: %v", name, err)
		}
		s.noTrace("/d", name, err)
		return
	}
	if refuses != nil && refuses(name) {
		s.sweep("/d") // made, and not usable throughout
		return
	}
	s.is(dir, remote.Dir)
	s.has("/d", name)
	s.has(dir)
	s.put(dir+"/in", content(6))
	s.has(dir, "in")
	s.holds(dir+"/in", content(6))
	s.fails(s.Store.Rmdir(s.ctx, dir), fmt.Sprintf("rmdir of %q, which is full", name), remote.NotEmpty)
	s.ok(s.Store.Remove(s.ctx, dir+"/in"), "remove from %q", name)
	s.ok(s.Store.Rename(s.ctx, dir, "/d/via"), "rename the directory %q", name)
	s.ok(s.Store.Rename(s.ctx, "/d/via", dir), "rename a directory to %q", name)
	s.ok(s.Store.Rmdir(s.ctx, dir), "rmdir %q", name)
	s.gone(dir)
}

// noTrace checks that a refused name left nothing behind.
func (s *suite) noTrace(dir, name string, err error) {
	s.t.Helper()
	if k := remote.KindOf(err); k.Offline() || k == remote.Protocol {
		s.t.Errorf("%q in %s is refused as %q: %v", name, dir, k, err)
	}
	if left := s.has(dir); len(left) > 0 {
		s.sweep(dir)
	}
}

// sweep empties a directory after a failure, so that the next name has a chance.
func (s *suite) sweep(dir string) {
	list, err := s.Store.List(s.ctx, dir)
	s.ok(err, "list %s", dir)
	for _, e := range list {
		if e.Type == remote.Dir {
			err = s.Store.Rmdir(s.ctx, dir+"/"+e.Name)
		} else {
			err = s.Store.Remove(s.ctx, dir+"/"+e.Name)
		}
		s.ok(err, "clean up %q", e.Name)
	}
}

// namesRefused: what would end or break an FTP command is refused before
// anything is sent, and touches neither another file nor the next command.
func (s *suite) namesRefused() {
	victim := content(5000)
	s.put("/victim", victim)
	s.put("/other", content(10))
	mode := uint32(0o600)
	for _, name := range []string{"a\nb", "a\rb", "a\x00b", "\n", "\r\n", "victim\r\nDELE victim", "victim\n", "victim\r", "victim\x00", "x\nDELE victim"} {
		path := "/" + name
		what := func(op string) string { return fmt.Sprintf("%s %q", op, name) }
		s.fails(s.Store.Write(s.ctx, path, strings.NewReader("evil"), 0, 4), what("write"), remote.BadName)
		s.fails(s.Store.Write(s.ctx, path, strings.NewReader("evil"), 5000, 4), what("append to"), remote.BadName)
		s.fails(s.Store.Mkdir(s.ctx, path), what("mkdir"), remote.BadName)
		s.fails(s.Store.Mkdir(s.ctx, path+"/sub"), what("mkdir below"), remote.BadName)
		s.fails(s.Store.Rename(s.ctx, "/other", path), what("rename to"), remote.BadName)
		s.fails(s.Store.Rename(s.ctx, path, "/x"), what("rename"), remote.BadName)
		s.fails(s.Store.Remove(s.ctx, path), what("remove"), remote.BadName)
		s.fails(s.Store.Rmdir(s.ctx, path), what("rmdir"), remote.BadName)
		s.fails(s.Store.SetAttr(s.ctx, path, remote.Attr{Mode: &mode}), what("chmod"), remote.BadName)
		_, err := s.Store.Publish(s.ctx, "/other", remote.Publish{Path: path, Size: 10, Force: true})
		s.fails(err, what("publish as"), remote.BadName)
		_, err = s.Store.List(s.ctx, path)
		s.fails(err, what("list"), remote.BadName)
		_, err = s.Store.Stat(s.ctx, path)
		s.fails(err, what("stat"), remote.BadName)
		// A restart offset that survives the refusal would patch the next upload.
		_, err = s.Store.Open(s.ctx, path, 1000, nil)
		s.fails(err, what("open"), remote.BadName)
		s.put("/other", content(10))
		s.holds("/other", content(10))
	}
	s.holds("/victim", victim)
	s.has("/", "victim", "other")
}

func (s *suite) namesTooLong() {
	long := "/" + strings.Repeat("n", 256)
	s.put("/file", content(3))
	s.refused(s.Store.Write(s.ctx, long, strings.NewReader("x"), 0, 1), "write a name of 256 bytes")
	s.refused(s.Store.Mkdir(s.ctx, long), "mkdir a name of 256 bytes")
	s.refused(s.Store.Rename(s.ctx, "/file", long), "rename to a name of 256 bytes")
	s.has("/", "file")
	s.holds("/file", content(3))
	deep := strings.Repeat("/"+strings.Repeat("d", 200), 30)
	if _, err := s.Store.Stat(s.ctx, deep); err == nil {
		s.t.Errorf("stat a path of %d bytes: no error", len(deep))
	}
	s.usable()
}

// namesNeighbours: an operation on an odd name never lands on the name that
// someone on the way might make of it. What is refused is refused; the
// neighbour's content, mode and time stay.
func (s *suite) namesNeighbours() {
	if s.Behind == nil {
		s.t.Skip("no way to look at the neighbours on this server")
	}
	old := time.Date(2010, 10, 10, 10, 10, 10, 0, time.UTC)
	at, mode := time.Date(2020, 2, 2, 2, 2, 2, 0, time.UTC), uint32(0o600)
	for i, c := range []struct{ name, neighbour string }{
		{"x ", "x"}, {" x", "x"}, {"x\t", "x"}, {"x ", "x_"}, {"x\ty", "x y"}, {"x  y", "x y"}, {"x\ty", "x_y"}, {"x\x01y", "x_y"}, {"a*", "ab"}, {"?", "b"}, {"[ab]", "a"}, {"{a,b}", "a"},
		{`x\y`, "xy"}, {`x\y`, "x"}, {"%41", "A"}, {"-a", "a"}, {"-R x", "x"}, {`"x"`, "x"}, {"~", "x"}, {"a -> b", "a"}, {"\xff\xff", "\xff"}, {"x;y", "x"},
		{"e\u0301", "\u00e9"}, {"X", "x"}, {"x.", "x"}, {"x y", "x"}, {"644 x", "x"}, {"20200101000000 x", "x"}, {"20200101000000", "x"},
	} {
		dir := fmt.Sprintf("/n%d", i)
		s.mkdirs(dir)
		s.ok(s.Behind.WriteFile(dir+"/"+c.neighbour, content(33)), "write %q as another client", c.neighbour)
		s.ok(s.Behind.Chtimes(dir+"/"+c.neighbour, old), "set its time as another client")
		before, _ := s.Behind.Stat(dir + "/" + c.neighbour)
		above, _ := s.Behind.Stat(dir)
		path := dir + "/" + c.name
		check := func(op string) {
			s.t.Helper()
			now, there := s.Behind.Stat(dir + "/" + c.neighbour)
			if data, _ := s.Behind.ReadFile(dir + "/" + c.neighbour); now != before || !bytes.Equal(data, content(33)) {
				s.t.Errorf("%s %q changed %q beside it: there %v, mode %o, time %v, %s", op, c.name, c.neighbour, there, now.Mode, now.MTime, brief(data))
				before = now
			}
			if now, _ := s.Behind.Stat(dir); now.Mode != above.Mode {
				s.t.Errorf("%s %q changed the mode of the directory from %o to %o", op, c.name, above.Mode, now.Mode)
				above = now
			}
		}
		_, _ = s.Store.Stat(s.ctx, path)
		_, _ = s.read(s.ctx, path, 0)
		for _, there := range []bool{false, true} { // the odd name itself
			if there {
				_ = s.Store.Write(s.ctx, path, strings.NewReader("odd"), 0, 3)
				check("writing")
			}
			_ = s.Store.SetAttr(s.ctx, path, remote.Attr{Mode: &mode})
			check("setting the mode of")
			_ = s.Store.SetAttr(s.ctx, path, remote.Attr{MTime: &at})
			check("setting the time of")
			if !there {
				_ = s.Store.Remove(s.ctx, path)
				check("removing")
				_ = s.Store.Rename(s.ctx, path, dir+"/moved")
				check("renaming")
				_ = s.Store.Rmdir(s.ctx, path)
				check("removing the directory")
				_ = s.Store.Write(s.ctx, path, strings.NewReader("odd"), 33, 3)
				check("appending to")
			}
		}
		s.put(dir+"/tmp", content(4))
		_, _ = s.Store.Publish(s.ctx, dir+"/tmp", remote.Publish{Path: path, Size: 4, Force: true, MTime: &at, Mode: &mode})
		check("publishing")
		_ = s.Store.Remove(s.ctx, path)
		check("removing")
		_ = s.Store.Mkdir(s.ctx, path)
		check("making the directory")
		_ = s.Store.Rmdir(s.ctx, path)
		check("removing the directory")
	}
}
