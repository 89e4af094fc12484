package ftpconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jlaffaye/ftp"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/proxy"
	"ftpfs/ftpconn/wire"
)

// login makes a new session. The error is *full when the server has no
// connection left, of kind Auth when it refused the password, and otherwise a
// broken dialogue. It takes no longer than the timeout.
func (s *Store) login(ctx context.Context) (*session, error) {
	for {
		lctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		ss, err := s.loginOnce(lctx)
		cancel()
		f := wire.FaultOf(err)
		switch {
		case f != nil && f.Fault == wire.Surprise: // happens once: the trick is off now
			continue
		case f != nil && f.Fault == wire.Stopped && ctx.Err() == nil:
			err = &wire.Error{Fault: wire.Stalled, Step: f.Step, Err: errors.New("the login took too long")}
			if pe := (*proxy.Error)(nil); errors.As(f.Err, &pe) {
				err = &wire.Error{Fault: wire.Stalled, Step: f.Step, Err: pe}
			}
		case f != nil && f.Fault == wire.Lost && alerted(f):
			f.Fault = wire.Insecure // TLS 1.3 tells that our certificate is missing or wrong behind its handshake
		}
		if f := wire.FaultOf(err); f != nil && f.Fault == wire.Insecure && alerted(f) && s.cfg.TLS.Certificate != nil {
			err = &wire.Error{Fault: wire.Insecure, Step: f.Step, Sent: true, Err: fmt.Errorf("%w (%w)", errNotTaken, f.Err)}
		}
		if f := wire.FaultOf(err); f != nil && f.Fault == wire.Stalled && f.Step == "greeting" && s.cfg.TLS.Security != Implicit && !s.server.known().seen {
			err = &wire.Error{Fault: wire.Stalled, Step: f.Step, Err: errors.New("where TLS is spoken from the first byte on, ftps:// (tls=implicit) is right")}
		}
		return ss, err
	}
}

func (s *Store) loginOnce(ctx context.Context) (_ *session, err error) {
	id := int(s.count.conns.Add(1))
	begun := time.Now()
	w, err := wire.Dial(ctx, s.wireConfig(id))
	if err != nil {
		return nil, turnedAway(err)
	}
	connected := time.Now()
	if !s.server.known().seen {
		s.recallWire(w.Greeting().Text())
	}
	defer w.Bind(ctx)()
	defer func() {
		s.count.commands.Add(w.Sent())
		if err != nil {
			w.Close()
		}
	}()
	ss := &session{store: s, id: id, wire: w, last: time.Now(), slept: s.pool.slept()}
	ss.lib, err = ftp.Dial(s.cfg.addr(), ftp.DialWithDialFunc(w.Library()), ftp.DialWithDisabledUTF8(s.cfg.Codepage != nil))
	if err != nil {
		return nil, err
	}
	s.tellTry()
	guard := w.Protection()
	first := append(guard, "TYPE I", s.cfg.wantUTF8())
	if s.traits.Known().Segments != wire.Off && s.mayHaveMLST(w.Greeting()) { // else each costs a round trip, and it is asked once it is known to be of use
		first = append(first, onlyWanted)
	}
	w.BeforeFeat(append(first, "PWD")...)
	if err := ss.lib.Login(s.cfg.User, s.cfg.Password); err != nil {
		return nil, s.loginFailed(w, err)
	}
	s.pool.loggedIn(time.Since(connected), connected.Sub(begun))
	s.count.logins.Add(1)
	if err := protectData(w, guard); err != nil {
		return nil, err
	}
	feats := features(w.Features())
	s.warnClear(w, feats)
	if err := s.keepPage(w, feats); err != nil {
		return nil, err
	}
	if err := ss.wantFacts(feats); err != nil {
		return nil, err
	}
	if ss.base, err = s.baseOf(w); err != nil {
		return nil, err
	}
	software := softwareOf(w.Greeting().Text())
	if k := s.server.known(); software == "" && k.seen && k.greeting == w.Greeting().Text() {
		software = k.software
	} else if software == "" {
		// The owner's banner hides the product; most tell it when asked.
		r, err := w.Cmd("STAT")
		if err != nil {
			return nil, err
		}
		software = softwareOf(r.Text())
	}
	ss.server = lasting(w.Greeting().Text())
	s.server.learn(func(f *facts) {
		switch {
		case !f.seen:
			if m := s.memory.now(); m.Greeting == ss.server && m.Features == listed(feats) {
				m.recall(f)
			}
		case lasting(f.greeting) != ss.server: // another one answers, and nothing is known of it
			s.log.Info("the server greets differently; what was learned of it is learned anew", "greeting", w.Greeting().Text())
			*f = facts{}
		}
		f.seen = true
		f.greeting = w.Greeting().Text()
		f.software = software
		f.features = feats
		_, f.mlst = feats["MLST"]
		f.base = ss.base
	})
	ss.told = w.Sent()
	return ss, nil
}

func (s *Store) wireConfig(id int) wire.Config {
	cfg := wire.Config{Host: s.cfg.Host, Port: s.cfg.Port, Dial: s.cfg.Dial, Timeout: s.cfg.Timeout,
		Active: s.cfg.Active, Auto: !s.cfg.Active && !s.cfg.Passive && s.cfg.Proxy == nil, Address: s.cfg.Announce, Ports: s.ports, Proxied: s.cfg.Proxy != nil, Traits: s.traits, Moved: &s.count.moved, ID: id}
	if t := s.cfg.TLS; t.Security != Clear {
		cfg.TLS = wire.TLS{Security: t.Security, Config: t.config(s.cfg.Host), ClearData: t.ClearData, Shared: &s.tls}
	}
	if s.cfg.Trace || s.cfg.Watch != nil {
		cfg.Trace = func(id int, line string) {
			if s.cfg.Trace {
				s.log.Debug("ftp", "conn", id, "line", line)
			}
			if s.cfg.Watch != nil {
				s.cfg.Watch(id, line)
			}
		}
	}
	return cfg
}

// protectData takes the replies that say how data is protected.
func protectData(w *wire.Conn, guard []string) error {
	for i, cmd := range guard {
		r, err := w.KnownOr(cmd)
		if err == nil && i == len(guard)-1 {
			err = w.ProtectionAgreed(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turnedAway sorts a greeting that was a refusal.
func turnedAway(err error) error {
	f := wire.FaultOf(err)
	if f == nil || f.Reply.Code == 0 || f.Fault == wire.Insecure {
		return err
	}
	if kindOf("login", f.Reply) == remote.Auth && f.Reply.Code == 421 { // banned: every further try prolongs it
		return as(remote.Auth, f.Reply)
	}
	if f.Reply.Code == 421 || kindOf("login", f.Reply) == remote.Temporary {
		return &full{as(remote.Temporary, f.Reply)}
	}
	return as(remote.Down, f.Reply)
}

// loginFailed sorts what the server said to USER or PASS.
func (s *Store) loginFailed(w *wire.Conn, err error) error {
	f := wire.FaultOf(err)
	if r := w.Last(); !w.Protected() && r.WantsTLS() {
		return &wire.Error{Fault: wire.Insecure, Step: "login", Sent: true, Reply: r, Err: wire.ErrWantsTLS}
	}
	if f != nil && f.Reply.Code == 421 && kindOf("login", f.Reply) == remote.Auth {
		return as(remote.Auth, f.Reply)
	}
	if f != nil && f.Reply.Code == 421 {
		return &full{as(remote.Temporary, f.Reply)}
	}
	if f != nil {
		return f
	}
	r := w.Last()
	switch {
	case kindOf("login", r) == remote.Temporary:
		return &full{as(remote.Temporary, r)}
	case r.Class() == 5 || r.Class() == 3:
		e := as(remote.Auth, r)
		e.Text = strings.TrimSpace(e.Text)
		return e
	case r.Class() == 4:
		return as(remote.Down, r)
	case r.Class() == 2: // one that belongs to something else
		return &wire.Error{Fault: wire.Garbage, Step: "login", Sent: true, Reply: r, Err: errors.New("that does not answer a login")}
	}
	return err
}

// features are FEAT's lines by command. What has several lines, as AUTH TLS and AUTH SSL
// are on some servers, is put together as others put it in one, with semicolons.
func features(r wire.Reply) map[string]string {
	m := make(map[string]string)
	if !r.OK() || len(r.Lines) < 2 {
		return m
	}
	for _, l := range r.Lines[1 : len(r.Lines)-1] {
		name, arg, _ := strings.Cut(strings.TrimSpace(l), " ")
		name = strings.ToUpper(name)
		if before := m[name]; before != "" {
			arg = before + ";" + arg
		}
		if name != "" {
			m[name] = arg
		}
	}
	return m
}

// baseOf finds the absolute path of the mounted directory.
func (s *Store) baseOf(w *wire.Conn) (string, error) {
	dir := s.cfg.Dir
	if strings.HasPrefix(dir, "/") {
		return clean(dir), nil
	}
	r, err := w.KnownOr("PWD")
	if err != nil {
		return "", err
	}
	home, ok := quoted(r)
	if !ok {
		return "", &remote.Error{Kind: remote.Protocol, Code: r.Code, Text: r.Text(), Err: errors.New("the server does not tell the login directory")}
	}
	return clean(decode(s.cfg.Codepage, home) + "/" + dir), nil
}

// clean removes empty and "." components; ".." is left to the server.
func clean(p string) string {
	var out []string
	for _, c := range strings.Split(p, "/") {
		if c != "" && c != "." {
			out = append(out, c)
		}
	}
	return "/" + strings.Join(out, "/")
}

// quoted takes the path out of a 257 reply; quotes inside are doubled.
func quoted(r wire.Reply) (string, bool) {
	t := r.Text()
	i := strings.IndexByte(t, '"')
	if r.Code != 257 || i < 0 {
		return "", false
	}
	var b strings.Builder
	for t = t[i+1:]; t != ""; t = t[1:] {
		if t[0] == '"' {
			if len(t) < 2 || t[1] != '"' {
				return b.String(), strings.HasPrefix(b.String(), "/")
			}
			t = t[1:]
		}
		b.WriteByte(t[0])
	}
	return "", false
}
