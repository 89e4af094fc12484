package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpfs/ftpconn/wire"
)

// stall is the timeout of a step that is to stall. What is to succeed has patience: this machine may stand still
// for seconds.
const (
	patience = time.Minute
	stall    = 300 * time.Millisecond
)

// server answers one connection after the other as a test says.
type server struct {
	ln   net.Listener
	port int

	mu   sync.Mutex
	said []string // every command it got
}

// session is one control connection at the server.
type session struct {
	*server
	net.Conn
	data   net.Listener
	secure *tls.Config // nil: in clear
}

// accept takes the data connection: what data goes through, and its socket.
func (c *session) accept() (net.Conn, *net.TCPConn, error) {
	nc, err := c.data.Accept()
	if err != nil {
		return nil, nil, err
	}
	if c.secure == nil {
		return nc, nc.(*net.TCPConn), nil
	}
	return tls.Server(nc, c.secure), nc.(*net.TCPConn), nil
}

func (c *session) reply(lines ...string) { io.WriteString(c.Conn, strings.Join(lines, "\r\n")+"\r\n") }

// listen opens a port for data and returns its number.
func (c *session) listen() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c.data = ln
	return ln.Addr().(*net.TCPAddr).Port
}

// send gives the client data over the open port.
func (c *session) send(s string) {
	nc, err := c.data.Accept()
	if err == nil {
		io.WriteString(nc, s)
		nc.Close()
	}
	c.data.Close()
}

// receive takes the client's data.
func (c *session) receive() string {
	nc, err := c.data.Accept()
	if err != nil {
		return ""
	}
	defer nc.Close()
	defer c.data.Close()
	b, _ := io.ReadAll(nc)
	return string(b)
}

// serve starts a server; answer is called for each command.
func serve(t *testing.T, greeting string, answer func(c *session, verb, arg string)) *server {
	t.Helper()
	return serveIn(t, nil, greeting, answer)
}

// serveIn is serve with all of it encrypted, from the beginning, if secure is not nil.
func serveIn(t *testing.T, secure *tls.Config, greeting string, answer func(c *session, verb, arg string)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{ln: ln, port: ln.Addr().(*net.TCPAddr).Port}
	var wg sync.WaitGroup
	var conns sync.Map
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Store(nc, true)
			wg.Go(func() {
				defer nc.Close()
				if secure != nil {
					nc = tls.Server(nc, secure)
				}
				c := &session{server: s, Conn: nc, secure: secure}
				io.WriteString(nc, greeting)
				in := bufio.NewScanner(nc)
				for in.Scan() {
					line := in.Text()
					s.mu.Lock()
					s.said = append(s.said, line)
					s.mu.Unlock()
					verb, arg, _ := strings.Cut(line, " ")
					answer(c, verb, arg)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.Range(func(nc, _ any) bool { nc.(net.Conn).Close(); return true })
		wg.Wait()
	})
	return s
}

// heard returns the commands since the last call.
func (s *server) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.said
	s.said = nil
	return got
}

func (s *server) config() wire.Config {
	return wire.Config{Host: "127.0.0.1", Port: s.port, Dial: new(net.Dialer).DialContext,
		Timeout: patience, Traits: new(wire.Traits)}
}

func (s *server) dial(t *testing.T, change func(*wire.Config)) *wire.Conn {
	t.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	c, err := wire.Dial(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// stallsAfter has c lose its patience once its dialogue has come to a line that begins so, which is what the
// returned Trace is for.
func stallsAfter(c **wire.Conn, line string) func(int, string) {
	return func(_ int, said string) {
		if *c != nil && line != "" && strings.HasPrefix(said, line) {
			(*c).SetTimeout(stall)
		}
	}
}

// ordinary answers what a plain server answers; content is what RETR and LIST
// give, and stored takes what STOR and APPE get.
func ordinary(content string, stored func(string)) func(c *session, verb, arg string) {
	return func(c *session, verb, arg string) {
		switch verb {
		case "USER":
			c.reply("331 password?")
		case "PASS":
			c.reply("230 in")
		case "FEAT":
			c.reply("211-features", " EPSV", " MDTM", " MFMT", " REST STREAM", " SIZE", " UTF8", "211 end")
		case "PWD":
			c.reply(`257 "/"`)
		case "EPSV":
			c.reply(fmt.Sprintf("229 here (|||%d|)", c.listen()))
		case "PASV":
			p := c.listen()
			c.reply(fmt.Sprintf("227 here (10,1,2,3,%d,%d)", p>>8, p&255))
		case "REST", "RNFR":
			c.reply("350 go on")
		case "RETR", "LIST":
			c.reply("150 coming")
			c.send(content)
			c.reply("226 done")
		case "STOR", "APPE":
			c.reply("125 go")
			s := c.receive()
			if stored != nil {
				stored(s)
			}
			c.reply("250 done")
		case "QUIT":
			c.reply("221 bye")
			c.Close()
		default:
			c.reply("200 ok")
		}
	}
}

func fault(t *testing.T, what string, err error, want wire.Fault) *wire.Error {
	t.Helper()
	e := wire.FaultOf(err)
	if e == nil || e.Fault != want {
		t.Fatalf("%s: got %v, want fault %q", what, err, want)
	}
	return e
}
