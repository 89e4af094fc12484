package wire_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/ftpconn/wire"
)

// warm brings a connection to where the next port may be asked for behind a download: passive
// mode has worked, and several commands in one segment, EPSV before RETR too.
func warm(t *testing.T, c *wire.Conn) {
	t.Helper()
	if _, err := c.Batch("NOOP", "NOOP"); err != nil {
		t.Fatal(err)
	}
	download(t, c, "RETR /warm")
	download(t, c, "RETR /warm")
}

// short is a download of known length, to its end.
func short(c *wire.Conn, verb string) (string, wire.Reply, error) {
	out, err := c.Transfer(wire.Transfer{Verb: verb, Short: true})
	if err != nil || out.Data == nil {
		return "", out.Refusal, err
	}
	b, err := io.ReadAll(out.Data)
	r, ferr := out.Data.Finish()
	if err == nil {
		err = ferr
	}
	return string(b), r, err
}

// The port of the next download is asked for in the segment of this one, and its answer may
// come after its end or before, or be no port at all. Where the server does not stand the question
// it costs the connection, and the trick is given up.
func TestTheNextPortIsAskedForBehindADownload(t *testing.T) {
	type server struct {
		plain func(c *session, verb, arg string)
		stage string // "": as usual; "open": a download has begun
		c     *session
	}
	for _, tt := range []struct {
		name   string
		retr   func(s *server, c *session) (done bool) // RETR of /f; not done: as usual
		epsv   func(s *server, c *session) (done bool) // the EPSV behind it
		want   string
		code   int // of the end
		fault  wire.Fault
		fails  bool
		behind wire.Trait
		dead   bool
		stalls string   // after this line of the dialogue
		next   []string // what the next one sends
	}{
		{name: "works", want: "content", code: 226, behind: wire.Proven, next: []string{"RETR /f", "EPSV"}},
		{name: "the port first", want: "content", code: 226, behind: wire.Proven, next: []string{"RETR /f", "EPSV"},
			retr: func(s *server, c *session) bool {
				c.reply("150 coming")
				c.send("content")
				return true
			},
			epsv: func(s *server, c *session) bool {
				c.reply(fmt.Sprintf("229 here (|||%d|)", c.listen()), "226 done")
				return true
			}},
		{name: "refused meanwhile", want: "content", code: 226, behind: wire.Off, next: []string{"EPSV", "RETR /f"},
			retr: func(s *server, c *session) bool {
				c.reply("150 coming")
				c.send("content")
				return true
			},
			epsv: func(s *server, c *session) bool {
				c.reply("450 EPSV: data transfer in progress", "226 done")
				return true
			}},
		{name: "refused afterwards", want: "content", code: 226, behind: wire.Off, next: []string{"EPSV", "RETR /f"},
			epsv: func(s *server, c *session) bool { c.reply("500 what?"); return true }},
		{name: "never answered", want: "content", code: 226, behind: wire.Off, dead: true, stalls: "< 226",
			epsv: func(s *server, c *session) bool { return true }},
		{name: "hung up", want: "content", code: 226, behind: wire.Off, dead: true,
			epsv: func(s *server, c *session) bool { c.Close(); return true }},
		{name: "no such file", code: 550, behind: wire.Untried, next: []string{"RETR /f", "EPSV"},
			retr: func(s *server, c *session) bool { c.reply("550 no"); return true }},
		{name: "the download ended for it", fails: true, fault: wire.Surprise, behind: wire.Off, dead: true,
			retr: func(s *server, c *session) bool {
				c.reply("150 coming")
				c.send("con")
				c.reply("426 ended")
				return true
			}},
		{name: "the connection ended for it", fails: true, fault: wire.Surprise, behind: wire.Off, dead: true,
			retr: func(s *server, c *session) bool {
				c.reply("150 coming")
				nc, err := c.data.Accept()
				if err == nil {
					io.WriteString(nc, "con")
					nc.(*net.TCPConn).SetLinger(0)
					nc.Close()
				}
				c.Close()
				return true
			}},
		{name: "two good ends", behind: wire.Off, dead: true, fault: wire.Surprise, fails: true,
			retr: func(s *server, c *session) bool {
				c.reply("150 coming")
				c.send("content")
				c.reply("226 done", "226 done again")
				return true
			}},
		{name: "a good end and a bad one", fault: wire.Surprise, fails: true, behind: wire.Off, dead: true,
			retr: func(s *server, c *session) bool {
				c.reply("150 coming")
				c.send("content")
				c.reply("226 done", "426 cut")
				return true
			}},
		{name: "two ends", fails: true, fault: wire.Surprise, behind: wire.Off, dead: true,
			retr: func(s *server, c *session) bool {
				c.reply("550 no", "226 done")
				return true
			},
			epsv: func(s *server, c *session) bool { return true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{plain: ordinary("content", nil)}
			first := true
			srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
				if first && arg == "/f" {
					s.stage = "open"
					if tt.retr != nil && tt.retr(s, c) {
						return
					}
				}
				if s.stage == "open" && verb == "EPSV" {
					s.stage, first = "", false
					if tt.epsv != nil && tt.epsv(s, c) {
						return
					}
				}
				s.plain(c, verb, arg)
			})
			traits := new(wire.Traits)
			var stalling *wire.Conn
			c := srv.dial(t, func(c *wire.Config) { c.Traits, c.Trace = traits, stallsAfter(&stalling, tt.stalls) })
			warm(t, c)
			if err := c.Prepare(); err != nil {
				t.Fatal(err)
			}
			download(t, c, "RETR /warm") // a prepared connection has worked
			srv.heard()
			stalling = c
			got, r, err := short(c, "RETR /f")
			if sent := srv.heard(); len(sent) > 3 || !slices.Contains(sent, "RETR /f") || !tt.fails && sent[len(sent)-1] != "EPSV" {
				t.Errorf("sent %q", sent)
			}
			if tt.fails {
				fault(t, "the download", err, tt.fault)
			} else if err != nil || got != tt.want || r.Code != tt.code {
				t.Fatalf("got %q, %v, %v", got, r, err)
			}
			if now := traits.Known().Behind; now != tt.behind {
				t.Errorf("known then: %v, not %v", now, tt.behind)
			}
			if dead := c.Dead() != nil; dead != tt.dead {
				t.Errorf("dead: %v", c.Dead())
			}
			if tt.dead {
				return
			}
			if got, _, err := short(c, "RETR /f"); err != nil || got != "content" {
				t.Errorf("the next: %q, %v", got, err)
			}
			if sent := srv.heard(); !slices.Equal(sent, tt.next) {
				t.Errorf("the next sent %q, not %q", sent, tt.next)
			}
			if r, err := c.Cmd("NOOP"); err != nil || r.Code != 200 {
				t.Errorf("then: %v, %v", r, err)
			}
		})
	}
}

// A server that is known not to stand it is not asked, nor one whose segment would be long.
func TestTheNextPortIsNotAskedForBehind(t *testing.T) {
	for _, tt := range []struct {
		greeting, file string
		change         func(*wire.Traits)
	}{
		{"220 pyftpdlib 1.5.7 ready.\r\n", "/f", nil},
		{"220 hi\r\n", "/" + strings.Repeat("f", 500), nil},
		{"220 hi\r\n", "/f", func(tr *wire.Traits) { tr.Recall(wire.Known{Behind: wire.Off}) }},
		{"220 hi\r\n", "/f", func(tr *wire.Traits) { tr.Prepared(wire.Off) }},
		{"220 hi\r\n", "/f", func(tr *wire.Traits) { tr.Segments(wire.Off) }},
	} {
		srv := serve(t, tt.greeting, ordinary("content", nil))
		traits := new(wire.Traits)
		if tt.change != nil {
			tt.change(traits)
		}
		c := srv.dial(t, func(c *wire.Config) { c.Traits = traits })
		warm(t, c)
		srv.heard()
		if got, _, err := short(c, "RETR "+tt.file); err != nil || got != "content" {
			t.Errorf("%.20q: %q, %v", tt.file, got, err)
		}
		if sent := srv.heard(); sent[len(sent)-1] == "EPSV" {
			t.Errorf("%q: sent %q", tt.greeting, sent)
		}
	}
}

// A download that is given up with a question behind it leaves no reply to anybody else.
func TestGivenUpWithAQuestionBehind(t *testing.T) {
	srv := serve(t, "220 hi\r\n", ordinary(strings.Repeat("content", 1000), nil))
	c := srv.dial(t, nil)
	warm(t, c)
	for range 2 {
		out, err := c.Transfer(wire.Transfer{Verb: "RETR /f", Short: true})
		if err != nil || out.Data == nil {
			t.Fatal(out, err)
		}
		io.ReadFull(out.Data, make([]byte, 10))
		if err := out.Data.Abort(); err != nil {
			t.Fatal(err)
		}
		if r, err := c.Cmd("NOOP"); err != nil || r.Code != 200 {
			t.Fatalf("%v, %v", r, err)
		}
	}
	// A version that is not the expected one ends it too.
	changed := fmt.Errorf("another version")
	_, err := c.Transfer(wire.Transfer{Verb: "RETR /f", Short: true, Ahead: []string{"MLST /f"},
		Check: func([]wire.Reply) error { return changed }})
	if err != changed {
		t.Errorf("%v", err)
	}
	if r, err := c.Cmd("NOOP"); err != nil || r.Code != 200 {
		t.Errorf("then NOOP: %v, %v", r, err)
	}
}

// The server sees the end of our side of a short download's connection before it sends, if that is
// wanted: ProFTPD waits for it before it says 226.
func TestHalfClose(t *testing.T) {
	ended := make(chan bool, 1)
	var patience atomic.Int64 // how long the server waits for our end
	plain := ordinary("content", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb == "RETR" && arg == "/f" {
			nc, err := c.data.Accept()
			c.data.Close()
			if err == nil {
				nc.SetReadDeadline(time.Now().Add(time.Duration(patience.Load())))
				_, err = nc.Read(make([]byte, 1))
				ended <- err == io.EOF
				c.reply("150 coming")
				io.WriteString(nc, "content")
				nc.Close()
			}
			c.reply("226 done")
			return
		}
		plain(c, verb, arg)
	})
	for _, tt := range []wire.Transfer{{}, {Short: true}, {HalfClose: true}, {Short: true, HalfClose: true}} {
		for _, how := range []string{"", "prepared", "through a proxy", "blamed"} {
			traits := new(wire.Traits)
			c := srv.dial(t, func(c *wire.Config) { c.Traits, c.Proxied = traits, how == "through a proxy" })
			warm(t, c)
			if how == "prepared" {
				if err := c.Prepare(); err != nil {
					t.Fatal(err)
				}
			}
			tt.Verb = "RETR /f"
			if how == "blamed" { // for a download that came out short
				traits.Recall(wire.Known{HalfClosed: wire.Off})
			}
			want := tt.Short && tt.HalfClose && (how == "" || how == "prepared")
			patience.Store(int64(200 * time.Millisecond))
			if want { // as long as a busy machine may need
				patience.Store(int64(4 * time.Second))
			}
			out, err := c.Transfer(tt)
			if err != nil || out.Data == nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(out.Data)
			if _, err2 := out.Data.Finish(); err != nil || err2 != nil || string(b) != "content" {
				t.Errorf("%q, %v, %v", b, err, err2)
			}
			if got := <-ended; got != want {
				t.Errorf("%+v, %s: closed on our side: %v", tt, how, got)
			}
		}
	}
}

// The port that is told in a batch is connected to at once; what is no port is let go.
func TestComing(t *testing.T) {
	srv := serve(t, "220 hi\r\n", ordinary("content", nil))
	traits := new(wire.Traits)
	c := srv.dial(t, func(c *wire.Config) { c.Traits = traits })
	if cmd := c.NextPort(); cmd != "" {
		t.Errorf("%q before passive mode was seen to work", cmd)
	}
	warm(t, c)
	cmd := c.NextPort()
	rs, err := c.Batch("NOOP", cmd, "NOOP")
	if err != nil || cmd != "EPSV" {
		t.Fatal(cmd, err)
	}
	if c.Come(cmd, rs[0]) || !c.Come(cmd, rs[1]) || !c.Prepared() || c.NextPort() != "" {
		t.Errorf("%v: prepared %v", rs, c.Prepared())
	}
	srv.heard()
	if got := download(t, c, "RETR /f"); got != "content" {
		t.Errorf("got %q", got)
	}
	if sent := srv.heard(); !slices.Equal(sent, []string{"RETR /f"}) {
		t.Errorf("sent %q", sent)
	}
	// A port that nobody listens on costs a question, and nothing else.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	c.Come(cmd, wire.Reply{Code: 229, Lines: []string{fmt.Sprintf("here (|||%d|)", closed)}})
	if got := download(t, c, "RETR /f"); got != "content" || c.Dead() != nil {
		t.Errorf("got %q, dead %v", got, c.Dead())
	}
	c.Come(cmd, wire.Reply{Code: 502, Lines: []string{"no"}})
	if c.NextPort() != "" || traits.Known().Prepared != wire.Off {
		t.Error("asked again after it was refused")
	}
}

// Two replies that end one transfer are not taken for its end and the answer to the question: the answer
// would go to whoever sends a command next.
func TestTwoEndsAndAQuestionBehind(t *testing.T) {
	plain := ordinary("content", nil)
	cut := false
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		switch {
		case verb == "RETR" && arg == "/f":
			cut = true
			c.reply("150 coming")
			if nc, err := c.data.Accept(); err == nil {
				io.WriteString(nc, "con")
				io.Copy(io.Discard, nc)
				nc.Close()
			}
			c.reply("426 cut", "226 closed")
		case verb == "EPSV" && cut:
			time.Sleep(100 * time.Millisecond)
			plain(c, verb, arg)
		default:
			plain(c, verb, arg)
		}
	})
	c := srv.dial(t, nil)
	warm(t, c)
	out, err := c.Transfer(wire.Transfer{Verb: "RETR /f", Short: true})
	if err != nil || out.Data == nil {
		t.Fatal(err)
	}
	io.ReadFull(out.Data, make([]byte, 3))
	out.Data.Abort()
	if r, err := c.Cmd("DELE /x"); err == nil {
		t.Errorf("DELE is answered %v", r)
	}
}

// A port that answers a command which is no question for one is somebody else's answer.
func TestAPortNobodyAskedFor(t *testing.T) {
	for _, reply := range []string{"229 here (|||4711|)", "227 here (127,0,0,1,40,40)"} {
		srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) { c.reply(reply) })
		c := srv.dial(t, nil)
		_, err := c.Cmd("DELE /x")
		fault(t, reply, err, wire.Garbage)
	}
}

// What has worked is given up at the second failure in a row, not at the first.
func TestStrikes(t *testing.T) {
	traits := new(wire.Traits)
	srv := serve(t, "220 hi\r\n", ordinary("content", nil))
	c := srv.dial(t, func(c *wire.Config) { c.Traits = traits })
	warm(t, c)
	short(c, "RETR /f")
	short(c, "RETR /f") // with what it has prepared
	for _, want := range []wire.Trait{wire.Proven, wire.Proven, wire.Off} {
		if want == wire.Proven {
			if _, _, err := short(c, "RETR /f"); err != nil || !c.Tricks().Any() {
				t.Fatal(err)
			}
			traits.Clear(c.Tricks())
		}
		traits.Blame(c.Tricks())
		if now := traits.Known().Behind; now != want {
			t.Errorf("%v, not %v", now, want)
		}
	}
	if _, _, err := short(c, "RETR /f"); err != nil || c.Tricks().Any() {
		t.Error("asked again", err)
	}
}

// Who asks for a port by hand gives up the connection that was prepared: the server does not come to it any more.
func TestAnotherPortEndsThePreparedConnection(t *testing.T) {
	for _, cmd := range []string{"PASV", "EPSV", "EPRT |1|127.0.0.1|4711|", "PORT 127,0,0,1,40,40"} {
		srv := serve(t, "220 hi\r\n", ordinary("content", nil))
		c := srv.dial(t, nil)
		warm(t, c)
		if err := c.Prepare(); err != nil || !c.Prepared() {
			t.Fatal(err)
		}
		if _, err := c.Cmd(cmd); err != nil || c.Prepared() {
			t.Errorf("%s: prepared all the same; %v", cmd, err)
		}
		srv.heard()
		if got := download(t, c, "RETR /f"); got != "content" {
			t.Errorf("got %q", got)
		}
		if sent := srv.heard(); !slices.Equal(sent, []string{"EPSV", "RETR /f"}) {
			t.Errorf("after %s: sent %q", cmd, sent)
		}
	}
}
