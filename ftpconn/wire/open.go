package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// opening is how a dialogue gets its data connection. cmd is "" when that is
// settled; otherwise it goes first in the segment, and done takes its reply.
type opening struct {
	cmd     string
	done    func(Reply) error
	refused Reply
}

// open finds the way to the data connection: a prepared one, one opened by a
// command in the verb's own segment, or one opened now.
func (d *dialogue) open() (opening, error) {
	c := d.c
	d.mode, d.trial = c.mode()
	if d.mode == Active {
		return d.openActive()
	}
	nc, err := c.takePrepared()
	switch {
	case err != nil:
		return opening{}, c.failed(err)
	case nc != nil:
		d.data, d.early = nc, true
		return opening{}, nil
	}
	tr := c.cfg.Traits
	cmd, proven := "EPSV", tr.get(&tr.epsv)
	if proven == Off {
		cmd, proven = "PASV", tr.get(&tr.pasv)
	}
	if d.jointT = tr.get(&tr.joint); proven == Proven && d.segments != Off && d.jointT != Off && !d.t.Alone && !tr.faltering(Passive) {
		d.joint = true
		return opening{cmd: cmd, done: func(r Reply) (err error) {
			d.data, d.failed, err = c.passive(cmd, r)
			return err
		}}, nil
	}
	var refused Reply
	nc, refused, err = c.openPassive()
	d.data = nc
	return opening{refused: refused}, err
}

// openPassive asks for a port, EPSV first, and connects to it. Where EPSV never worked
// and its port cannot be reached, PASV's is tried too: there are firewalls that read only
// the old command's answers.
func (c *Conn) openPassive() (net.Conn, Reply, error) {
	tr := c.cfg.Traits
	was := tr.get(&tr.epsv)
	var unreached error
	if was != Off {
		r, err := c.Cmd("EPSV")
		if err != nil {
			return nil, Reply{}, err
		}
		switch {
		case r.Code == 229:
			nc, failed, err := c.passive("EPSV", r)
			if failed == nil {
				return nc, Reply{}, err
			}
			if was == Proven || !c.cfg.Auto || strings.Contains(c.peer, ":") {
				return nil, Reply{}, c.failed(failed)
			}
			unreached = failed
		case r.Class() < 4, r.WantsTLS() && c.tooOpen("EPSV", r) != nil:
			return nil, r, nil
		case r.Class() == 5:
			tr.learn(&tr.epsv, Off)
		}
	}
	r, err := c.Cmd("PASV")
	switch {
	case err != nil:
		return nil, Reply{}, err
	case !r.OK() && unreached != nil:
		return nil, Reply{}, c.failed(unreached)
	case !r.OK():
		return nil, r, nil
	}
	nc, failed, err := c.passive("PASV", r)
	if failed != nil {
		err = c.failed(failed)
	} else if err == nil && unreached != nil {
		tr.learn(&tr.epsv, Off)
	}
	return nc, Reply{}, err
}

// failed is the fault of a passive data connection that was not made, where no command is
// under way that would explain it. If the server does not answer any more it is that.
func (c *Conn) failed(err error) error {
	err = c.notMade(false, true, err)
	if FaultOf(err).Fault != Unreached {
		return err
	}
	if dead := c.living(); dead != nil {
		return dead
	}
	return err
}

// passive connects to the port in the reply to EPSV or PASV, always at the
// control connection's peer: an address in the answer may be private, wrong, or
// somebody else's. failed is a connection that was not made: ProFTPD closes the port
// as soon as it has refused a verb that came along with EPSV.
func (c *Conn) passive(cmd string, r Reply) (nc net.Conn, failed, err error) {
	fail := func(err error) error {
		return c.condemn(&Error{Fault: Garbage, Step: cmd, Sent: true, Reply: r, Err: err})
	}
	if !r.OK() {
		return nil, nil, c.condemn(&Error{Fault: Unreached, Step: cmd, Sent: true, Reply: r, Err: errors.New("passive mode was refused after it had worked")})
	}
	port, err := parsePort(cmd, r.Text())
	if err != nil {
		return nil, nil, fail(err)
	}
	if nc, err = c.connect(port); err != nil {
		if c.interrupted() || c.context().Err() != nil {
			return nil, nil, c.broken("data connection", true, err)
		}
		return nil, err, nil
	}
	tr := c.cfg.Traits
	if cmd == "EPSV" {
		tr.learn(&tr.epsv, Proven)
	} else {
		tr.learn(&tr.pasv, Proven)
	}
	return nc, nil, nil
}

func (c *Conn) connect(port int) (net.Conn, error) {
	ctx, cancel := withTimeout(c.context(), c.patience())
	defer cancel()
	nc, err := c.reach(ctx, port)
	if err != nil {
		if c.context().Err() == nil && ctx.Err() != nil && !c.cfg.Proxied {
			err = fmt.Errorf("no way to the server's port %d: %w", port, ctx.Err())
		}
		return nil, err
	}
	c.attach(nc)
	return nc, nil
}

// reach connects to a port of the server's.
func (c *Conn) reach(ctx context.Context, port int) (net.Conn, error) {
	return c.cfg.Dial(ctx, "tcp", net.JoinHostPort(c.peer, strconv.Itoa(port)))
}

func parsePort(cmd, text string) (int, error) {
	bad := fmt.Errorf("no port in %q", text)
	port := 0
	if cmd == "EPSV" { // 229 Entering Extended Passive Mode (|||6446|)
		i := strings.IndexByte(text, '(')
		j := strings.LastIndexByte(text, ')')
		if i < 0 || j < i+2 {
			return 0, bad
		}
		f := strings.Split(text[i+1:j], text[i+1:i+2])
		if len(f) != 5 {
			return 0, bad
		}
		p, err := strconv.Atoi(f[3])
		if err != nil {
			return 0, bad
		}
		port = p
	} else { // 227 Entering Passive Mode (h1,h2,h3,h4,p1,p2), with or without the brackets
		f := strings.FieldsFunc(text, func(r rune) bool { return r != ',' && (r < '0' || r > '9') })
		var nums []string
		for _, s := range f {
			if n := strings.Split(strings.Trim(s, ","), ","); len(n) == 6 {
				nums = n
			}
		}
		if nums == nil {
			return 0, bad
		}
		hi, err1 := strconv.ParseUint(nums[4], 10, 8)
		lo, err2 := strconv.ParseUint(nums[5], 10, 8)
		if err1 != nil || err2 != nil {
			return 0, bad
		}
		port = int(hi)<<8 | int(lo)
	}
	if port < 1 || port > 65535 {
		return 0, bad
	}
	return port, nil
}
