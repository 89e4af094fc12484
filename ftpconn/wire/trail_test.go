package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ftpfs/ftpconn/wire"
)

// sendsWith uploads a body to /f with commands behind it.
func sendsWith(c *wire.Conn, body string, behind ...string) (wire.Reply, []wire.Reply, error) {
	out, err := c.Transfer(wire.Transfer{Verb: "STOR /f", Upload: true, Body: []byte(body), Eager: true, Behind: behind})
	if err != nil || out.Data == nil {
		return out.Refusal, c.Trailed(), err
	}
	if err := out.Data.Shut(); err != nil {
		return wire.Reply{}, nil, err
	}
	r, err := out.Data.Finish()
	return r, c.Trailed(), err
}

// Commands go behind a short upload where that goes with its command and is proven to, and the port of the next data
// connection is asked for with them. What goes wrong with them costs the connection, and not the upload.
func TestCommandsBehindAShortUpload(t *testing.T) {
	long := "SIZE /" + strings.Repeat("x", 600)
	for _, tt := range []struct {
		name   string
		behind []string
		stor   func(c *session) (done bool) // how the server answers the upload; nil: as it should
		then   map[string]string            // and what comes behind; "" is nothing
		sent   string                       // in the segment
		told   []int                        // codes of the replies; nil: none
		ends   string                       // code of the upload, or the fault if there is none that is believed
		dead   bool
		stalls string // after this line of the dialogue
		known  wire.Trait
	}{
		{name: "answered", behind: []string{"SIZE /f", "MDTM /g"}, sent: "STOR EPSV SIZE MDTM", told: []int{213, 550}, ends: "226", known: wire.Proven},
		{name: "no port", behind: []string{"SIZE /f"}, then: map[string]string{"EPSV": "425 none is free"}, sent: "STOR EPSV SIZE", told: []int{213}, ends: "226", known: wire.Proven},
		{name: "too much for a segment", behind: []string{long}, sent: "STOR", ends: "226"},
		{name: "refused with the upload", behind: []string{"SIZE /f"}, stor: func(c *session) bool { c.data.Close(); c.reply("553 no"); return true },
			sent: "STOR EPSV SIZE", ends: "553"},
		{name: "the upload failed", behind: []string{"SIZE /f"}, stor: func(c *session) bool { c.reply("150 go"); c.receive(); c.reply("452 full"); return true },
			sent: "STOR EPSV SIZE", ends: "452"},
		{name: "refused during the upload", behind: []string{"SIZE /f"}, stor: func(c *session) bool {
			c.reply("150 go", "450 under way", "450 under way")
			c.receive()
			c.reply("226 done")
			return true
		}, then: map[string]string{"EPSV": "", "SIZE": ""}, sent: "STOR EPSV SIZE", ends: "Surprise", dead: true, known: wire.Off},
		{name: "refused behind the upload", behind: []string{"SIZE /f"}, then: map[string]string{"EPSV": "503 under way", "SIZE": "503 under way"},
			sent: "STOR EPSV SIZE", ends: "226", dead: true, known: wire.Off},
		{name: "lost behind the upload", behind: []string{"SIZE /f"}, then: map[string]string{"EPSV": "", "SIZE": ""},
			sent: "STOR EPSV SIZE", ends: "226", dead: true, stalls: "< 226", known: wire.Off},
		{name: "the end told twice", behind: []string{"SIZE /f"}, stor: func(c *session) bool {
			c.reply("150 go")
			c.receive()
			c.reply("226 done", "226 done")
			return true
		}, sent: "STOR EPSV SIZE", ends: "226", dead: true, known: wire.Off},
		{name: "no end", behind: []string{"SIZE /f"}, stor: func(c *session) bool { c.reply("150 go"); c.receive(); return true }, then: map[string]string{"EPSV": "", "SIZE": ""},
			sent: "STOR EPSV SIZE", ends: "Stalled", dead: true, stalls: "< 150", known: wire.Off},
		{name: "closed instead of an end", behind: []string{"SIZE /f"}, stor: func(c *session) bool { c.reply("150 go"); c.receive(); c.Close(); return true },
			sent: "STOR EPSV SIZE", ends: "Lost", dead: true, known: wire.Off},
		{name: "421 instead of an end", behind: []string{"SIZE /f"}, stor: func(c *session) bool { c.reply("150 go"); c.receive(); c.reply("421 bye"); return true },
			then: map[string]string{"EPSV": "", "SIZE": ""}, sent: "STOR EPSV SIZE", ends: "Closing", dead: true, known: wire.Off},
		{name: "one reply too many", behind: []string{"SIZE /f"}, then: map[string]string{"SIZE": "213 7\r\n213 7"},
			sent: "STOR EPSV SIZE", ends: "226", dead: true, known: wire.Off},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plain := ordinary("content", nil)
			var script atomic.Bool
			srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
				reply, scripted := tt.then[verb]
				switch {
				case verb == "STOR" && script.Load() && tt.stor != nil && tt.stor(c):
				case verb == "STOR":
					c.reply("150 go")
					c.receive()
					c.reply("226 done")
				case script.Load() && scripted && reply == "":
				case script.Load() && scripted:
					c.reply(reply)
				case verb == "SIZE":
					c.reply("213 7")
				case verb == "MDTM":
					c.reply("550 no")
				default:
					plain(c, verb, arg)
				}
			})
			traits := new(wire.Traits)
			var stalling *wire.Conn
			var sent []string // as we have it: the server may not have read all of it when it ends
			c := srv.dial(t, func(c *wire.Config) {
				c.Traits = traits
				stalls := stallsAfter(&stalling, tt.stalls)
				c.Trace = func(id int, line string) {
					stalls(id, line)
					if cmd, ok := strings.CutPrefix(line, "> "); ok {
						verb, _, _ := strings.Cut(cmd, " ")
						sent = append(sent, verb)
					}
				}
			})
			warm(t, c)
			prepare := func() {
				t.Helper()
				if err := c.Prepare(); err != nil || !c.Prepared() {
					t.Fatal("nothing prepared: ", err)
				}
			}
			prepare()
			download(t, c, "RETR /warm")
			prepare()
			if r, told, err := sendsWith(c, "content", "SIZE /f"); err != nil || r.Code != 226 || told != nil { // the upload with its command is on trial
				t.Fatal(r, told, err)
			}
			prepare()
			sent = nil
			stalling = c
			script.Store(true)
			r, told, err := sendsWith(c, "content", tt.behind...)
			script.Store(false)
			var codes []int
			for _, r := range told {
				codes = append(codes, r.Code)
			}
			if got := strings.Join(sent, " "); got != tt.sent {
				t.Errorf("sent %q, not %q", got, tt.sent)
			}
			if !slices.Equal(codes, tt.told) || (told == nil) != (tt.told == nil) {
				t.Errorf("told %v, not %v", codes, tt.told)
			}
			if f, ok := map[string]wire.Fault{"Surprise": wire.Surprise, "Stalled": wire.Stalled, "Lost": wire.Lost, "Closing": wire.Closing}[tt.ends]; ok {
				fault(t, "the upload", err, f)
			} else if err != nil || fmt.Sprint(r.Code) != tt.ends {
				t.Errorf("ended with %v, %v, not %s", r, err, tt.ends)
			}
			if (c.Dead() != nil) != tt.dead {
				t.Errorf("dead: %v", c.Dead())
			}
			if now := traits.Known().Trail; now != tt.known {
				t.Errorf("known then: %v, not %v", now, tt.known)
			}
			if !tt.dead {
				if got := download(t, c, "RETR /f"); got != "content" { // the dialogue goes on
					t.Errorf("got %q", got)
				}
			}
		})
	}
}
