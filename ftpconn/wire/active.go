package wire

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// openActive listens, and tells the server where: EPRT, or PORT where that was
// refused. The connection is accepted after the verb's preliminary reply. The
// command never shares a segment: pyftpdlib connects first and answers then,
// after the replies to what followed.
func (d *dialogue) openActive() (opening, error) {
	c := d.c
	local, ok := c.raw.LocalAddr().(*net.TCPAddr)
	if !ok {
		return opening{}, &Error{Fault: Lost, Step: "active mode", Err: fmt.Errorf("no address of our own in %v", c.raw.LocalAddr())}
	}
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: local.IP, Zone: local.Zone})
	if err != nil {
		return opening{}, &Error{Fault: Lost, Step: "active mode", Err: err}
	}
	d.ln = ln
	port := ln.Addr().(*net.TCPAddr).Port
	tr := c.cfg.Traits
	state := tr.get(&tr.eprt)
	if state != Off {
		r, err := c.Cmd(eprt(local.IP, port))
		if err != nil {
			return opening{}, err
		}
		if r.OK() {
			tr.learn(&tr.eprt, Proven)
			return opening{}, nil
		}
		if r.Class() != 5 || local.IP.To4() == nil {
			return opening{refused: r}, nil
		}
		tr.learn(&tr.eprt, Off)
	}
	ip := local.IP.To4()
	if ip == nil {
		return opening{refused: Reply{Code: 522, Lines: []string{"EPRT was refused, and PORT knows no IPv6"}}}, nil
	}
	r, err := c.Cmd(fmt.Sprintf("PORT %s,%d,%d", strings.ReplaceAll(ip.String(), ".", ","), port>>8, port&255))
	if err != nil {
		return opening{}, err
	}
	if !r.OK() {
		return opening{refused: r}, nil
	}
	return opening{}, nil
}

func eprt(ip net.IP, port int) string {
	if v4 := ip.To4(); v4 != nil {
		return fmt.Sprintf("EPRT |1|%s|%d|", v4, port)
	}
	return fmt.Sprintf("EPRT |2|%s|%d|", ip, port)
}

// accept waits for the server's connection and turns away everybody else's.
func (c *Conn) accept(ln net.Listener) (net.Conn, error) {
	defer ln.Close()
	tl := ln.(*net.TCPListener)
	ctx := c.context()
	stop := context.AfterFunc(ctx, func() { tl.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	tl.SetDeadline(time.Now().Add(c.cfg.Timeout))
	if ctx.Err() != nil {
		tl.SetDeadline(time.Unix(1, 0))
	}
	peer, _ := c.raw.RemoteAddr().(*net.TCPAddr)
	for {
		nc, err := tl.AcceptTCP()
		if err != nil {
			return nil, c.broken("data connection", true, err)
		}
		if from := nc.RemoteAddr().(*net.TCPAddr); peer != nil && from.IP.Equal(peer.IP) {
			return nc, nil
		}
		c.trace("! data connection from " + nc.RemoteAddr().String() + " turned away")
		reset(nc)
	}
}
