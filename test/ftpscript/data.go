package ftpscript

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// How long a transfer waits for its data connection, or for a byte on it.
const dataTimeout = 30 * time.Second

// dataSource is where the next data connection comes from.
type dataSource struct {
	listener *net.TCPListener // passive
	dial     string           // active
	fault    *DataFault       // of the command under way
}

func (d *dataSource) close() {
	if d.listener != nil {
		d.listener.Close()
	}
	d.listener, d.dial = nil, ""
}

func (c *session) listenForData() (port int, err error) {
	c.data.close()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(c.srv.Host)})
	if err != nil {
		return 0, err
	}
	c.data.listener = l
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (c *session) epsv(string, Command) string {
	port, err := c.listenForData()
	if err != nil {
		return "425 " + err.Error()
	}
	return fmt.Sprintf("229 Entering extended passive mode (|||%d|)", port)
}

func (c *session) pasv(string, Command) string {
	port, err := c.listenForData()
	if err != nil {
		return "425 " + err.Error()
	}
	host := "127.0.0.1"
	if c.srv.opts.PassiveHost != "" {
		host = c.srv.opts.PassiveHost
	}
	return fmt.Sprintf("227 Entering passive mode (%s,%d,%d).", strings.ReplaceAll(host, ".", ","), port>>8, port&0xff)
}

func (c *session) eprt(arg string, _ Command) string {
	// |1|127.0.0.1|port|
	if len(arg) > 1 {
		if f := strings.Split(arg[1:], arg[:1]); len(f) >= 3 {
			c.data.close()
			c.data.dial = net.JoinHostPort(f[1], f[2])
			return "200 Fine."
		}
	}
	return "501 Not an address."
}

func (c *session) port(arg string, _ Command) string {
	f := strings.Split(arg, ",")
	if len(f) != 6 {
		return "501 Not an address."
	}
	high, _ := strconv.Atoi(f[4])
	low, _ := strconv.Atoi(f[5])
	c.data.close()
	c.data.dial = net.JoinHostPort(strings.Join(f[:4], "."), strconv.Itoa(high<<8|low))
	return "200 Fine."
}

// open makes the data connection, known to kill from then on.
func (c *session) open() (*net.TCPConn, error) {
	defer c.data.close()
	var conn net.Conn
	var err error
	switch {
	case c.data.listener != nil:
		_ = c.data.listener.SetDeadline(time.Now().Add(dataTimeout))
		conn, err = c.acceptData()
	case c.data.dial != "":
		if from := c.srv.opts.DataBefore; from != "" {
			if stranger, err := c.connect(from); err == nil {
				defer stranger.Close()
			}
		}
		conn, err = c.connect(c.srv.opts.DataFrom)
	default:
		err = errors.New("no PASV or PORT before")
	}
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	c.transferMu.Lock()
	defer c.transferMu.Unlock()
	select {
	case <-c.killed:
		reset(tcp)
		return nil, net.ErrClosed
	default:
	}
	c.transfer = tcp
	return tcp, nil
}

// connect makes an active data connection from an address; "" is the kernel's choice.
func (c *session) connect(from string) (net.Conn, error) {
	d := net.Dialer{Timeout: dataTimeout}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.Dial("tcp", c.data.dial)
}

// acceptData waits for the client to connect, but not beyond kill, nor for one that
// has gone.
func (c *session) acceptData() (net.Conn, error) {
	l := c.data.listener
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-c.killed:
			l.Close()
		case <-c.gone:
			_ = l.SetDeadline(time.Now()) // it may have connected before
		case <-done:
		}
	}()
	conn, err := l.Accept()
	close(done)
	<-watched
	return conn, err
}

// move runs a transfer: 150, the data connection, body, and the final reply.
func (c *session) move(body func(conn *throttled) error) string {
	fault := c.data.fault
	if fault != nil && fault.Announce != nil {
		fault.Announce(c.conn)
	} else {
		c.say(c.srv.reword("", "150 Here it comes."))
	}
	conn, err := c.open()
	if err != nil {
		return "425 No data connection."
	}
	defer func() {
		c.transferMu.Lock()
		c.transfer = nil
		c.transferMu.Unlock()
	}()
	t := &throttled{TCPConn: conn, through: conn, session: c, fault: fault}
	secure, err := c.encryptData(conn)
	if err != nil {
		conn.Close()
		return "522 TLS of the data connection failed."
	}
	if secure != nil {
		t.through = secure
	}
	if err = body(t); err == nil && fault != nil && fault.After < 0 && fault.Flood != "" {
		err = t.flood(strings.Repeat(fault.Flood, 1+(64<<10)/len(fault.Flood)))
	}
	c.moved = t.moved
	if fault != nil && err != nil && fault.Reset {
		reset(conn)
	} else {
		if secure != nil && (fault == nil || !fault.Torn) {
			_ = secure.CloseWrite()
		}
		conn.Close()
	}
	switch {
	case err == errCut && fault.Reply != "":
		return fault.Reply
	case err == errFull:
		return c.srv.full()
	case err != nil:
		return "426 Transfer aborted."
	}
	return "226 Transfer complete."
}

var (
	errCut  = errors.New("cut by a rule")
	errFull = errors.New("no space left")
)

// throttled is a data connection that a fault may interrupt at a byte.
type throttled struct {
	*net.TCPConn
	through net.Conn // the connection, or TLS over it
	session *session
	fault   *DataFault
	moved   int64
}

// allow returns how many of n bytes may pass now.
func (t *throttled) allow(n int) (int, error) {
	f := t.fault
	if f == nil || f.After < 0 {
		return n, nil
	}
	if left := f.After - t.moved; left > 0 {
		return int(min(int64(n), left)), nil
	}
	if !t.session.hold(f.Hold) {
		return 0, net.ErrClosed
	}
	if f.Flood != "" {
		return 0, t.flood(strings.Repeat(f.Flood, 1+(64<<10)/len(f.Flood)))
	}
	if !f.On {
		return 0, errCut
	}
	t.fault = nil
	return n, nil
}

// flood sends text until the client has had enough.
func (t *throttled) flood(text string) error {
	for {
		_ = t.SetWriteDeadline(time.Now().Add(dataTimeout))
		n, err := io.WriteString(t.through, text)
		if t.moved += int64(n); err != nil {
			return err
		}
	}
}

func (t *throttled) Write(p []byte) (written int, err error) {
	for len(p) > 0 || t.fault != nil && t.fault.After >= 0 && t.moved >= t.fault.After {
		n, err := t.allow(len(p))
		if err != nil {
			return written, err
		}
		_ = t.SetWriteDeadline(time.Now().Add(dataTimeout))
		n, err = t.through.Write(p[:n])
		written, t.moved, p = written+n, t.moved+int64(n), p[n:]
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (t *throttled) Read(p []byte) (int, error) {
	n, err := t.allow(len(p))
	if err != nil {
		return 0, err
	}
	_ = t.SetReadDeadline(time.Now().Add(dataTimeout))
	n, err = t.through.Read(p[:n])
	t.moved += int64(n)
	return n, err
}

func (c *session) retr(_ string, cmd Command) string {
	defer func() { c.rest = 0 }()
	data, ok := c.srv.Tree.Get(cmd.Path)
	if !ok {
		return "550 No such file."
	}
	data = data[min(c.rest, int64(len(data))):]
	return c.move(func(conn *throttled) error {
		_, err := conn.Write(data)
		return err
	})
}

func (c *session) stor(_ string, cmd Command) string {
	defer func() { c.rest = 0 }()
	return c.store(cmd.Path, c.rest, c.rest)
}

func (c *session) appe(_ string, cmd Command) string {
	defer func() { c.rest = 0 }()
	f, _ := c.srv.Tree.Stat(cmd.Path)
	switch c.srv.opts.Append {
	case AppendOverwrites:
		if f.Size > 0 {
			return c.store(cmd.Path, f.Size, 0)
		}
	case AppendTruncates:
		f.Size = 0
	}
	return c.store(cmd.Path, f.Size, f.Size)
}

// store opens the file at a size, and puts what comes at offset.
func (c *session) store(p string, size, offset int64) string {
	if refusal := c.srv.Tree.create(p, size); refusal != "" {
		return refusal
	}
	return c.move(func(conn *throttled) error {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if !c.srv.Tree.writeAt(p, buf[:n], offset, c.srv.opts.Space) {
				return errFull
			}
			offset += int64(n)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}
