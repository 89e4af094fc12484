package ftpscript

import (
	"fmt"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// caller speaks with a server, line by line.
type caller struct {
	*textproto.Conn
	t *testing.T
}

func call(t *testing.T, s *Server) caller {
	t.Helper()
	c, err := textproto.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return caller{c, t}
}

// reply is the next one, its lines joined by "|".
func (c caller) reply() string {
	_, text, err := c.ReadResponse(0)
	if err != nil && !strings.Contains(err.Error(), text) {
		c.t.Fatal(err)
	}
	return strings.ReplaceAll(text, "\n", "|")
}

// say sends commands one by one, and returns the reply to the last, with its code.
func (c caller) say(commands ...string) (last string) {
	c.t.Helper()
	for _, cmd := range commands {
		if err := c.PrintfLine("%s", cmd); err != nil {
			c.t.Fatal(err)
		}
		code, text, err := c.ReadResponse(0)
		if e, ok := err.(*textproto.Error); ok {
			code, text = e.Code, e.Msg
		} else if err != nil {
			return err.Error()
		}
		last = fmt.Sprintf("%d %s", code, strings.ReplaceAll(text, "\n", "|"))
	}
	return last
}

func (c caller) login() caller {
	c.t.Helper()
	c.reply()
	if got := c.say("USER "+User, "PASS "+Password); !strings.HasPrefix(got, "230 ") {
		c.t.Fatalf("PASS: %s", got)
	}
	return c
}

func (c caller) want(want string, commands ...string) {
	c.t.Helper()
	if got := c.say(commands...); !strings.HasPrefix(got, want) {
		c.t.Errorf("%s: %s\nwant %s", strings.Join(commands, ", "), got, want)
	}
}

func TestIIS(t *testing.T) {
	s := Start(t, IIS())
	s.Tree.Put("/Dir/été", []byte("12345"))
	s.Tree.SetTime("/Dir/été", time.Date(2024, 1, 30, 7, 32, 10, 0, time.UTC))
	c := call(t, s).login()
	c.want("215 Windows_NT", "SYST")
	c.want("211 Extended features supported:| LANG EN*| UTF8|", "FEAT")
	c.want("500 ", "MLST /")
	c.want("500 ", "SITE CHMOD 644 /dir")
	c.want("550 The system cannot find the file", "SIZE /missing")
	c.want("550 ", "SIZE /dir/été")
	c.want("213 5", "SIZE /dir/\xe9t\xe9")
	c.want("200 ", "OPTS UTF8 ON")
	c.want("213 5", "SIZE /DIR/Été. ")
	c.want("213 5", `SIZE \dir\été`)
	c.want("213 20240130073210", "MDTM /dir/été")
	c.want("550 The system cannot find the file", "MDTM 20200101000000 /dir/été")
	c.want("550 The filename, directory name, or volume label syntax is incorrect", "SIZE /dir/a?b")
	c.want("550 The filename, directory name, or volume label syntax is incorrect", "MKD /nul.txt")
	c.want("257 ", "MKD /new")
	c.want("550 Cannot create a file when that file already exists", "MKD /NEW")
	s.Tree.Put("/other", nil)
	c.want("550 Cannot create a file when that file already exists", "RNFR /other", "RNTO /DIR/ÉTÉ")
	c.want("250 RNTO", "RNFR /dir/été", "RNTO /dir/ÉTÉ")
	if all := s.Tree.All(); len(all) != 4 || all[1].Path != "/Dir/ÉTÉ" {
		t.Errorf("the tree is %v", all)
	}
	c.want("257 \"/DIR\"", "CWD /DIR", "PWD")
	// What comes with another command in one segment is lost.
	mark := s.Mark()
	c.want("200 ", "NOOP\r\nSIZE /other\r\nTYPE I")
	c.want("200 ", "NOOP")
	if got := s.Since(mark); len(got) != 2 {
		t.Errorf("the server heard %v", got)
	}
	o := IIS()
	if got := o.line(File{Dir: true}); !strings.HasSuffix(got, "      <DIR>         ") {
		t.Errorf("a directory's line is %q", got)
	}
	at, _ := s.Tree.Stat("/dir/été")
	if got, want := o.line(at), "01-29-24  11:32PM                    5"; got != want {
		t.Errorf("a file's line is %q, want %q", got, want)
	}
}

func TestCaps(t *testing.T) {
	for _, c := range []struct {
		kind CapKind
		want string
	}{{CapGreeting, "421 "}, {CapPassword, "530 "}, {CapAtWork, "421 "}} {
		s := Start(t, Capped(c.kind, 2))
		first := call(t, s).login()
		call(t, s).login()
		third := call(t, s)
		if c.kind == CapGreeting {
			if code, _, _ := third.ReadResponse(421); code != 421 {
				t.Errorf("the third is greeted with %d", code)
			}
			continue
		}
		third.reply()
		commands := []string{"USER " + User, "PASS " + Password}
		if c.kind == CapAtWork {
			third.want("230 ", commands...)
			commands = []string{"PWD"}
		}
		third.want(c.want, commands...)
		first.want("257 ", "PWD")
	}
}

func TestIdleTimeout(t *testing.T) {
	s := Start(t, IdleTimeout(50*time.Millisecond))
	c := call(t, s)
	c.reply() // nothing is said then: a login might take longer on a busy machine
	if got := c.reply(); !strings.HasPrefix(got, "Idle") {
		t.Errorf("an idle session hears %q", got)
	}
	if got := s.Since(0).Verbs("IDLE"); len(got) != 1 {
		t.Errorf("recorded: %v", got)
	}
}

func TestEndIdle(t *testing.T) {
	s := Start(t, Options{})
	c := call(t, s).login()
	s.EndIdle()
	if got := c.reply(); !strings.HasPrefix(got, "Idle") {
		t.Errorf("an idle session hears %q", got)
	}
}

func TestIdleBeside(t *testing.T) {
	s := Start(t, Options{IdleBeside: 3})
	idle, busy := call(t, s).login(), call(t, s).login()
	idle.want("200 ", "NOOP")
	busy.want("200 ", "NOOP", "NOOP", "NOOP")
	idle.want("200 ", "NOOP")
	busy.want("200 ", "NOOP", "NOOP", "NOOP", "NOOP")
	if got := idle.reply(); !strings.HasPrefix(got, "Idle") {
		t.Errorf("an idle session hears %q", got)
	}
	busy.want("200 ", "NOOP")
}

func TestOdd(t *testing.T) {
	for _, p := range Odd() {
		t.Run(p.Name, func(t *testing.T) {
			p.Options.Idle *= 1000 // else a busy machine would idle for too long itself
			s := Start(t, p.Options)
			c := login(t, s)
			if _, err := c.CurrentDir(); err != nil {
				t.Errorf("PWD: %v", err)
			}
		})
	}
	c := call(t, Start(t, NoRestart(501))).login()
	c.want("501 ", "REST 0")
	c.want("211 Features:| MLST", "FEAT")
	if got := c.say("FEAT"); strings.Contains(got, "REST") {
		t.Errorf("FEAT names REST: %s", got)
	}
	c = call(t, Start(t, WrongAddress())).login()
	c.want("502 ", "EPSV")
	c.want("227 Entering passive mode (192,168,203,77,", "PASV")
	s := Start(t, DOSCodePage())
	s.Tree.Put("/\x81ber", nil)
	c = call(t, s).login()
	c.want("502 ", "OPTS UTF8 ON")
	c.want("213 0", "SIZE /\x81ber")
	o := InZone(5*60 + 30)
	if got := o.line(File{MTime: time.Date(2024, 1, 31, 20, 0, 0, 0, time.UTC)}); !strings.HasSuffix(got, "Feb  1  2024") {
		t.Errorf("a line of the zone is %q", got)
	}
}
