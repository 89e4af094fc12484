package doctor

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/wire"
)

// data lists the directory, for the first time: are there data connections?
func (r *run) data(ctx context.Context) (Finding, error) {
	f := Finding{Level: OK}
	mark := r.watch.mark()
	entries, err := r.d.List(ctx, "/")
	fault := wire.FaultOf(err)
	if fault != nil && fault.Fault == wire.Surprise {
		return f, err // it is done again in another way
	}
	if errors.As(err, new(*ftpconn.Insecure)) {
		f = Finding{Level: Problem, Text: plain(cause(err))}
		f.Sent, f.Came = r.watch.failure(mark)
		f.remedy()
		r.halt("there is no data connection")
		return f, nil
	}
	if err != nil && ctx.Err() == nil && (fault != nil || r.noData(mark)) {
		r.hangUp()
		f = Finding{Level: Problem, Text: "none can be made: " + plain(cause(err)),
			Try: "a firewall may be between; active mode (active) fails too"}
		if r.asked.Active {
			f.Try = "leave active away; or see what active_address and active_ports can do"
		}
		if f.Sent, f.Came = r.watch.failure(mark); f.Came == "" && f.Sent != "" {
			f.Came = "no answer"
		}
		if entries, err = r.actively(ctx); err != nil {
			r.halt("there is no data connection")
			return f, nil
		}
	} else if err != nil {
		if fault == nil { // a refusal, or a listing that is not understood: that is for the next probe
			r.listErr = err
			r.listSent, r.listCame = r.watch.failure(mark)
			return r.how(ctx, f, mark)
		}
		return f, err
	}
	r.root = entries
	return r.how(ctx, f, mark)
}

// noData says that what was refused since mark is the data connection.
func (r *run) noData(mark int) bool {
	sent, came := r.watch.failure(mark)
	verb, _, _ := strings.Cut(sent, " ")
	return verb == "EPSV" || verb == "PASV" || verb == "EPRT" || verb == "PORT" || strings.HasPrefix(came, "425")
}

// actively goes on in active mode.
func (r *run) actively(ctx context.Context) ([]remote.Entry, error) {
	if r.cfg.Server.Active {
		return nil, errors.New("it was active mode that failed")
	}
	cfg := r.cfg.Server
	cfg.Active = true
	s := ftpconn.New(cfg)
	d, err := login(ctx, s, cfg)
	var entries []remote.Entry
	if err == nil {
		if entries, err = d.List(ctx, "/"); err != nil {
			d.Close()
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	r.store.Close()
	r.store, r.d, r.cfg.Server = s, d, cfg
	return entries, nil
}

// how says how data connections are made; those that failed were tried since mark.
func (r *run) how(ctx context.Context, f Finding, mark int) (Finding, error) {
	facts := &r.rep.Facts
	facts.Data = r.store.Stats().Passive
	switch {
	case facts.Data != "active":
		f.Text = "passive, by " + facts.Data
	case r.asked.Active:
		f.Text = "active: the server connects to us"
	default:
		r.options = append(r.options, Option{"active", "passive data connections fail, and this saves the mount their trial"})
		f.Level, f.Text, f.Try = Note, "passive ones fail, active ones work", "mount with -o active"
		if because := r.store.Stats().Because; f.Came == "" && because != "" { // the mount's own trial
			if f.Sent, f.Came = r.watch.failure(mark); f.Came == "" {
				f.Sent, f.Came = "(connect for data)", plain(because)
			}
		}
	}
	if facts.Data == "active" || r.d == nil || r.d.Dead() != nil {
		return f, nil
	}
	reply, err := r.d.Cmd(ctx, "PASV")
	if err != nil {
		return f, err
	}
	told := addressIn(reply)
	if told == "" {
		if !reply.OK() && facts.Data == "EPSV" {
			f.Text += " (PASV is refused)"
		}
		return f, nil
	}
	if facts.PASV = told; told != r.d.Peer() && net.ParseIP(r.d.Peer()).To4() != nil {
		f.More = append(f.More, "PASV tells the address "+told+" and not "+r.d.Peer()+"; the mount does not go there")
	}
	return f, nil
}

var address = regexp.MustCompile(`(\d+),(\d+),(\d+),(\d+),\d+,\d+`)

func addressIn(r wire.Reply) string {
	m := address.FindStringSubmatch(r.Text())
	if !r.OK() || m == nil {
		return ""
	}
	return strings.Join(m[1:], ".")
}
