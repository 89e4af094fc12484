package link

import (
	"net"
	"testing"

	"ftpfs/test/servers"
)

// The real servers run at the far end: they are reached over the line, and from
// nowhere else.
func TestServersRunAtTheFarEnd(t *testing.T) {
	l := New(t, Options{})
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) {
			srv := servers.Start(t, kind, servers.Options{In: l.Far})
			err := l.Near.Do(func() error {
				c, err := net.DialTimeout("tcp4", srv.Addr(), linkTimeout)
				if err == nil {
					c.Close()
				}
				return err
			})
			if err != nil {
				t.Errorf("over the line: %v", err)
			}
			srv.Restart()
			// This process has another way out, or none.
			if c, err := net.DialTimeout("tcp4", srv.Addr(), linkTimeout/10); err == nil {
				c.Close()
				t.Errorf("%s is reached without the line", srv.Addr())
			}
		})
	}
}
