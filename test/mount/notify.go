package mount

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// notifySocket receives what a daemon tells a service manager (sd_notify(3)).
type notifySocket struct {
	path string
	conn *net.UnixConn
}

func newNotifySocket(t testing.TB) (*notifySocket, error) {
	// Not in the test's directory: its name may be longer than the 108 bytes that
	// fit into an address.
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return &notifySocket{path, conn}, nil
}

func (n *notifySocket) close() { n.conn.Close() }

var (
	errEnded    = errors.New("the daemon ended before it was ready")
	errNotReady = errors.New("the daemon was not ready in time")
)

// await returns nil once READY=1 came.
func (n *notifySocket) await(ended <-chan struct{}, limit time.Duration) error {
	ready := make(chan error, 1)
	_ = n.conn.SetReadDeadline(time.Now().Add(limit))
	go func() {
		buf := make([]byte, 4096)
		for {
			size, err := n.conn.Read(buf)
			if err != nil {
				ready <- fmt.Errorf("%w (%v)", errNotReady, err)
				return
			}
			if strings.Contains("\n"+string(buf[:size])+"\n", "\nREADY=1\n") {
				ready <- nil
				return
			}
		}
	}()
	select {
	case err := <-ready:
		return err
	case <-ended:
		n.conn.Close()
		<-ready
		return errEnded
	}
}
