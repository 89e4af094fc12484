package wire_test

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/ftpconn/wire"
)

// What a batch may make us hold is bounded, whatever the replies are made of.
func TestBatchIsBounded(t *testing.T) {
	for what, line := range map[string]string{"long lines": strings.Repeat("x", 10_000) + "\r\n", "empty lines": "\r\n"} {
		reply := "213-\r\n" + strings.Repeat(line, min(4000, 200_000/len(line))) + "213 end"
		srv := serve(t, "220 hi\r\n", func(c *session, _, _ string) { c.reply(reply) })
		c := srv.dial(t, nil)
		cmds := make([]string, 5000)
		for i := range cmds {
			cmds[i] = fmt.Sprintf("MDTM /%d", i)
		}
		rs, err := c.Batch(cmds...)
		if len(rs) > 1000 {
			t.Errorf("%s: %d replies were taken", what, len(rs))
		}
		fault(t, what, err, wire.Garbage)
	}
}

// One reply too many condemns a batch, or what follows it if it comes that late: nobody can
// say which answers what.
func TestBatchWithOneReplyTooMany(t *testing.T) {
	for _, at := range []string{"A", "B", "C"} {
		told := make(chan struct{})
		srv := serve(t, "220 hi\r\n", func(c *session, verb, _ string) {
			if verb == at {
				c.reply("550 no such file", "550 no such file")
			} else {
				c.reply("200 ok")
			}
			if verb == "C" {
				close(told)
			}
		})
		c := srv.dial(t, nil)
		if _, err := c.Cmd("FIRST"); err != nil {
			t.Fatal(err)
		}
		c.Batch("A", "B", "C")
		select {
		case <-told:
		case <-time.After(5 * time.Second):
			t.Fatal("the batch was not sent")
		}
		for deadline := time.Now().Add(5 * time.Second); c.Alive() && time.Now().Before(deadline); {
			runtime.Gosched() // loopback has its own pace
		}
		if _, err := c.Cmd("NEXT"); err == nil || slices.Contains(srv.heard(), "NEXT") {
			t.Errorf("two replies to %s: the connection is still used", at)
		}
	}
}

// Preliminary replies are not a final one, and do not go on for ever.
func TestPreliminaryReplies(t *testing.T) {
	srv := serve(t, "220 hi\r\n", func(c *session, verb, _ string) {
		if verb == "FEW" {
			c.reply("150 soon", "150 soon", "150 soon", "250 done")
			return
		}
		c.reply(strings.Repeat("150 soon\r\n", 1000) + "250 done")
	})
	c := srv.dial(t, nil)
	if r, err := c.Cmd("FEW"); err != nil || r.Code != 250 {
		t.Errorf("a few: %v, %v", r, err)
	}
	_, err := c.Cmd("MANY")
	fault(t, "a thousand", err, wire.Garbage)
}

// Whatever address a server tells for its data port, nobody but it is connected to.
func TestNoThirdHost(t *testing.T) {
	for _, verb := range []string{"EPSV", "PASV"} {
		var strangers atomic.Int64
		plain := ordinary("content", nil)
		srv := serve(t, "220 hi\r\n", func(c *session, v, arg string) {
			if v != "EPSV" && v != "PASV" {
				plain(c, v, arg)
				return
			}
			if v != verb {
				c.reply("500 what?")
				return
			}
			port := c.listen()
			third, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", port))
			if err != nil {
				t.Error(err)
			} else {
				t.Cleanup(func() { third.Close() })
				go func() {
					for {
						nc, err := third.Accept()
						if err != nil {
							return
						}
						strangers.Add(1)
						nc.Close()
					}
				}()
			}
			if verb == "EPSV" {
				c.reply(fmt.Sprintf("229 there (|1|127.0.0.2|%d|)", port))
			} else {
				c.reply(fmt.Sprintf("227 there (127,0,0,2,%d,%d)", port>>8, port&255))
			}
		})
		if got := download(t, srv.dial(t, nil), "RETR /f"); got != "content" {
			t.Errorf("%s: got %q", verb, got)
		}
		if n := strangers.Load(); n != 0 {
			t.Errorf("%s: %d connections to a third host", verb, n)
		}
	}
}
