package proxy

import (
	"fmt"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// FromEnvironment is the proxy that $all_proxy, or $ALL_PROXY, names for a server, unless
// $no_proxy, or $NO_PROXY, excepts it; nil for none. This machine itself is never reached
// through it. ($ftp_proxy is another thing: an HTTP proxy that is asked for ftp: URLs.)
func FromEnvironment(getenv func(string) string, addr string) (*Proxy, error) {
	name := "all_proxy"
	value := getenv(name)
	if value == "" {
		name = "ALL_PROXY"
		value = getenv(name)
	}
	if value == "" {
		return nil, nil
	}
	except := getenv("no_proxy")
	if except == "" {
		except = getenv("NO_PROXY")
	}
	// The library knows the rules of exceptions; it is given a proxy that it can read.
	rules := httpproxy.Config{HTTPProxy: "http://proxy.invalid:1", NoProxy: except}
	if u, err := rules.ProxyFunc()(&url.URL{Scheme: "http", Host: addr}); err != nil || u == nil {
		return nil, err
	}
	p, err := Parse(value, HTTP)
	if err != nil {
		return nil, fmt.Errorf("$%s: %w; proxy=none goes without", name, err)
	}
	return p, nil
}
