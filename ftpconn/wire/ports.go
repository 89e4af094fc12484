package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Ports are those of this machine that a server may connect to in active mode, shared by
// the connections to it. A port is taken until its data connection has ended: a server
// that connects from one port of its own (20) cannot have two connections to one of ours.
type Ports struct {
	low, high int // immutable

	mu    sync.Mutex // guards what follows; a leaf
	next  int        // where the search begins: each port rests as long as it can, as the server may not connect to it again for a minute
	taken map[int]bool
	freed chan struct{} // closed, and renewed, when one becomes free
}

// NewPorts are those from low to high.
func NewPorts(low, high int) *Ports {
	return &Ports{low: low, high: high, next: low, taken: make(map[int]bool), freed: make(chan struct{})}
}

// Count is how many there are.
func (p *Ports) Count() int { return p.high - p.low + 1 }

// lookAgain is how often ports that other programs hold are tried again.
const lookAgain = 250 * time.Millisecond

// listen opens one of the ports at ip (nil: any address of the machine), or one that the
// kernel chooses when p is nil. While all are in use it waits.
func (p *Ports) listen(ctx context.Context, network string, ip net.IP, zone string, patience time.Duration) (*door, error) {
	if p == nil {
		ln, err := net.ListenTCP(network, &net.TCPAddr{IP: ip, Zone: zone})
		if err != nil {
			return nil, err
		}
		return &door{TCPListener: ln, free: func() {}}, nil
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		d, freed, err := p.tryAll(network, ip, zone)
		if d != nil || err != nil {
			return d, err
		}
		again := time.NewTimer(lookAgain)
		select {
		case <-freed:
		case <-again.C:
		case <-ctx.Done():
			err = ctx.Err()
		case <-late.C:
			err = fmt.Errorf("all ports from %d to %d have been in use for %v: a wider range (active_ports) lets more transfers run at once", p.low, p.high, patience)
		}
		again.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// tryAll returns neither a door nor an error when all ports are in use.
func (p *Ports) tryAll(network string, ip net.IP, zone string) (_ *door, freed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.Count() {
		port := p.next
		if p.next++; p.next > p.high {
			p.next = p.low
		}
		if p.taken[port] {
			continue
		}
		ln, err := net.ListenTCP(network, &net.TCPAddr{IP: ip, Zone: zone, Port: port})
		switch {
		case err == nil:
			p.taken[port] = true
			return &door{TCPListener: ln, free: func() { p.free(port) }}, nil, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return nil, nil, err
		}
	}
	return nil, p.freed, nil
}

func (p *Ports) free(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
	close(p.freed)
	p.freed = make(chan struct{})
}

// door is where one data connection comes in.
type door struct {
	*net.TCPListener
	free func() // the port; nil: that is up to the connection now
}

func (d *door) port() int { return d.Addr().(*net.TCPAddr).Port }

func (d *door) Close() error {
	err := d.TCPListener.Close()
	if d.free != nil {
		d.free()
		d.free = nil
	}
	return err
}

// admit makes nc the connection that the door was for.
func (d *door) admit(nc *net.TCPConn) net.Conn {
	g := &guest{TCPConn: nc, free: d.free}
	d.free = nil
	return g
}

// guest is a data connection that came in; its port is taken until it is closed.
type guest struct {
	*net.TCPConn
	once sync.Once
	free func()
}

func (g *guest) Close() error {
	defer g.once.Do(g.free)
	return g.TCPConn.Close()
}
