package wire_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"ftpfs/ftpconn/wire"
)

// Of a name's addresses the server is told one of the family it is spoken to by. The name
// is looked up once for each control connection: the address may change.
func TestTheAnnouncedAddressIsOfTheRightFamily(t *testing.T) {
	looked := 0
	srv := serve(t, "220 hi\r\n", func(c *session, verb, _ string) {
		if verb == "EPRT" {
			c.reply("425 not today")
			return
		}
		c.reply("200 ok")
	})
	for range 2 {
		c := srv.dial(t, func(cfg *wire.Config) {
			cfg.Active, cfg.Address = true, "home.example"
			cfg.Lookup = func(_ context.Context, network, host string) ([]netip.Addr, error) {
				if looked++; network != "ip" || host != "home.example" {
					t.Errorf("looked up %q, %q", network, host)
				}
				return []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("192.0.2.8")}, nil
			}
		})
		for range 2 {
			_, err := c.Transfer(wire.Transfer{Verb: "LIST"})
			fault(t, "LIST", err, wire.Unreached)
		}
	}
	var told []string
	for _, cmd := range srv.heard() {
		var port int
		if n, _ := fmt.Sscanf(cmd, "EPRT |1|192.0.2.7|%d|", &port); n == 1 && port > 0 {
			told = append(told, cmd)
		}
	}
	if len(told) != 4 || looked != 2 {
		t.Errorf("told %q, looked up %d times; want four, and two", told, looked)
	}
}
