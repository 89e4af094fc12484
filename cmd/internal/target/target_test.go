package target

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in              string
		host            string
		port            int
		user, pass, dir string
		canonical       string
	}{
		{"ftp://host", "host", 21, "", "", "", "ftp://host"},
		{"ftp://host/", "host", 21, "", "", "", "ftp://host"},
		{"FTP://Host.Example./pub", "host.example", 21, "", "", "pub", "ftp://host.example/pub"},
		{"ftp://host//pub/", "host", 21, "", "", "/pub", "ftp://host//pub"},
		{"ftp://host/%2Fpub", "host", 21, "", "", "/pub", "ftp://host//pub"},
		{"ftp://host/%2f", "host", 21, "", "", "/", "ftp://host//"},
		{"ftp://host//", "host", 21, "", "", "/", "ftp://host//"},
		{"ftp://u@host:2121/a/b", "host", 2121, "u", "", "a/b", "ftp://u@host:2121/a/b"},
		{"ftp://u:p@host/a//b/./c", "host", 21, "u", "p", "a/b/c", "ftp://u@host/a/b/c"},
		{"ftp://u%40dom.com:p%3Aq%2F@host", "host", 21, "u@dom.com", "p:q/", "", "ftp://u%40dom.com@host"},
		{"ftp://u@dom.com:p@q@host", "host", 21, "u@dom.com", "p@q", "", "ftp://u%40dom.com@host"},
		{"ftp://u:@host", "host", 21, "u", "", "", "ftp://u@host"},
		{"ftp://host/a%20b#c?d%25", "host", 21, "", "", "a b#c?d%", "ftp://host/a%20b%23c%3Fd%25"},
		{"ftp://host/x;type=i", "host", 21, "", "", "x", "ftp://host/x"},
		{"ftp://host:/x", "host", 21, "", "", "x", "ftp://host/x"},
		{"ftp://[::1]:2121/x", "::1", 2121, "", "", "x", "ftp://[::1]:2121/x"},
		{"ftp://[FE80::1%25eth0]/x", "fe80::1%eth0", 21, "", "", "x", "ftp://[fe80::1%25eth0]/x"},
		{"[2001:db8::1]:2121", "2001:db8::1", 2121, "", "", "", "ftp://[2001:db8::1]:2121"},
		{"host", "host", 21, "", "", "", "ftp://host"},
		{"status", "status", 21, "", "", "", "ftp://status"},
		{"host/a/b", "host", 21, "", "", "a/b", "ftp://host/a/b"},
		{"host:2121", "host", 2121, "", "", "", "ftp://host:2121"},
		{"host:2121/a%20b", "host", 2121, "", "", "a b", "ftp://host:2121/a%20b"},
		{"u:p@host/a", "host", 21, "u", "p", "a", "ftp://u@host/a"},
		{"u@host:dir/a%20b", "host", 21, "u", "", "dir/a%20b", "ftp://u@host/dir/a%2520b"},
		{"u@host:/srv/x", "host", 21, "u", "", "/srv/x", "ftp://u@host//srv/x"},
		{"u@host:", "host", 21, "u", "", "", "ftp://u@host"},
		{"host:dir", "host", 21, "", "", "dir", "ftp://host/dir"},
		{"u@[::1]:dir", "::1", 21, "u", "", "dir", "ftp://u@[::1]/dir"},
		{"ftpfs#ftp://u@host/x", "host", 21, "u", "", "x", "ftp://u@host/x"},
		{"ftpfs#host/x", "host", 21, "", "", "x", "ftp://host/x"},
		{"ftpes://u@host/x", "host", 21, "u", "", "x", "ftpes://u@host/x"},
		{"FTPS://host:990/x", "host", 990, "", "", "x", "ftps://host/x"},
		{"ftps://host:21/x", "host", 21, "", "", "x", "ftps://host:21/x"},
		{"ftpfs#ftps://u:p@host//x", "host", 990, "u", "p", "/x", "ftps://u@host//x"},
		{"ftp://host:990", "host", 990, "", "", "", "ftp://host:990"},
		{"ftp://host/\xe4\xf6", "host", 21, "", "", "\xe4\xf6", "ftp://host/\xe4\xf6"},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		pass, _ := got.Password()
		if got.Host != c.host || got.Port != c.port || got.User != c.user || pass != c.pass || got.Dir != c.dir {
			t.Errorf("Parse(%q) = host %q port %d user %q password %q dir %q, want %q %d %q %q %q",
				c.in, got.Host, got.Port, got.User, pass, got.Dir, c.host, c.port, c.user, c.pass, c.dir)
		}
		if got.String() != c.canonical {
			t.Errorf("Parse(%q).String() = %q, want %q", c.in, got.String(), c.canonical)
		}
		again, err := Parse(got.String())
		if err != nil || again.String() != got.String() || again.Dir != got.Dir || again.User != got.User {
			t.Errorf("canonical %q of %q reads back as %+v, %v", got.String(), c.in, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "the URL is empty"},
		{"ftp://", "no host"},
		{"ftp:///path", "no host"},
		{"http://host", "unknown scheme"},
		{"ftp://host:0", "bad port"},
		{"ftp://host:65536", "bad port"},
		{"ftp://host:x1", "bad port"},
		{"ftp://host/a/../b", ".."},
		{"u@host:../b", ".."},
		{"ftp://host/a%0Ab", "line ends"},
		{"ftp://host/a%00b", "line ends"},
		{"host:a\nb", "line ends"},
		{"ftp://u%0d@host", "line ends"},
		{"ftp://u:secret%0d@host", "password"},
		{"ftp://u:secret%zz@host", "password"},
		{"ftp://::1/x", "brackets"},
		{"::1", "brackets"},
		{"ftp://[::1", "]"},
		{"ftp://[::1]x", "after the address"},
		{"ftp://[1.2.3.4]", "not an IPv6"},
		{"ftp://a b/", "host name"},
		{"ftp://:secret@host", "without a user"},
		{"u:secret@host:dir", "password cannot stand"},
		{"/dev/sda1", "no host"},
	} {
		got, err := Parse(c.in)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error with %q", c.in, got, c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q): %q does not say %q", c.in, err, c.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("Parse(%q): the error shows the password: %q", c.in, err)
		}
	}
}

// What URL and option say of TLS goes together, or is refused: nobody who wrote ftps://
// is talked out of it.
func TestAskTLS(t *testing.T) {
	for _, c := range []struct {
		in   string
		how  TLS
		want string // the canonical URL; "" is a refusal
		addr string
	}{
		{"ftp://h", Unsaid, "ftp://h", "h:21"},
		{"ftp://h", Explicit, "ftpes://h", "h:21"},
		{"ftp://h", Implicit, "ftps://h", "h:990"},
		{"ftp://h:2121", Implicit, "ftps://h:2121", "h:2121"},
		{"ftp://h:21", Implicit, "ftps://h:21", "h:21"},
		{"ftp://h", Try, "ftp://h", "h:21"},
		{"h/x", Explicit, "ftpes://h/x", "h:21"},
		{"ftpes://h", Explicit, "ftpes://h", "h:21"},
		{"ftps://h", Implicit, "ftps://h", "h:990"},
		{"ftps://h", Unsaid, "ftps://h", "h:990"},
		{"ftps://h", Off, "", ""},
		{"ftps://h", Explicit, "", ""},
		{"ftpes://h", Off, "", ""},
		{"ftpes://h", Try, "", ""},
		{"ftpes://h", Implicit, "", ""},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		err = got.Ask(c.how)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s with tls=%s became %s", c.in, c.how, got)
			}
			continue
		}
		if err != nil || got.String() != c.want || got.Addr() != c.addr {
			t.Errorf("%s with tls=%s: %s at %s, %v; want %s at %s", c.in, c.how, got, got.Addr(), err, c.want, c.addr)
		}
	}
}

func TestRedact(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"ftp://u:pw@host/x", "ftp://u:***@host/x"},
		{"ftp://u:p,w@host/x", "ftp://u:***@host/x"},
		{"ftp://u:p/w@host/x", "ftp://u:***@host/x"},
		{"u:pw@host", "u:***@host"},
		{"ftpfs#ftp://u:pw@host", "ftpfs#ftp://u:***@host"},
		{"ftp://u@host:21/x", "ftp://u@host:21/x"},
		{"ro,password=a\\,b,uid=3", "ro,password=***,uid=3"},
		{"user=me:pw,ro", "user=me:***,ro"},
		{"-opassword=pw", "-opassword=***"},
		{"-ouser=me:pw,ro", "-ouser=me:***,ro"},
		{"pass=x", "pass=***"},
		{"user=me,ro", "user=me,ro"},
		{".u:pw@host", ".u:***@host"},
		{"u:pw@host/x://y", "u:***@host/x://y"},
		{"password=a:b@c://x,ro", "password=***,ro"},
		{"../a:b@c", "../a:b@c"},
		{"/mnt/a:b@c", "/mnt/a:b@c"},
		{"ro,cache_dir=/x", "ro,cache_dir=/x"},
		{"proxy=socks5://me:pw@h:9,ro", "proxy=socks5://me:***@h:9,ro"},
		{"ro,proxy=me:p\\,w@h", "ro,proxy=me:***@h"},
		{"-oproxy=http://me:p/w@h:9", "-oproxy=http://me:***@h:9"},
		{"socks-proxy=me:pw@h,proxy_user=me:pw,proxy-user=me:pw", "socks-proxy=me:***@h,proxy_user=me:***,proxy-user=me:***"},
		{"proxy=socks5://h:9", "proxy=socks5://h:9"},
	} {
		if got := Redact(c.in); got != c.want {
			t.Errorf("Redact(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ftp://u:p@host:21//a%20b;type=i", "u@host:path", "ftpfs#[::1]:2/x", "host", "::", "a:b:c@d:e/f@g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(got.Host+got.User+got.Dir, "\r\n\x00") {
			t.Fatalf("Parse(%q) let a control character through: %+v", s, got)
		}
		if pass, has := got.Password(); has && len(pass) > 0 && len(Secret(s)) == 0 {
			t.Fatalf("Parse(%q) has a password that Secret does not find", s)
		}
		if pass, _ := got.Password(); len(pass) > 0 {
			if blank, err := Parse(Redact(s)); err == nil && blank.password != "" && strings.Trim(blank.password, "*") != "" {
				t.Fatalf("Parse(%q): of the password %q is left after Redact", s, blank.password)
			}
		}
		last := 0
		for _, span := range Secret(s) {
			if span[0] < last || span[1] <= span[0] || span[1] > len(s) {
				t.Fatalf("Secret(%q) = %v: spans out of order or out of bounds", s, Secret(s))
			}
			last = span[1]
		}
		again, err := Parse(got.String())
		if err != nil || again.Host != got.Host || again.Port != got.Port || again.User != got.User || again.Dir != got.Dir {
			t.Fatalf("Parse(%q) = %+v; its canonical form %q reads back as %+v, %v", s, got, got.String(), again, err)
		}
	})
}
