package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/proxy"
)

// proxyFor is the proxy that the options name, else the environment; nil for none.
func proxyFor(o option.Options, t target.Target) (*proxy.Proxy, error) {
	if o.Proxy == "none" {
		return nil, nil
	}
	if o.Proxy == "" && (o.ProxyKind != "" || o.ProxyUser != "") {
		return nil, errors.New("socks5, httpproxy and proxy_user say more of a proxy, and none is named: proxy=HOST:PORT")
	}
	var p *proxy.Proxy
	var err error
	if o.Proxy == "" {
		p, err = proxy.FromEnvironment(os.Getenv, t.Addr())
	} else if p, err = proxy.Parse(o.Proxy, cmp.Or(o.ProxyKind, proxy.HTTP)); err == nil && o.ProxyKind != "" && p.Kind != o.ProxyKind {
		err = fmt.Errorf("proxy=%s is of another kind than another option says", p)
	}
	if err != nil || p == nil {
		return nil, err
	}
	name, password, _ := strings.Cut(o.ProxyUser, ":")
	if name != "" {
		err = logInTo(p, name, password)
	}
	if o.Active {
		from := ""
		if o.Proxy == "" {
			from = ", which the environment names; proxy=none goes without"
		}
		err = fmt.Errorf("active has the server connect to this machine, which it cannot through the proxy %s%s; leave one of them away", p, from)
	}
	return p, err
}

// logInTo adds a user and a password from elsewhere to a proxy.
func logInTo(p *proxy.Proxy, user, password string) error {
	if user != "" && p.User != "" && user != p.User {
		return fmt.Errorf("the proxy %s is given two users", p)
	}
	p.User, p.Password = cmp.Or(user, p.User), cmp.Or(password, p.Password)
	if err := p.Check(); err != nil {
		return fmt.Errorf("the proxy %s: %w", p, err)
	}
	return nil
}
