package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/wire"
)

// encryption tells of TLS, and where there is none whether there could be.
func (r *run) encryption(ctx context.Context) {
	how := r.cfg.Server.TLS
	p := r.store.Protection()
	e := describe(p)
	e.Asked = how.Security.String()
	r.rep.Facts.TLS = e
	if p.Version == "" {
		if ctx.Err() == nil {
			r.add(r.inClear(ctx, p))
		}
		return
	}
	e.Offered, e.Believed = yes(true), yes(true)
	f := Finding{ID: "tls", Level: OK, Text: p.Version + ", " + p.Cipher, More: certificateLines(e)}
	switch left := time.Until(*e.Until); {
	case how.NoVerify:
		f.Level, f.Try = Note, "no_verify_peer believes anybody; pin_sha256="+e.Pin+" believes this server"
	case left < 14*24*time.Hour && left > 0 && len(how.Pins) == 0:
		f.Level = Note
		f.More = append(f.More, fmt.Sprintf("the certificate ends in %s", longer(left)))
	}
	switch {
	case how.ClearData:
		e.Data = "clear"
		f.Text += "; data in clear (clear_data)"
	case p.Data == 0:
		e.Data = "private"
	case p.DataResumed == p.Data:
		e.Data = "private"
		f.Text += fmt.Sprintf("; data too, all %d sessions resumed", p.Data)
	default:
		e.Data = "private"
		f.Text += fmt.Sprintf("; data too, %d of %d sessions resumed", p.DataResumed, p.Data)
	}
	r.add(f)
}

// inClear looks whether a server that is spoken to in clear would encrypt.
func (r *run) inClear(ctx context.Context, p wire.Protection) Finding {
	f := Finding{ID: "tls", Level: OK, Text: "none"}
	open := "the password and all data cross the network in clear"
	if w := r.store.InClear(); w != "" {
		f.Level, f.More = Note, []string{open}
	}
	if p.Clear.Code != 0 { // tls=try
		r.rep.Facts.TLS.Offered = yes(false)
		f.Text = "none: the server refuses it"
		return f.refused("AUTH TLS", p.Clear, "ask who runs the server to turn TLS on")
	}
	cfg := r.cfg.Server
	cfg.TLS.Security, cfg.TLS.NoVerify, cfg.Watch, cfg.Trace = ftpconn.Explicit, true, nil, false
	mark := &watch{}
	cfg.Watch = mark.hear
	s := ftpconn.New(cfg)
	defer s.Close()
	_, got, err := s.Meet(ctx)
	if remote.Is(err, remote.Temporary) && r.d != nil { // room for one connection only
		r.hangUp()
		err = r.store.InTurn(ctx, fullTime(r.cfg.Server), func() (err error) {
			_, got, err = s.Meet(ctx)
			return err
		})
	}
	switch {
	case err == nil && got.Leaf != nil:
		e := describe(got)
		e.Asked, e.Offered = r.rep.Facts.TLS.Asked, yes(true)
		e.Version, e.Cipher = "", "" // nothing is encrypted so far
		r.rep.Facts.TLS = e
		f.Text = "none; the server offers " + got.Version
		f.Try = r.cfg.Server.SafeURL
		if f.Try == "" {
			f.Try = "tls=explicit"
		}
		f.More = append(f.More, certificateLines(e)...)
	case errors.As(err, new(*ftpconn.Insecure)):
		r.rep.Facts.TLS.Offered = yes(false)
		f.Text = "none; the server does not offer it"
		if f.Level == Note {
			f.Sent, f.Came = mark.failure(0)
			f.Try = "ask who runs the server to turn TLS on"
		}
	default:
		f.Text = "none; whether the server offers it is not known (" + plain(cause(err)) + ")"
	}
	return f
}

// stranger tells of the certificate of a server that is not believed. It is told nothing.
func (r *run) stranger(ctx context.Context) []string {
	cfg := r.cfg.Server
	cfg.TLS.NoVerify, cfg.TLS.Pins, cfg.TLS.Roots = true, nil, nil
	s := ftpconn.New(cfg)
	defer s.Close()
	_, p, err := s.Meet(ctx)
	if err != nil || p.Leaf == nil {
		return nil
	}
	e := describe(p)
	e.Asked, e.Believed = cfg.TLS.Security.String(), yes(false)
	r.rep.Facts.TLS = e
	return append(certificateLines(e), "fingerprint (SHA-256) "+e.Fingerprint)
}

// describe is what TLS agreed on.
func describe(p wire.Protection) *Encryption {
	e := &Encryption{Version: p.Version, Cipher: p.Cipher, Handshakes: p.Data, Resumed: p.DataResumed}
	if c := p.Leaf; c != nil {
		sum := sha256.Sum256(c.Raw)
		until := c.NotAfter.UTC()
		e.Subject, e.Issuer, e.Until = plain(c.Subject.String()), plain(c.Issuer.String()), &until
		e.Fingerprint, e.Pin = hex.EncodeToString(sum[:]), pin.Of(c).String()
	}
	return e
}

func certificateLines(e *Encryption) []string {
	who := "certificate of " + orNobody(e.Subject)
	if e.Issuer == e.Subject {
		who += ", signed by itself"
	} else {
		who += ", signed by " + orNobody(e.Issuer)
	}
	return []string{who + ", until " + e.Until.Format(time.DateOnly), "pin_sha256=" + e.Pin}
}

func orNobody(s string) string {
	if s == "" {
		return "nobody in particular"
	}
	return s
}
