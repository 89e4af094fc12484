package ftpconn

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
)

// While one operation's silence is looked into, calls wait as long as a login may
// take, also where the timeout is short, and never longer than five seconds.
func TestDoubtLeavesTimeForALogin(t *testing.T) {
	for _, c := range []struct{ timeout, want time.Duration }{
		{time.Second, time.Second},
		{3 * time.Second, 2 * time.Second},
		{12 * time.Second, 3 * time.Second},
		{time.Minute, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Timeout: c.timeout, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
			}})
			defer s.Close()
			s.health.doubt(fault(remote.Timeout, "no answer"))
			from := time.Now()
			err := s.health.gate(t.Context())
			if took := time.Since(from); took != c.want || !remote.Is(err, remote.Down) {
				t.Errorf("timeout %v: a call waited %v and got %v, want %v and down", c.timeout, took, err, c.want)
			}
		})
	}
}
