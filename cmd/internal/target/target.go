// Package target understands how people name a directory on an FTP server: URLs,
// curlftpfs' bare hosts, scp's user@host:path and fstab's ftpfs#URL. It knows
// nothing of the network; a Target is only what was written, decoded and
// checked. It also finds passwords inside command-line arguments, so that they
// can be blanked before anybody reads them in ps.
package target

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Target names one directory on one server for one user.
type Target struct {
	Host string `json:"host"`           // name or address, lower case, without brackets
	Port int    `json:"port"`           // 21 unless given, 990 for implicit TLS
	User string `json:"user,omitempty"` // "" when none was given
	// Dir is "" for the login directory, "a/b" for one below it, "/a/b" for an
	// absolute one. Raw bytes, never with "..", empty or "." components.
	Dir string `json:"dir"`
	TLS TLS    `json:"tls,omitempty"`

	password    string
	hasPassword bool
	portGiven   bool
}

// TLS is how much encryption is asked for.
type TLS string

const (
	Unsaid   TLS = ""         // ftp://, or no scheme: none, unless an option says otherwise
	Off      TLS = "off"      // by option
	Try      TLS = "try"      // by option: where the server takes it
	Explicit TLS = "explicit" // ftpes://
	Implicit TLS = "implicit" // ftps://
)

// Default ports.
const (
	DefaultPort  = 21
	ImplicitPort = 990
)

// Ask adds what the option tls= says to what the URL says. A URL that asks for
// encryption is not talked out of it.
func (t *Target) Ask(how TLS) error {
	switch {
	case how == Unsaid || how == t.TLS:
		return nil
	case t.TLS != Unsaid:
		return fmt.Errorf("tls=%s and the URL's %s:// differ", how, t.scheme())
	}
	t.TLS = how
	if how == Implicit && !t.portGiven && t.Port == DefaultPort {
		t.Port = ImplicitPort
	}
	return nil
}

func (t Target) scheme() string {
	switch t.TLS {
	case Explicit:
		return "ftpes"
	case Implicit:
		return "ftps"
	}
	return "ftp"
}

func (t Target) defaultPort() int {
	if t.TLS == Implicit {
		return ImplicitPort
	}
	return DefaultPort
}

// Clear is the same directory without a word about encryption: what it is, and not
// how it is reached.
func (t Target) Clear() Target {
	t.TLS = Unsaid
	return t
}

// Password returns the password that stood in the URL, and whether one did.
func (t Target) Password() (string, bool) { return t.password, t.hasPassword }

// PortGiven says whether the port was written out.
func (t Target) PortGiven() bool { return t.portGiven }

// Addr is host:port, as errors show it.
func (t Target) Addr() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// String is the canonical URL, never with a password: what /proc/mounts, ps and
// logs show.
func (t Target) String() string {
	var b strings.Builder
	b.WriteString(t.scheme() + "://")
	if t.User != "" {
		b.WriteString(escape(t.User, false))
		b.WriteByte('@')
	}
	if strings.Contains(t.Host, ":") {
		b.WriteString("[" + strings.ReplaceAll(t.Host, "%", "%25") + "]")
	} else {
		b.WriteString(t.Host)
	}
	if t.Port != t.defaultPort() {
		b.WriteString(":" + strconv.Itoa(t.Port))
	}
	if t.Dir != "" {
		b.WriteString("/" + escape(t.Dir, true))
	}
	return b.String()
}

// escape keeps what is safe in a URL, in /proc/mounts and on a terminal.
func escape(s string, slash bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			strings.IndexByte("-._~!$'()*+=", c) >= 0, c == '/' && slash, c >= 0x80:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
