package option

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

func yes(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "yes", "true", "on", "1":
		return true, nil
	case "no", "false", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", v)
}

func bare(given bool) error {
	if given {
		return errors.New("it takes no value")
	}
	return nil
}

// noControl does not show v, which may be a password.
func noControl(v string) error {
	if strings.ContainsAny(v, "\r\n\x00") {
		return errors.New("line ends and NUL cannot stand in it")
	}
	return nil
}

func text(v string, to *string) error {
	if v == "" {
		return errors.New("it is empty")
	}
	*to = v
	return noControl(v)
}

// listenAt takes an address of this machine, or nothing for all of them, with a port.
func listenAt(v string, to *string) error {
	host, port, err := net.SplitHostPort(v)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host != "" && host != "localhost" && net.ParseIP(host) == nil {
		return fmt.Errorf("%q is no address with a port; write for example 127.0.0.1:9111, or :9111 for all addresses of this machine", v)
	}
	*to = v
	return nil
}

func number(v string, low, high int, to *int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return fmt.Errorf("%q is not a number from %d to %d", v, low, high)
	}
	*to = n
	return nil
}

// seconds reads a number of seconds, also broken ("0.5"), or a duration with
// units as rclone writes them ("5m", "1h30m").
func seconds(v string, to *time.Duration) error {
	if f, err := strconv.ParseFloat(v, 64); err == nil {
		if !(f >= 0 && f <= math.MaxInt32) {
			return fmt.Errorf("%q is not a number of seconds", v)
		}
		*to = time.Duration(f * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a number of seconds", v)
	}
	*to = d
	return nil
}

// Bounds of timeout: below, no server could answer in time; above, "nothing hangs"
// would be a word only.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = time.Hour
)

// host reads a host name or an address, this perhaps in brackets.
func host(v string, to *string) error {
	if in, ok := strings.CutPrefix(v, "["); ok {
		v = strings.TrimSuffix(in, "]")
	}
	if ip, err := netip.ParseAddr(v); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			return fmt.Errorf("%q is not an address that a server could connect to", v)
		}
		*to = ip.String()
		return nil
	}
	for _, label := range strings.Split(strings.TrimSuffix(v, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return r < 0x80 && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			return fmt.Errorf("%q is neither an address nor a host name", v)
		}
	}
	if strings.Trim(v, "0123456789.") == "" {
		return fmt.Errorf("%q is not a whole address", v)
	}
	*to = v
	return nil
}

// ports reads a range such as 50000-50010, or one port.
func ports(v string, to *Range) error {
	low, high, ok := strings.Cut(v, "-")
	if !ok {
		high = low
	}
	var r Range
	if number(low, 1, 65535, &r.Low) != nil || number(high, 1, 65535, &r.High) != nil {
		return fmt.Errorf("%q is not a range of ports such as 50000-50010", v)
	}
	if r.Low > r.High {
		return fmt.Errorf("%q runs backwards", v)
	}
	*to = r
	return nil
}

const minSize = 1 << 20

// size reads bytes with an optional unit; K, M, G and T are powers of 1,024.
func size(v string, needUnit bool, to *int64) error {
	n, err := units.RAMInBytes(v)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a size; write for example 500M or 10G", v)
	}
	if needUnit && strings.Trim(v, "0123456789.") == "" {
		return fmt.Errorf("%q has no unit; write for example 500M or 10G", v)
	}
	if n < minSize {
		return fmt.Errorf("%q is less than 1M", v)
	}
	*to = n
	return nil
}

const minRate = 1 << 10

// rates reads bytes a second for both directions, or for uploads and downloads, as
// rclone writes them. To rclone a bare number is in KiB, to others in bytes: it is refused.
func rates(v string, up, down *int64) error {
	u, d, two := strings.Cut(v, ":")
	if !two {
		d = u
	}
	if strings.ContainsAny(v, " ,") {
		return fmt.Errorf("%q: a timetable is not possible; write one rate, such as 1M or 1M:512K", v)
	}
	n, err := rate(u)
	if err != nil {
		return err
	}
	m, err := rate(d)
	if err != nil {
		return err
	}
	*up, *down = n, m
	return nil
}

func rate(v string) (int64, error) {
	if v == "off" || v == "0" {
		return 0, nil
	}
	n, err := units.RAMInBytes(v)
	switch {
	case err != nil || n < 0:
		return 0, fmt.Errorf("%q is not a rate; write bytes a second, for example 512K or 10M, or 1M:off for uploads alone", v)
	case strings.Trim(v, "0123456789.") == "":
		return 0, fmt.Errorf("%q has no unit; write bytes a second, for example 512K or 10M", v)
	case n < minRate:
		return 0, fmt.Errorf("%q is less than 1K", v)
	}
	return n, nil
}

// zone reads a distance from UTC, such as +05:30, or auto.
func zone(v string, to **int) error {
	if v == "auto" {
		*to = nil
		return nil
	}
	t, err := time.Parse("-07:00", v)
	if err != nil {
		return fmt.Errorf("%q is neither auto nor a distance from UTC such as +05:30", v)
	}
	_, east := t.Zone()
	*to = &east
	return nil
}

// userID takes a number or a name, as mount.cifs does.
func userID(v string, to **uint32) error {
	if u, err := strconv.ParseUint(v, 10, 32); err == nil && u != math.MaxUint32 {
		id := uint32(u)
		*to = &id
		return nil
	}
	u, err := user.Lookup(v)
	if err != nil {
		return fmt.Errorf("there is no user %q", v)
	}
	return userID(u.Uid, to)
}

func groupID(v string, to **uint32) error {
	if g, err := strconv.ParseUint(v, 10, 32); err == nil && g != math.MaxUint32 {
		id := uint32(g)
		*to = &id
		return nil
	}
	g, err := user.LookupGroup(v)
	if err != nil {
		return fmt.Errorf("there is no group %q", v)
	}
	return groupID(g.Gid, to)
}

func octal(v string, to **uint32) error {
	m, err := strconv.ParseUint(v, 8, 32)
	if err != nil || m > 0o777 {
		return fmt.Errorf("%q is not an octal mask such as 022", v)
	}
	mask := uint32(m)
	*to = &mask
	return nil
}
