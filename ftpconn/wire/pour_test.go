package wire_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/ftpconn/wire"
)

// sends uploads a body of its own to /f, as the library does.
func sends(c *wire.Conn, body string, eager bool) (wire.Reply, error) {
	out, err := c.Transfer(wire.Transfer{Verb: "STOR /f", Upload: true, Body: []byte(body), Eager: eager})
	if err != nil || out.Data == nil {
		return out.Refusal, err
	}
	if err := out.Data.Shut(); err != nil {
		return wire.Reply{}, err
	}
	return out.Data.Finish()
}

// A short upload is on its way before the 150 where its data connection stands and the caller knows
// the server; a server that does not stand it loses nothing but the connection.
func TestAShortUploadGoesWithItsCommand(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   string
		eager  bool
		stor   func(c *session) (done bool) // how the server answers it
		early  bool                         // it came before the 150
		fails  bool
		stalls string // after this line of the dialogue
		known  wire.Trait
	}{
		{name: "early", body: "content", eager: true, early: true, known: wire.Proven},
		{name: "empty", body: "", eager: true, early: true, known: wire.Proven},
		{name: "not to this server", body: "content", known: wire.Untried},
		{name: "refused", body: "content", eager: true, known: wire.Untried,
			stor: func(c *session) bool { c.data.Close(); c.reply("553 no"); return true }},
		{name: "no end", body: "content", eager: true, fails: true, stalls: "< 150", known: wire.Off,
			stor: func(c *session) bool { c.reply("150 go"); return true }},
		{name: "another connection wanted", body: "content", eager: true, fails: true, stalls: "< 150", known: wire.Off,
			stor: func(c *session) bool { c.reply("150 go", "425 where is it?"); return true }},
		{name: "ended", body: "content", eager: true, fails: true, stalls: "< 150", known: wire.Off,
			stor: func(c *session) bool { c.reply("150 go", "426 it was cut"); return true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stored []string
			early := false
			plain := ordinary("content", func(s string) { stored = append(stored, s) })
			first := true
			srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
				if verb == "STOR" && first {
					first = false
					if tt.stor != nil && tt.stor(c) {
						return
					}
					got := make(chan string, 1)
					go func() { got <- c.receive() }()
					enough := time.After(300 * time.Millisecond)
					if tt.early { // if it does not come, the client gives up
						enough = nil
					}
					select {
					case s := <-got:
						early = true
						stored = append(stored, s)
						c.reply("150 go")
					case <-enough:
						c.reply("150 go")
						stored = append(stored, <-got)
					}
					c.reply("226 done")
					return
				}
				plain(c, verb, arg)
			})
			traits := new(wire.Traits)
			var stalling *wire.Conn
			c := srv.dial(t, func(c *wire.Config) { c.Traits, c.Trace = traits, stallsAfter(&stalling, tt.stalls) })
			warm(t, c)
			for range 2 { // a prepared connection has worked once
				if err := c.Prepare(); err != nil {
					t.Fatal(err)
				}
				if !c.Prepared() {
					t.Fatal("nothing prepared")
				}
				if traits.Known().Prepared != wire.Proven {
					download(t, c, "RETR /warm")
				}
			}
			srv.heard()
			stalling = c
			r, err := sends(c, tt.body, tt.eager)
			switch {
			case tt.fails:
				fault(t, "the upload", err, wire.Surprise)
				if c.Dead() == nil {
					t.Error("the connection is believed")
				}
			case tt.stor != nil:
				if err != nil || r.Code != 553 || c.Dead() != nil {
					t.Errorf("%v, %v", r, err)
				}
			default:
				if err != nil || r.Code != 226 || !slices.Equal(stored, []string{tt.body}) || early != tt.early {
					t.Errorf("%v, %v: %q, early: %v", r, err, stored, early)
				}
			}
			if now := traits.Known().Eager; now != tt.known {
				t.Errorf("known then: %v, not %v", now, tt.known)
			}
			if sent := srv.heard(); !slices.Equal(sent, []string{"STOR /f"}) {
				t.Errorf("sent %q", sent)
			}
			if tt.fails {
				return
			}
			if got := download(t, c, "RETR /f"); got != "content" { // the dialogue goes on
				t.Errorf("got %q", got)
			}
		})
	}
}

// Where nothing is prepared the body goes after the 150, and all of it.
func TestAShortUploadWithoutAPreparedConnection(t *testing.T) {
	var stored []string
	srv := serve(t, "220 hi\r\n", ordinary("content", func(s string) { stored = append(stored, s) }))
	c := srv.dial(t, nil)
	warm(t, c)
	body := strings.Repeat("content", 9000)
	for _, eager := range []bool{false, true} {
		if r, err := sends(c, body, eager); err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
	}
	if !slices.Equal(stored, []string{body, body}) {
		t.Errorf("%d stored", len(stored))
	}
}

// A part of a body never passes for the whole: what cannot be sent to its end is reset.
func TestASpilledUploadIsNone(t *testing.T) {
	ended := make(chan error, 1)
	givenUp := make(chan struct{}, 10) // a data connection was closed at our end
	plain := ordinary("content", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb == "STOR" {
			nc, err := c.data.Accept()
			if err == nil {
				<-givenUp // it takes nothing as long as somebody hopes that it does
				_, err = io.Copy(io.Discard, nc)
				nc.Close()
			}
			ended <- err
			c.reply("150 go", "426 it was cut")
			return
		}
		plain(c, verb, arg)
	})
	traits := new(wire.Traits)
	c := srv.dial(t, func(c *wire.Config) {
		c.Traits = traits
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			nc.(*net.TCPConn).SetWriteBuffer(4 << 10)
			return &tellsClose{nc.(*net.TCPConn), givenUp}, nil
		}
	})
	warm(t, c)
	if err := c.Prepare(); err != nil {
		t.Fatal(err)
	}
	download(t, c, "RETR /warm")
	if err := c.Prepare(); err != nil {
		t.Fatal(err)
	}
	for len(givenUp) > 0 {
		<-givenUp
	}
	c.SetTimeout(stall)
	_, err := sends(c, strings.Repeat("content", 4<<20), true)
	fault(t, "too much for the time", err, wire.Surprise)
	if err := <-ended; err == nil {
		t.Error("the server saw a part of it come to its end")
	}
}

// tellsClose tells that it is closed.
type tellsClose struct {
	*net.TCPConn
	told chan<- struct{}
}

func (c *tellsClose) Close() error {
	err := c.TCPConn.Close()
	select {
	case c.told <- struct{}{}:
	default:
	}
	return err
}
