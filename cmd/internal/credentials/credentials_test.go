package credentials

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, mode); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFindOrder(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "c", "# mine\nusername=u\npassword= p=#w \n", 0o600)
	userOnly := write(t, dir, "u", "username=u\n", 0o600)
	home := t.TempDir()
	write(t, home, ".netrc", "machine other login u password no\nmachine h login u password fromnetrc", 0o600)
	sysd := t.TempDir()
	write(t, sysd, "ftpfs.password", "fromsystemd\n", 0o440)
	sysc := t.TempDir()
	write(t, sysc, "ftpfs.credentials", "username=u\npassword=fromsystemd\n", 0o440)
	url := "fromurl"
	prompt := func(string) (string, error) { return "fromprompt", nil }
	for _, c := range []struct {
		name       string
		r          Request
		user, pass string
	}{
		{"file beats all", Request{File: file, Password: &url, Environment: "e", Systemd: sysd, Home: home, Prompt: prompt}, "u", " p=#w "},
		{"file names the user only", Request{File: userOnly, Environment: "e"}, "u", "e"},
		{"url", Request{User: "u", Password: &url, Environment: "e", Systemd: sysd, Home: home}, "u", "fromurl"},
		{"environment", Request{User: "u", Environment: "e", Systemd: sysd, Home: home}, "u", "e"},
		{"environment needs a user", Request{Environment: "e"}, "anonymous", anonymousPassword},
		{"systemd password", Request{User: "u", Systemd: sysd, Home: home}, "u", "fromsystemd"},
		{"systemd credentials", Request{Systemd: sysc, Home: home}, "u", "fromsystemd"},
		{"netrc", Request{User: "u", Home: home, Prompt: prompt}, "u", "fromnetrc"},
		{"netrc names the user", Request{Home: home, Prompt: prompt}, "u", "fromnetrc"},
		{"netrc is for another", Request{User: "x", Home: home, Prompt: prompt}, "x", "fromprompt"},
		{"prompt", Request{User: "u", Home: t.TempDir(), Prompt: prompt}, "u", "fromprompt"},
		{"anonymous", Request{Home: t.TempDir(), Prompt: prompt}, "anonymous", anonymousPassword},
		{"anonymous by name", Request{User: "anonymous", Prompt: prompt}, "anonymous", anonymousPassword},
	} {
		c.r.Host = "h"
		l, err := Find(c.r)
		if err != nil || l.User != c.user || l.Password != c.pass {
			t.Errorf("%s: got %q %q, %v; want %q %q", c.name, l.User, l.Password, err, c.user, c.pass)
		}
		if s := fmt.Sprintf("%v %+v %#v", l, l, l); l.Password != "" && strings.Contains(s, l.Password) && l.Password != "e" {
			t.Errorf("%s: prints its password: %s", c.name, s)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	dir := t.TempDir()
	home := t.TempDir()
	write(t, home, ".netrc", "machine h login u password geheim", 0o644)
	for _, c := range []struct {
		name, want string
		r          Request
	}{
		{"readable by others", "can be read by others (mode 0644)", Request{File: write(t, dir, "a", "password=geheim", 0o644)}},
		{"readable by group", "can be read by others", Request{File: write(t, dir, "b", "password=geheim", 0o640)}},
		{"missing", "no such file", Request{File: dir + "/none"}},
		{"a directory", "not a file", Request{File: dir}},
		{"rubbish", "line 1", Request{File: write(t, dir, "d", "geheim", 0o600)}},
		{"unknown key", "unknown key", Request{File: write(t, dir, "e", "passwd:geheim=geheim", 0o600)}},
		{"empty", "neither", Request{File: write(t, dir, "f", "# nothing\n", 0o600)}},
		{"another user", "not for", Request{User: "x", File: write(t, dir, "g", "username=u\npassword=geheim\n", 0o600)}},
		{"no user", "names a user", Request{File: write(t, dir, "h", "password=geheim\n", 0o600)}},
		{"netrc readable by others", "can be read by others", Request{User: "u", Home: home}},
		{"nowhere", "no password for u", Request{User: "u"}},
		{"environment with a line end", "FTPFS_PASSWORD", Request{User: "u", Environment: "geheim\r\nDELE x"}},
		{"prompt fails", "reading the password", Request{User: "u", Prompt: func(string) (string, error) { return "", errors.New("EOF") }}},
	} {
		c.r.Host = "h"
		l, err := Find(c.r)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", c.name, l, err, c.want)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the error shows the password: %v", c.name, err)
		}
	}
}

func TestNetrcOfOthersMayBeOpen(t *testing.T) {
	home := t.TempDir()
	write(t, home, ".netrc", "machine elsewhere login u password x", 0o644)
	if l, err := Find(Request{Host: "h", Home: home}); err != nil || l.User != Anonymous {
		t.Errorf("an entry for another host was in the way: %v, %v", l, err)
	}
}

func TestParseNetrc(t *testing.T) {
	const text = `# comment machine no login no password no
machine a login ua password pa account x
machine b
	login "u \"b" password "p b"
macdef init
machine no
login no

machine c login uc
machine c login ud password pd # trailing words
default login anonymous password me@here
`
	for _, c := range []struct{ host, user, wantUser, wantPass string }{
		{"a", "", "ua", "pa"}, {"A", "ua", "ua", "pa"}, {"b", "", `u "b`, "p b"},
		{"c", "", "ud", "pd"}, {"c", "ud", "ud", "pd"}, {"c", "anonymous", "anonymous", "me@here"},
		{"z", "", "anonymous", "me@here"}, {"no", "", "anonymous", "me@here"},
		{"a", "other", "", ""},
	} {
		e, ok := choose(parseNetrc(text), c.host, c.user)
		if ok != (c.wantUser != "") || e.login != c.wantUser || e.password != c.wantPass {
			t.Errorf("%s for %q: got %q %q %v, want %q %q", c.host, c.user, e.login, e.password, ok, c.wantUser, c.wantPass)
		}
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add("machine a login \"b\\\"c\" password d\nmacdef x\n\ndefault")
	f.Fuzz(func(t *testing.T, s string) { choose(parseNetrc(s), "a", "") })
}

func FuzzParseFile(f *testing.F) {
	f.Add("username=u\r\npassword==x\n#c")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := parse(s); err == nil && strings.ContainsAny(got.user+got.password, "\r\n\x00") {
			t.Fatalf("%q let a control character through: %+v", s, got)
		}
	})
}

// credentials=FIFO waits for a writer, but not for ever.
func TestAPipeThatNobodyWritesTo(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := openFile(pipe, time.Millisecond); err == nil || !strings.Contains(err.Error(), "nobody writes") {
		t.Errorf("got %v, %v; want that nobody writes to it", f, err)
	}

	// A writer that keeps it open: the end never comes.
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("username=u\n"); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(pipe, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v; want a deadline", b, err)
	}
	f.Close()
	w.Close()

	// One that comes late.
	written := make(chan error)
	go func() {
		written <- os.WriteFile(pipe, []byte("username=late\npassword=p\n"), 0) // opening waits for the reader
	}()
	got, err := readFile(pipe, true)
	if err != nil || got.user != "late" || got.password != "p" {
		t.Errorf("from a writer that came late: %+v, %v", got, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
