package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ftpfs/ftpconn/wire"
)

func TestRefusedBeforeSent(t *testing.T) {
	srv := serve(t, "220 hi\r\n", ordinary("", nil))
	c := srv.dial(t, nil)
	for _, cmd := range []string{"DELE a\r\nDELE b", "DELE a\nb", "DELE a\x00b", "DELE " + strings.Repeat("x", 9000)} {
		_, err := c.Cmd(cmd)
		fault(t, "command", err, wire.Unsent)
		_, err = c.Batch("NOOP", cmd)
		fault(t, "batch", err, wire.Unsent)
		_, err = c.Transfer(wire.Transfer{Verb: "RETR /f", Ahead: []string{cmd}})
		fault(t, "transfer", err, wire.Unsent)
	}
	if got := srv.heard(); len(got) > 0 {
		t.Errorf("sent %q", got)
	}
	if r, err := c.Cmd("NOOP"); err != nil || !r.OK() {
		t.Errorf("afterwards: %v %v", r, err)
	}
}

func TestGreetings(t *testing.T) {
	for greeting, want := range map[string]wire.Fault{
		"421 too many users\r\n":  wire.Closing,
		"530 go away\r\n":         wire.Closing,
		"SSH-2.0-OpenSSH_9.2\r\n": wire.Garbage,
		strings.Repeat("x", 1e5):  wire.Garbage,
		"220-a\r\n" + strings.Repeat("blah blah blah blah blah blah blah blah blah\r\n", 1e4): wire.Garbage,
	} {
		srv := serve(t, greeting, ordinary("", nil))
		_, err := wire.Dial(context.Background(), srv.config())
		fault(t, fmt.Sprintf("%.30q", greeting), err, want)
	}
	srv := serve(t, "120 wait\r\n220-now\r\n 220 not the end\r\n220 end\r\n", ordinary("", nil))
	if c := srv.dial(t, nil); len(c.Greeting().Lines) != 3 {
		t.Errorf("greeting %q", c.Greeting().Lines)
	}
}

// Whatever comes unasked is found before the next command is sent.
func TestUnaskedReply(t *testing.T) {
	for unasked, want := range map[string]wire.Fault{
		"421 idle\r\n": wire.Closing,
		"226 late\r\n": wire.Garbage,
		"what?\r\n":    wire.Garbage,
		"":             wire.Lost,
	} {
		told := make(chan bool)
		srv := serve(t, "220 hi\r\n", func(c *session, verb, _ string) {
			c.reply("200 ok")
			if verb == "FIRST" {
				io.WriteString(c.Conn, unasked)
				if unasked == "" {
					c.Close()
				}
				close(told)
			}
		})
		c := srv.dial(t, nil)
		if _, err := c.Cmd("FIRST"); err != nil {
			t.Fatal(err)
		}
		<-told
		for deadline := time.Now().Add(5 * time.Second); c.Alive() && time.Now().Before(deadline); {
			runtime.Gosched() // loopback has its own pace
		}
		_, err := c.Cmd("SECOND")
		if e := wire.FaultOf(err); e == nil || e.Sent {
			t.Errorf("%q: got %v", unasked, err)
		}
		if e := wire.FaultOf(c.Dead()); e == nil || e.Fault != want {
			t.Errorf("%q: condemned for %v, want %v", unasked, c.Dead(), want)
		}
		if got := srv.heard(); !slices.Equal(got, []string{"FIRST"}) {
			t.Errorf("%q: sent %q", unasked, got)
		}
	}
}

// A thousand commands in a batch neither deadlock nor lose a reply.
func TestBatchWindows(t *testing.T) {
	long := strings.Repeat("y", 200)
	srv := serve(t, "220 hi\r\n", func(c *session, _, arg string) { c.reply("213 " + arg + long) })
	c := srv.dial(t, nil)
	var cmds []string
	for i := range 5000 {
		cmds = append(cmds, fmt.Sprintf("MDTM %d%s", i, long))
	}
	rs, err := c.Batch(cmds...)
	if err != nil || len(rs) != len(cmds) {
		t.Fatalf("%d replies, %v", len(rs), err)
	}
	for i, r := range rs {
		if r.Text() != fmt.Sprintf("%d%s%s", i, long, long) {
			t.Fatalf("reply %d is %q", i, r.Text())
		}
	}
}

func TestPASV(t *testing.T) {
	plain := ordinary("content", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb == "EPSV" {
			c.reply("500 what?")
			return
		}
		plain(c, verb, arg)
	})
	c := srv.dial(t, nil)
	for range 2 { // 10.1.2.3 in the answer is nobody
		if got := download(t, c, "RETR /f"); got != "content" {
			t.Errorf("got %q", got)
		}
	}
	if got := srv.heard(); !slices.Equal(got, []string{"EPSV", "PASV", "RETR /f", "PASV", "RETR /f"}) {
		t.Errorf("sent %q", got)
	}
}

func download(t *testing.T, c *wire.Conn, verb string) string {
	t.Helper()
	out, err := c.Transfer(wire.Transfer{Verb: verb})
	if err != nil || out.Data == nil {
		t.Fatalf("%s: %v %v", verb, out.Refusal, err)
	}
	b, err := io.ReadAll(out.Data)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := out.Data.Finish(); err != nil || !r.OK() {
		t.Fatal(r, err)
	}
	return string(b)
}

// In active mode only the server may connect.
func TestActiveStrangerTurnedAway(t *testing.T) {
	plain := ordinary("", nil)
	var to string
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		switch verb {
		case "EPRT":
			c.reply("500 what?")
		case "PORT":
			var h [4]int
			var hi, lo int
			fmt.Sscanf(arg, "%d,%d,%d,%d,%d,%d", &h[0], &h[1], &h[2], &h[3], &hi, &lo)
			to = fmt.Sprintf("127.0.0.1:%d", hi<<8|lo)
			c.reply("200 ok")
		case "RETR":
			c.reply("150 coming")
			for _, from := range []string{"127.0.0.2", "127.0.0.1"} {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
				nc, err := d.Dial("tcp", to)
				if from != "127.0.0.1" && errors.Is(err, syscall.ECONNRESET) {
					continue // turned away before Dial has returned
				}
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(nc, "from "+from)
				if from == "127.0.0.1" {
					nc.Close()
				}
			}
			c.reply("226 done")
		default:
			plain(c, verb, arg)
		}
	})
	c := srv.dial(t, func(c *wire.Config) { c.Active = true })
	if got := download(t, c, "RETR /f"); got != "from 127.0.0.1" {
		t.Errorf("got %q", got)
	}
}

func TestTraceHidesPassword(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	srv := serve(t, "220 hi\r\n", ordinary("", nil))
	c := srv.dial(t, func(c *wire.Config) {
		c.ID = 7
		c.Trace = func(id int, line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, fmt.Sprint(id, " ", line))
		}
	})
	library(t, c)
	for _, cmd := range []string{"ACCT secret", "acct secret 2", "Pass my secret"} {
		c.Cmd(cmd) // whatever the answer
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(lines, "\n")
	if strings.Contains(all, "secret") || !strings.Contains(all, "7 > ACCT ****") || !strings.Contains(all, "7 > PASS ****") || !strings.Contains(all, "7 < 230 in") {
		t.Errorf("trace:\n%s", all)
	}
}

// A prepared data connection serves the next transfer; one that does not work
// at its first use is given up and reported as a surprise.
func TestPrepared(t *testing.T) {
	for _, stands := range []bool{true, false} {
		plain := ordinary("content", nil)
		epsv := 0
		srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
			if verb == "EPSV" {
				epsv++
			}
			if verb == "RETR" && epsv == 2 && !stands {
				c.data.Close()
				c.reply("425 your data connection is gone")
				return
			}
			plain(c, verb, arg)
		})
		traits := new(wire.Traits)
		c := srv.dial(t, func(c *wire.Config) { c.Traits = traits })
		download(t, c, "RETR /f")
		if err := c.Prepare(); err != nil {
			t.Fatal(err)
		}
		srv.heard()
		if stands {
			if got := download(t, c, "RETR /f"); got != "content" {
				t.Errorf("got %q", got)
			}
			if got := srv.heard(); !slices.Equal(got, []string{"RETR /f"}) || traits.Known().Prepared != wire.Proven {
				t.Errorf("sent %q, known %+v", got, traits.Known())
			}
			continue
		}
		_, err := c.Transfer(wire.Transfer{Verb: "RETR /f"})
		fault(t, "prepared connection refused", err, wire.Surprise)
		if traits.Known().Prepared != wire.Off || c.Dead() == nil {
			t.Errorf("known %+v, dead %v", traits.Known(), c.Dead())
		}
	}
}

// Whoever dialed in vain knows why, also when the time of all was over at the same moment.
func TestDialedInVain(t *testing.T) {
	for _, cause := range []error{os.ErrDeadlineExceeded, context.DeadlineExceeded} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := wire.Dial(ctx, wire.Config{Host: "host", Port: 21, Timeout: 10 * time.Millisecond, Traits: new(wire.Traits),
			Dial: func(context.Context, string, string) (net.Conn, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("the proxy says nothing: %w", cause)
			}})
		if e := fault(t, "dial", err, wire.Stopped); !strings.Contains(e.Error(), "the proxy says nothing") {
			t.Errorf("got %v", e)
		}
	}
}

// An upload is never begun at an offset by REST: one server cuts the file there.
func TestNoRestForUploads(t *testing.T) {
	srv := serve(t, "220 hi\r\n", ordinary("", nil))
	_, err := srv.dial(t, nil).Transfer(wire.Transfer{Verb: "STOR /f", Upload: true, Offset: 5})
	fault(t, "upload with REST", err, wire.Unsent)
}

// The end of a transfer told twice, or late, never answers the next command.
func TestSecondFinalReply(t *testing.T) {
	plain := ordinary("content", nil)
	for _, again := range []string{"226 done again", "426 aborted", "225 nothing open"} {
		srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
			if verb == "DELE" { // arrives just before the answer to DELE
				c.reply(again)
				c.reply("550 no")
				return
			}
			plain(c, verb, arg)
		})
		c := srv.dial(t, nil)
		download(t, c, "RETR /f")
		r, err := c.Cmd("DELE /f")
		if err == nil {
			t.Errorf("%s: taken for the answer to DELE: %v", again, r)
		} else {
			fault(t, again, err, wire.Garbage)
		}
		if c.Dead() == nil {
			t.Errorf("%s: the connection is still used", again)
		}
	}
}

// A transfer announced twice ends with its 226, not with the second 150.
func TestAnnouncedTwice(t *testing.T) {
	plain := ordinary("", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb == "RETR" {
			c.reply("150 coming")
			c.send("content")
			c.reply("150 coming")
			c.reply("226 done")
			return
		}
		plain(c, verb, arg)
	})
	c := srv.dial(t, nil)
	for range 3 {
		if got := download(t, c, "RETR /f"); got != "content" {
			t.Errorf("got %q", got)
		}
		if r, err := c.Cmd("SIZE /f"); err != nil || r.Code != 200 {
			t.Errorf("SIZE is answered with %v, %v", r, err)
		}
	}
}

// A reply that drips line by line ends with the timeout all the same.
func TestDrippingReply(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	srv := serve(t, "220 hi\r\n", func(c *session, _, _ string) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 200 {
			select {
			case <-tick.C:
				c.reply("213-more")
			case <-stop:
				return
			}
		}
		c.reply("213 end")
	})
	c := srv.dial(t, nil)
	c.SetTimeout(stall)
	_, err := c.Cmd("STAT")
	fault(t, "a reply without end", err, wire.Stalled)
}

// A download that stalls on a server that still answers costs no more than
// itself: the data connection is reset and the control connection goes on.
func TestStalledData(t *testing.T) {
	plain := ordinary("content", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb != "RETR" || arg != "/stuck" {
			plain(c, verb, arg)
			return
		}
		c.reply("150 coming")
		nc, err := c.data.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(nc, "abc")
		nc.Read(make([]byte, 1)) // until the client gives up
		nc.Close()
		c.data.Close()
		c.reply("426 gone")
	})
	c := srv.dial(t, nil)
	out, err := c.Transfer(wire.Transfer{Verb: "RETR /stuck"})
	if err != nil || out.Data == nil {
		t.Fatal(out.Refusal, err)
	}
	b := make([]byte, 3)
	if _, err := io.ReadFull(out.Data, b); err != nil {
		t.Fatal(err)
	}
	c.SetTimeout(stall)
	more, err := io.ReadAll(out.Data)
	fault(t, "read", err, wire.Stalled)
	c.SetTimeout(patience)
	if r, err := out.Data.Finish(); string(b) != "abc" || len(more) > 0 || err == nil && r.OK() {
		t.Errorf("read %q and %q, then %v, %v", b, more, r, err)
	}
	if c.Dead() != nil {
		t.Fatalf("condemned: %v", c.Dead())
	}
	if got := download(t, c, "RETR /f"); got != "content" {
		t.Errorf("got %q", got)
	}
}

// A server that takes plain commands in one segment, but not a transfer before its
// data connection stands, is noticed at the first try.
func TestJointRetreat(t *testing.T) {
	for _, refusal := range []string{"425 no data connection", ""} {
		plain := ordinary("content", nil)
		var tries atomic.Int32
		srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
			if verb == "RETR" {
				if tries.Add(1) == 2 { // the first had its connection before
					if refusal != "" {
						c.reply(refusal)
					}
					return
				}
			}
			plain(c, verb, arg)
		})
		traits := new(wire.Traits)
		var c *wire.Conn
		dials := 0
		change := func(cfg *wire.Config) {
			cfg.Traits = traits
			dial := cfg.Dial
			cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				if dials++; dials == 3 && refusal == "" { // the data connection of the second transfer
					c.SetTimeout(stall)
				}
				return nc, err
			}
		}
		c = srv.dial(t, change)
		library(t, c) // proves segments
		download(t, c, "RETR /f")
		_, err := c.Transfer(wire.Transfer{Verb: "RETR /f"})
		fault(t, refusal, err, wire.Surprise)
		if k := traits.Known(); k.Joint != wire.Off || k.Segments != wire.Proven {
			t.Errorf("%q: known %+v", refusal, k)
		}
		c = srv.dial(t, change)
		if got := download(t, c, "RETR /f"); got != "content" {
			t.Errorf("%q: got %q", refusal, got)
		}
	}
}

// A server that claims UTF8 and refuses to turn it on is logged in to all the same.
func TestUTF8Refused(t *testing.T) {
	plain := ordinary("", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb == "OPTS" {
			c.reply("550 no")
			return
		}
		plain(c, verb, arg)
	})
	library(t, srv.dial(t, nil))
}

// A prepared connection that a server forgets now and then costs another try.
func TestPreparedForgotten(t *testing.T) {
	plain := ordinary("content", nil)
	var tries atomic.Int32
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb == "RETR" && tries.Add(1) == 3 {
			c.data.Close()
			c.reply("425 what connection?")
			return
		}
		plain(c, verb, arg)
	})
	traits := new(wire.Traits)
	c := srv.dial(t, func(c *wire.Config) { c.Traits = traits })
	download(t, c, "RETR /f")
	for want := range 2 {
		if err := c.Prepare(); err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			download(t, c, "RETR /f")
			continue
		}
		_, err := c.Transfer(wire.Transfer{Verb: "RETR /f"})
		fault(t, "forgotten", err, wire.Surprise)
	}
	if traits.Known().Prepared != wire.Proven {
		t.Error("given up for one failure")
	}
}
