package ftpconn_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// A download that is given up while its data comes, or does not come, costs no login.
func TestReadEndsWithContext(t *testing.T) {
	for _, c := range []struct {
		name  string
		after int64
		mute  bool // the server does not end the transfer
	}{{"in the middle", 100, false}, {"before the first byte", 0, false}, {"not answered", 100, true}} {
		t.Run(c.name, func(t *testing.T) {
			noticed := make(chan struct{}, 10)
			srv, s := start(t, ftpscript.Options{}, func(c *ftpconn.Config) {
				tellsHalt(noticed)(c)
				c.Timeout = time.Hour // is not waited for
			})
			srv.Tree.Put("/f", content)
			hold := make(chan struct{})
			end := sync.OnceFunc(func() { close(hold) })
			defer end()
			rule := srv.Add(ftpscript.Rule{Verb: "RETR", Data: &ftpscript.DataFault{After: c.after, Hold: hold}})
			ctx, cancel := context.WithCancel(t.Context())
			r, err := s.Open(ctx, "/f", 0, nil)
			ok(t, "open", err)
			defer r.Close()
			_, err = io.ReadFull(r, make([]byte, c.after))
			ok(t, "read", err)
			time.AfterFunc(10*time.Millisecond, func() {
				cancel()
				if <-noticed; !c.mute {
					end()
				}
			})
			_, err = io.ReadAll(r)
			kind(t, "read", err, remote.Canceled)
			rule.Remove()
			_, err = s.Stat(t.Context(), "/f")
			ok(t, "stat", err)
			if n, want := srv.Opened(), map[bool]int{false: 1, true: 2}[c.mute]; n != want {
				t.Errorf("%d connections, want %d", n, want)
			}
		})
	}
}

// tellsHalt tells when somebody loses patience with what comes on a data connection.
func tellsHalt(told chan<- struct{}) func(*ftpconn.Config) {
	return func(c *ftpconn.Config) {
		port := c.Port
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil || nc.RemoteAddr().(*net.TCPAddr).Port == port {
				return nc, err
			}
			return &halting{nc.(*net.TCPConn), told}, nil
		}
	}
}

type halting struct {
	*net.TCPConn
	told chan<- struct{}
}

func (c *halting) SetDeadline(at time.Time) error {
	err := c.TCPConn.SetDeadline(at)
	if !at.IsZero() && at.Year() < 2000 { // no timeout
		select {
		case c.told <- struct{}{}:
		default:
		}
	}
	return err
}

// Nor does a listing, and what it leaves is not taken for an answer to what comes next.
func TestListEndsWithContext(t *testing.T) {
	for _, verb := range []string{"MLSD", "LIST"} {
		t.Run(verb, func(t *testing.T) {
			o := ftpscript.Options{}
			if verb == "LIST" {
				o.Refuse = []string{"MLSD", "MLST"}
			}
			noticed := make(chan struct{}, 10)
			srv, s := start(t, o, tellsHalt(noticed))
			srv.Tree.MkdirAll("/d")
			srv.Tree.Put("/d/f", content)
			_, err := s.List(t.Context(), "/d")
			ok(t, "list", err)
			hold := make(chan struct{})
			rule := srv.Add(ftpscript.Rule{Verb: verb, Data: &ftpscript.DataFault{After: 10, Hold: hold}, Final: "250 That was the list."})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-rule.Hit()
				time.Sleep(20 * time.Millisecond)
				cancel()
				<-noticed
				close(hold)
			}()
			before := srv.Opened()
			_, err = s.List(ctx, "/d")
			kind(t, "list", err, remote.Canceled)
			rule.Remove()
			srv.Add(ftpscript.Rule{Verb: "MKD", Instead: "550 No."})
			if err := s.Mkdir(t.Context(), "/new"); err == nil {
				t.Error("a directory that was refused is made")
			}
			want := before
			if *overTLS {
				want++ // what is left of an encrypted listing would come before the next on Pure-FTPd
			}
			if n := srv.Opened(); n != want {
				t.Errorf("%d connections, want %d", n, want)
			}
		})
	}
}

// Nor does one whose context ends while its last reply is awaited.
func TestContextThatEndsWithTheDownload(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/f", content)
	hold := make(chan struct{})
	rule := srv.Add(ftpscript.Rule{Verb: "RETR", Data: &ftpscript.DataFault{After: 100, Hold: hold}})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, "/f", 0, nil)
	ok(t, "open", err)
	_, err = io.ReadFull(r, make([]byte, 100))
	ok(t, "read", err)
	closed := make(chan error)
	go func() { closed <- r.Close() }()
	select {
	case <-closed:
		t.Fatal("closed before the server has ended the transfer")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	time.AfterFunc(50*time.Millisecond, func() { close(hold) })
	<-closed
	rule.Remove()
	_, err = s.Stat(t.Context(), "/f")
	ok(t, "stat", err)
	if n := srv.Opened(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
