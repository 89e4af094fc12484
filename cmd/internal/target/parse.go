package target

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Parse reads s in any of the accepted forms:
//
//	ftp://[user[:password]@]host[:port][/path]
//	ftpes://…, ftps://…                           (TLS: explicit; implicit, port 990)
//	[user[:password]@]host[:port][/path]          (curlftpfs)
//	[user@]host:path                              (scp; path is literal, absolute when it begins with "/")
//	ftpfs#ANY OF THESE                            (fstab)
//
// In the URL forms user, password and path are percent-decoded; /path is below
// the login directory, //path and /%2Fpath are absolute.
func Parse(s string) (Target, error) {
	if strings.TrimSpace(s) == "" {
		return Target{}, errors.New("the URL is empty")
	}
	t, err := parse(s)
	if err != nil {
		return Target{}, fmt.Errorf("%s: %w", Redact(s), err)
	}
	return t, nil
}

func parse(s string) (Target, error) {
	s = strings.TrimPrefix(s, "ftpfs#")
	rest := s
	if strings.HasPrefix(s, "-") {
		return Target{}, errors.New("it looks like an option; write ftp:// before a name that begins with -")
	}
	if scheme, after, ok := strings.Cut(s, "://"); ok && isScheme(scheme) {
		how := Unsaid
		switch strings.ToLower(scheme) {
		case "ftp":
		case "ftpes":
			how = Explicit
		case "ftps":
			how = Implicit
		default:
			return Target{}, fmt.Errorf("unknown scheme %q; use ftp://, ftpes:// or ftps://", scheme)
		}
		return parseURL(after, how)
	}
	if strings.ContainsAny(rest, "\r\n\x00") {
		return Target{}, errControl
	}
	user, hostpart := splitUser(rest)
	if host, path, ok := cutScp(hostpart); ok {
		if strings.Contains(user, ":") {
			return Target{}, errors.New("a password cannot stand in the user@host:path form; use ftp:// or credentials=FILE")
		}
		t := Target{User: user, Port: DefaultPort}
		if err := t.setHost(host); err != nil {
			return Target{}, err
		}
		if err := t.setDir(path, strings.HasPrefix(path, "/")); err != nil {
			return Target{}, err
		}
		return t, nil
	}
	return parseURL(rest, Unsaid)
}

var errControl = errors.New("line ends and NUL cannot be sent to an FTP server")

// parseURL parses what follows "ftp://".
func parseURL(rest string, how TLS) (Target, error) {
	authority, path, hasPath := strings.Cut(rest, "/")
	t := Target{TLS: how}
	t.Port = t.defaultPort()
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, has := strings.Cut(authority[:i], ":")
		var err error
		if t.User, err = decode(user); err != nil {
			return Target{}, fmt.Errorf("user: %w", err)
		}
		if t.password, err = decode(password); err != nil {
			return Target{}, fmt.Errorf("password: %w", errors.New("bad percent encoding or a control character"))
		}
		t.hasPassword = has
		authority = authority[i+1:]
		if t.User == "" && has {
			return Target{}, errors.New("a password without a user")
		}
	}
	host, port, err := splitPort(authority)
	if err != nil {
		return Target{}, err
	}
	if port != 0 {
		t.Port, t.portGiven = port, true
	}
	if err := t.setHost(host); err != nil {
		return Target{}, err
	}
	if !hasPath {
		return t, nil
	}
	path = cutType(path)
	dir, err := decode(path)
	if err != nil {
		return Target{}, fmt.Errorf("path: %w", err)
	}
	return t, t.setDir(dir, strings.HasPrefix(dir, "/"))
}

// cutType drops RFC 1738's ";type=i", which says nothing to a mount.
func cutType(path string) string {
	if i := len(path) - len(";type=i"); i >= 0 && strings.EqualFold(path[i:i+6], ";type=") &&
		strings.ContainsAny(path[i+6:], "aAiIdD") {
		return path[:i]
	}
	return path
}

func decode(s string) (string, error) {
	d, err := url.PathUnescape(s)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(d, "\r\n\x00") {
		return "", errControl
	}
	return d, nil
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(s[i]))) {
			return false
		}
	}
	return s != ""
}

// splitUser cuts at the last @ of the part before the first slash: user names
// of hosting providers contain @ themselves.
func splitUser(s string) (user, rest string) {
	end := strings.IndexByte(s, '/')
	if end < 0 {
		end = len(s)
	}
	if i := strings.LastIndexByte(s[:end], '@'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}

// cutScp reports whether s is host:path, that is, whether something other than
// a port follows the colon after the host.
func cutScp(s string) (host, path string, ok bool) {
	from := 0
	if strings.HasPrefix(s, "[") {
		if from = strings.IndexByte(s, ']'); from < 0 {
			return "", "", false
		}
	}
	i := strings.IndexByte(s[from:], ':')
	slash := strings.IndexByte(s[from:], '/')
	if i < 0 || slash >= 0 && slash < i {
		return "", "", false
	}
	i += from
	after, _, _ := strings.Cut(s[i+1:], "/")
	if digits(after) || from == 0 && strings.Contains(after, ":") { // a port, or a bare IPv6 address
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func splitPort(s string) (host string, port int, err error) {
	host = s
	p := ""
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, errors.New("missing ] after the address")
		}
		host, p = s[:end+1], s[end+1:]
		if p == "" || p == ":" {
			return host, 0, nil
		}
		if p[0] != ':' {
			return "", 0, fmt.Errorf("%q after the address", p)
		}
		p = p[1:]
	case strings.Count(s, ":") > 1:
		return "", 0, errors.New("write an IPv6 address in brackets: ftp://[" + s + "]")
	default:
		host, p, _ = strings.Cut(s, ":")
		if p == "" {
			return host, 0, nil
		}
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("bad port %q", p)
	}
	return host, int(n), nil
}

func (t *Target) setHost(h string) error {
	if strings.HasPrefix(h, "[") {
		in, err := decode(strings.TrimSuffix(h[1:], "]"))
		if err != nil {
			return err
		}
		a, err := netip.ParseAddr(in)
		if err != nil || !a.Is6() {
			return fmt.Errorf("%q is not an IPv6 address", in)
		}
		t.Host = a.String()
		return nil
	}
	h, err := decode(h)
	if err != nil {
		return err
	}
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	if h == "" {
		return errors.New("no host in it")
	}
	if strings.HasPrefix(h, ".") || strings.HasSuffix(h, ".") || strings.Contains(h, "..") {
		return fmt.Errorf("%q cannot be a host name", h)
	}
	for _, r := range h {
		if r <= ' ' || strings.ContainsRune("/\\?#@:[]%<>\"'`|;&$*(){}", r) || r == 0x7f {
			return fmt.Errorf("%q cannot be a host name", h)
		}
	}
	t.Host = h
	return nil
}

func (t *Target) setDir(dir string, absolute bool) error {
	var parts []string
	for _, c := range strings.Split(dir, "/") {
		switch c {
		case "", ".":
		case "..":
			return errors.New("\"..\" cannot stand in the directory")
		default:
			parts = append(parts, c)
		}
	}
	t.Dir = strings.Join(parts, "/")
	if absolute {
		t.Dir = "/" + t.Dir
	}
	return nil
}
