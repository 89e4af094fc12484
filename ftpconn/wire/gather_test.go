package wire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/ftpconn/wire"
	"ftpfs/test/certs"
)

// secured runs test in clear and in TLS of each version.
func secured(t *testing.T, test func(t *testing.T, secure *tls.Config)) {
	pair := certs.Issue(t, certs.Options{Hosts: []string{"127.0.0.1"}})
	cert, err := tls.X509KeyPair(pair.PEM, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("clear", func(t *testing.T) { test(t, nil) })
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) {
			test(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: v, MaxVersion: v})
		})
	}
}

// large begins a download whose data are what send writes, of which head bytes are there at
// once, and reads those.
func large(t *testing.T, secure *tls.Config, head int, send func(nc net.Conn, socket *net.TCPConn), change func(*wire.Config)) (*wire.Conn, *wire.Data) {
	t.Helper()
	plain := ordinary("content", nil)
	srv := serveIn(t, secure, "220 hi\r\n", func(c *session, verb, arg string) {
		if verb != "RETR" || arg != "/large" {
			plain(c, verb, arg)
			return
		}
		c.reply("150 coming")
		nc, socket, err := c.accept()
		if err != nil {
			t.Error(err)
			return
		}
		nc.Write(make([]byte, head))
		send(nc, socket)
		nc.Close()
		c.data.Close()
		c.reply("226 done")
	})
	c := srv.dial(t, func(cfg *wire.Config) {
		if secure != nil {
			cfg.TLS = wire.TLS{Security: wire.Implicit, Shared: new(wire.Sessions), Config: &tls.Config{ServerName: "127.0.0.1", InsecureSkipVerify: true}}
		}
		if change != nil {
			change(cfg)
		}
	})
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
func TestADribbleIsReadInPieces(t *testing.T) { secured(t, dribble) }

func dribble(t *testing.T, secure *tls.Config) {
	packets := 0
	var socket *net.TCPConn
	var want bytes.Buffer
	gathered := make(chan struct{}) // closed when the socket was seen to wait for a piece
	_, d := large(t, secure, 64<<10, func(nc net.Conn, _ *net.TCPConn) {
		enough := time.Now().Add(patience / 2)
		more := func() bool { // a reader who was late found all of it there, and has waited for nothing
			select {
			case <-gathered:
				return false
			default:
				return time.Now().Before(enough)
			}
		}
		for ; packets < 300 || more(); packets++ {
			b := bytes.Repeat([]byte{byte(packets)}, 1000)
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
	const wanted = 32 << 10
	reads, least, began := 0, 0, time.Now()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for p := make([]byte, 256<<10); ; reads++ {
		n, err := d.Read(p)
		got.Write(p[:n])
		raw.Control(func(fd uintptr) {
			low, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
			if least < wanted && low >= wanted {
				close(gathered)
			}
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
	if most := int(time.Since(began)/(10*time.Millisecond)) + 10; reads > most { // each waits for so long, or gets a whole piece
		t.Errorf("%d packets were read in %d steps, in the time of %d", packets, reads, most)
	}
	if least < wanted {
		t.Errorf("the socket woke us for %d bytes", least)
	}
}

// What is there is given out although no more comes.
func TestNothingWaitsForAPiece(t *testing.T) { secured(t, impatient) }

func impatient(t *testing.T, secure *tls.Config) {
	more := make(chan string)
	_, d := large(t, secure, 64<<10, func(nc net.Conn, _ *net.TCPConn) {
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
func TestAResetBehindAPieceIsNoEnd(t *testing.T) { secured(t, resetBehind) }

func resetBehind(t *testing.T, secure *tls.Config) {
	for i := range 20 {
		_, d := large(t, secure, 64<<10, func(nc net.Conn, socket *net.TCPConn) {
			io.WriteString(nc, "the last of it")
			time.Sleep(time.Duration(i%4) * time.Millisecond) // it is read with what follows, or before
			socket.SetLinger(0)
			socket.Close() // without TLS's word for the end
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
func TestALargeDownloadStalls(t *testing.T) { secured(t, stalls) }

func stalls(t *testing.T, secure *tls.Config) {
	c, d := large(t, secure, 64<<10, func(nc net.Conn, _ *net.TCPConn) {
		io.WriteString(nc, "abc")
		nc.Read(make([]byte, 1))
	}, nil)
	b := make([]byte, 3)
	if _, err := io.ReadFull(d, b); err != nil || string(b) != "abc" {
		t.Fatalf("read %q, %v", b, err)
	}
	c.SetTimeout(stall)
	began := time.Now()
	b, err := io.ReadAll(d)
	fault(t, "read", err, wire.Stalled)
	if took := time.Since(began); len(b) > 0 || took < stall {
		t.Errorf("read %q, and gave up after %v", b, took)
	}
	if c.Dead() != nil {
		t.Errorf("condemned: %v", c.Dead())
	}
}

// Who loses patience with a large download need not wait for a piece, nor for the timeout.
func TestALargeDownloadIsStopped(t *testing.T) { secured(t, stopped) }

func stopped(t *testing.T, secure *tls.Config) {
	c, d := large(t, secure, 64<<10, func(nc net.Conn, _ *net.TCPConn) {
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

// An encrypted large download comes whole, and its end is believed only if TLS said so, wherever the pieces and the
// records end.
func TestALargeEncryptedDownloadEnds(t *testing.T) {
	secured(t, func(t *testing.T, secure *tls.Config) {
		for _, c := range []struct {
			size, step int
			torn       bool
		}{{1 << 20, 1 << 20, false}, {300_000, 7, false}, {1<<20 + 5, 16 << 10, false}, {2 << 20, 128<<10 - 29, false}, {128 << 10, 1 << 20, true}, {700_001, 5000, true}} {
			want := make([]byte, c.size)
			for i := range want {
				want[i] = byte(i * i >> 7)
			}
			_, d := large(t, secure, 64<<10, func(nc net.Conn, socket *net.TCPConn) {
				for b := want; len(b) > 0; b = b[min(c.step, len(b)):] {
					nc.Write(b[:min(c.step, len(b))])
				}
				if c.torn {
					socket.CloseWrite()
				}
			}, nil)
			got, err := io.ReadAll(d)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%+v: %d bytes, or others, %v", c, len(got), err)
			}
			_, err = d.Finish()
			if torn := errors.Is(err, wire.ErrTorn); torn != (c.torn && secure != nil) || err != nil && !torn {
				t.Errorf("%+v: the end: %v", c, err)
			}
		}
	})
}
