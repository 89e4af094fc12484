package wire_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ftpfs/ftpconn/wire"
	"ftpfs/test/ftpscript"
)

// Passive mode that was left is looked at now and then while nobody waits, and returned
// to when it works. Who asks too early, or in vain, asks nothing of the users.
func TestPassiveModeComesBack(t *testing.T) {
	var closed atomic.Bool
	closed.Store(true)
	port := ftpscript.Closed(t)
	plain := ordinary("content", nil)
	var to atomic.Value
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		switch {
		case verb == "EPSV" && closed.Load():
			c.reply(fmt.Sprintf("229 here (|||%d|)", port))
		case verb == "PASV":
			c.reply("502 no")
		case verb == "EPRT":
			to.Store("127.0.0.1:" + strings.Split(arg, "|")[3])
			c.reply("200 ok")
		case verb == "RETR" && to.Load() != "" && closed.Load():
			c.reply("150 coming")
			if nc, err := net.Dial("tcp", to.Load().(string)); err == nil {
				fmt.Fprint(nc, "content")
				nc.Close()
			}
			c.reply("226 done")
		default:
			plain(c, verb, arg)
		}
	})
	var turned []wire.Mode
	tr := &wire.Traits{Turned: func(m wire.Mode, _ error) { turned = append(turned, m) }}
	c := srv.dial(t, func(cfg *wire.Config) { cfg.Auto, cfg.Traits = true, tr })
	_, err := c.Transfer(wire.Transfer{Verb: "RETR /f"})
	fault(t, "the first", err, wire.Surprise)
	if c.Dead() != nil {
		t.Fatalf("the connection is given up: %v", c.Dead())
	}
	if got := download(t, c, "RETR /f"); got != "content" {
		t.Fatalf("got %q in active mode", got)
	}
	if m, because := tr.Mode(); m != wire.Active || because == nil {
		t.Fatalf("%v mode, because %v", m, because)
	}
	srv.heard()
	for range 2 { // not yet
		if err := c.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if said := srv.heard(); len(said) != 0 {
		t.Errorf("said %q", said)
	}
	tr.LookNow()
	for range 2 { // in vain, and once only
		if err := c.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if said := srv.heard(); !slices.Equal(said, []string{"EPSV", "PASV", "NOOP"}) {
		t.Errorf("said %q", said)
	}
	closed.Store(false)
	tr.LookNow()
	if err := c.Prepare(); err != nil {
		t.Fatal(err)
	}
	if m, _ := tr.Mode(); m != wire.Passive {
		t.Fatalf("%v mode", m)
	}
	if got := download(t, c, "RETR /f"); got != "content" {
		t.Fatalf("got %q in passive mode", got)
	}
	if !slices.Equal(turned, []wire.Mode{wire.Active, wire.Passive}) {
		t.Errorf("told of %v", turned)
	}
}
