package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	told, err := c.announced()
	if err != nil {
		return opening{}, c.unable(err)
	}
	if d.door, err = c.listen(told); err != nil {
		return opening{}, c.unable(err)
	}
	port := d.door.port()
	tr := c.cfg.Traits
	defer d.brief()()
	if tr.get(&tr.eprt) != Off {
		r, err := c.Cmd(eprt(told, port))
		if err != nil {
			return opening{}, d.givenUp(err)
		}
		if r.OK() {
			tr.learn(&tr.eprt, Proven)
			return opening{}, nil
		}
		if r.Class() != 5 || !told.Is4() {
			return opening{refused: r}, nil
		}
		tr.learn(&tr.eprt, Off)
	}
	if !told.Is4() {
		return opening{refused: Reply{Code: 522, Lines: []string{"EPRT was refused, and PORT knows no IPv6"}}}, nil
	}
	r, err := c.Cmd(fmt.Sprintf("PORT %s,%d,%d", strings.ReplaceAll(told.String(), ".", ","), port>>8, port&255))
	if err != nil {
		return opening{}, d.givenUp(err)
	}
	if !r.OK() {
		return opening{refused: r}, nil
	}
	return opening{}, nil
}

// brief has replies waited for no longer than there is time for another mode, while this
// one is on trial: a server may try in vain to connect before it answers.
func (d *dialogue) brief() (end func()) {
	if d.mode != Active || !d.trial {
		return func() {}
	}
	d.c.wait = d.c.patience()
	return func() { d.c.wait = 0 }
}

// givenUp takes a reply that did not come during the trial for its failure.
func (d *dialogue) givenUp(err error) error {
	if e := FaultOf(err); d.trial && e != nil && e.Fault == Stalled {
		return d.c.condemn(&Error{Fault: Unreached, Step: "data connection", Sent: true, living: true,
			Err: fmt.Errorf("the server says nothing to active mode: %w", err)})
	}
	return err
}

// unable is trouble on this machine, before the server was asked for anything.
func (c *Conn) unable(err error) error {
	if c.interrupted() || c.context().Err() != nil {
		return c.broken("active mode", false, err)
	}
	return &Error{Fault: Local, Step: "active mode", Err: err}
}

// listen opens a door at the address that the server knows us by; at all of them when it
// is told another, since what is forwarded to us may come to any.
func (c *Conn) listen(told netip.Addr) (*door, error) {
	network := "tcp6"
	if told.Is4() {
		network = "tcp4"
	}
	var ip net.IP
	zone := ""
	if c.cfg.Address == "" {
		local := c.raw.LocalAddr().(*net.TCPAddr)
		ip, zone = local.IP, local.Zone
	}
	return c.cfg.Ports.listen(c.context(), network, ip, zone, c.cfg.Timeout)
}

// announced is the address that the server is told to connect to: our own, or the one we
// are known by outside. A name is looked up once for each control connection.
func (c *Conn) announced() (netip.Addr, error) {
	if c.told.IsValid() {
		return c.told, nil
	}
	a, ok := c.raw.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, fmt.Errorf("no address of our own in %v", c.raw.LocalAddr())
	}
	local := a.AddrPort().Addr().Unmap().WithZone("")
	if c.cfg.Address == "" {
		c.told = local
		return local, nil
	}
	all, err := c.lookUp(c.cfg.Address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the address for active mode: %w", err)
	}
	for _, ip := range all {
		if ip = ip.Unmap(); ip.Is4() == local.Is4() {
			c.told = ip
			return ip, nil
		}
	}
	family := map[bool]string{true: "IPv4", false: "IPv6"}
	return netip.Addr{}, fmt.Errorf("the address for active mode, %s, is no %s address, and the server is spoken to by %[2]s", c.cfg.Address, family[local.Is4()])
}

func (c *Conn) lookUp(host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ctx, cancel := withTimeout(c.context(), c.cfg.Timeout)
	defer cancel()
	look := c.cfg.Lookup
	if look == nil {
		look = net.DefaultResolver.LookupNetIP
	}
	return look(ctx, "ip", host)
}

func eprt(ip netip.Addr, port int) string {
	if ip.Is4() {
		return fmt.Sprintf("EPRT |1|%s|%d|", ip, port)
	}
	return fmt.Sprintf("EPRT |2|%s|%d|", ip, port)
}

// glance is how often, while the server's connection is waited for, its replies are
// looked at: a server that cannot connect says so there.
const glance = 50 * time.Millisecond

// accept waits for the server's connection and turns away everybody else's. If the server
// gives up first, its reply is returned instead.
func (c *Conn) accept(dr *door, verb string) (net.Conn, Reply, error) {
	defer dr.Close()
	peer, _ := c.raw.RemoteAddr().(*net.TCPAddr)
	by := time.Now().Add(c.patience())
	var stranger net.Addr
	for {
		if c.interrupted() {
			return nil, Reply{}, c.broken("data connection", true, context.Canceled)
		}
		// What the server has connected before it spoke waits at the door.
		spoke := c.stray()
		dr.SetDeadline(time.Now().Add(min(glance, max(time.Until(by), time.Millisecond))))
		nc, err := dr.AcceptTCP()
		switch {
		case err == nil:
			if from := nc.RemoteAddr().(*net.TCPAddr); peer != nil && from.IP.Equal(peer.IP) {
				return dr.admit(nc), Reply{}, nil
			}
			stranger = nc.RemoteAddr()
			c.trace("! data connection from " + stranger.String() + " turned away")
			reset(nc)
		case !timedOut(err):
			return nil, Reply{}, c.broken("data connection", true, err)
		case spoke:
			r, err := c.readReply(verb)
			if err == nil && stranger != nil && r.Class() != 1 {
				err = c.condemn(&Error{Fault: Unreached, Step: "data connection", Sent: true, Reply: r, living: true,
					Err: fmt.Errorf("it came from %v and not from the server, which is %v, and was turned away", stranger, peer)})
			} else if err == nil && r.OK() {
				err = c.condemn(&Error{Fault: Garbage, Step: verb, Sent: true, Reply: r, Err: errors.New("the end of a transfer without a data connection")})
			}
			if err != nil || r.Class() != 1 { // some announce the transfer twice
				return nil, r, err
			}
		case time.Now().After(by):
			return nil, Reply{}, c.condemn(c.notMade(true, true, fmt.Errorf("the server did not connect to %s: %w", net.JoinHostPort(c.told.String(), fmt.Sprint(dr.port())), err)))
		}
	}
}
