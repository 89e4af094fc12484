package link

import (
	"net"
	"testing"

	"ftpfs/test/servers"
)

// The real servers run at the far end: they are reached over the line, and not while it
// is silent.
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
			// Where this process's own network leads with that address is the machine's affair.
			l.Silence()
			defer l.Restore()
			err = l.Near.Do(func() error {
				c, err := net.DialTimeout("tcp4", srv.Addr(), linkTimeout/10)
				if err == nil {
					c.Close()
				}
				return err
			})
			if err == nil {
				t.Errorf("%s is reached while the line is silent", srv.Addr())
			}
		})
	}
}
