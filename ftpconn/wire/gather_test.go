package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/ftpconn/wire"
)

// large begins a download whose data are what send writes, of which head bytes are there at
// once, and reads those.
func large(t *testing.T, head int, send func(nc *net.TCPConn), change func(*wire.Config)) (*wire.Conn, *wire.Data) {
	t.Helper()
	plain := ordinary("content", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb != "RETR" || arg != "/large" {
			plain(c, verb, arg)
			return
		}
		c.reply("150 coming")
		nc, err := c.data.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		nc.Write(make([]byte, head))
		send(nc.(*net.TCPConn))
		nc.Close()
		c.data.Close()
		c.reply("226 done")
	})
	c := srv.dial(t, change)
	out, err := c.Transfer(wire.Transfer{Verb: "RETR /large"})
	if err != nil || out.Data == nil {
		t.Fatal(out.Refusal, err)
	}
	if _, err := io.ReadFull(out.Data, make([]byte, head)); err != nil {
		t.Fatal(err)
	}
	return c, out.Data
}

// What dribbles in of a large download is read in pieces, of which each wakes us once, and comes whole.
func TestADribbleIsReadInPieces(t *testing.T) {
	const packets = 300
	var socket *net.TCPConn
	var want bytes.Buffer
	_, d := large(t, 64<<10, func(nc *net.TCPConn) {
		for i := range packets {
			b := bytes.Repeat([]byte{byte(i)}, 1000)
			want.Write(b)
			nc.Write(b)
			time.Sleep(200 * time.Microsecond)
		}
	}, func(c *wire.Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			socket, _ = nc.(*net.TCPConn)
			return nc, err
		}
	})
	var got bytes.Buffer
	reads, least := 0, 0
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for p := make([]byte, 256<<10); ; reads++ {
		n, err := d.Read(p)
		got.Write(p[:n])
		raw.Control(func(fd uintptr) {
			low, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
			least = max(least, low)
		})
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r, err := d.Finish(); err != nil || !r.OK() {
		t.Errorf("the end: %v, %v", r, err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("got %d bytes, or others, want %d", got.Len(), want.Len())
	}
	if reads > packets/5 { // on a machine that is busy with other things they get fewer
		t.Errorf("%d packets were read in %d steps", packets, reads)
	}
	if least < 32<<10 {
		t.Errorf("the socket woke us for %d bytes", least)
	}
}

// What is there is given out although no more comes.
func TestNothingWaitsForAPiece(t *testing.T) {
	more := make(chan string)
	_, d := large(t, 64<<10, func(nc *net.TCPConn) {
		for s := range more {
			io.WriteString(nc, s)
		}
	}, nil)
	p := make([]byte, 256<<10)
	for _, s := range []string{"a few bytes", "and", "some more"} {
		for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} {
			time.AfterFunc(after, func() { more <- s })
			if n, err := d.Read(p); err != nil || string(p[:n]) != s { // who waits for more has a timeout
				t.Errorf("read %q, %v; want %q", p[:n], err, s)
			}
		}
	}
	close(more)
	if n, err := d.Read(p); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d bytes, %v", n, err)
	}
}

// A connection that was reset behind bytes that came has not come to its end.
func TestAResetBehindAPieceIsNoEnd(t *testing.T) {
	for i := range 20 {
		_, d := large(t, 64<<10, func(nc *net.TCPConn) {
			io.WriteString(nc, "the last of it")
			time.Sleep(time.Duration(i%4) * time.Millisecond) // it is read with what follows, or before
			nc.SetLinger(0)
		}, nil)
		var err error
		for err == nil {
			_, err = d.Read(make([]byte, 256<<10))
		}
		if errors.Is(err, io.EOF) {
			t.Fatal("the reset is taken for the end")
		}
		fault(t, "read", err, wire.Lost)
	}
}

// A large download that stands still is a stall; the connection lives.
func TestALargeDownloadStalls(t *testing.T) {
	began := time.Now()
	_, d := large(t, 64<<10, func(nc *net.TCPConn) {
		io.WriteString(nc, "abc")
		nc.Read(make([]byte, 1))
	}, func(c *wire.Config) { c.Timeout = 300 * time.Millisecond })
	b, err := io.ReadAll(d)
	fault(t, "read", err, wire.Stalled)
	if took := time.Since(began); string(b) != "abc" || took < 300*time.Millisecond {
		t.Errorf("read %q, and gave up after %v", b, took)
	}
}

// Who loses patience with a large download need not wait for a piece, nor for the timeout.
func TestALargeDownloadIsStopped(t *testing.T) {
	c, d := large(t, 64<<10, func(nc *net.TCPConn) {
		for {
			if _, err := nc.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer c.Bind(ctx)()
	time.AfterFunc(50*time.Millisecond, cancel)
	var err error
	for err == nil {
		_, err = d.Read(make([]byte, 256<<10))
	}
	fault(t, "read", err, wire.Stopped)
}
