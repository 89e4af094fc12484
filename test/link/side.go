package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// device is the name of the TUN device at each end.
const device = "line"

// Side is a network of its own at one end of a link, with a loopback interface
// and the end of the line.
type Side struct {
	Host string // its address on the line

	ns, tun *os.File
}

// Address is Host.
func (s *Side) Address() string { return s.Host }

// Do runs f on a thread that is in this side's network: sockets made by f itself
// and processes started by it are there. What f hands to other goroutines is not.
func (s *Side) Do(f func() error) error {
	return elsewhere(func() error {
		if err := unix.Setns(int(s.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network of %s: %w", s.Host, err)
		}
		return nil
	}, f)
}

// elsewhere runs f on a thread that has left its network by way of leave.
func elsewhere(leave, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNS)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	defer func() {
		// A thread that does not find home stays locked, and ends with its goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := leave(); err != nil {
		return err
	}
	return f()
}

const threadNS = "/proc/thread-self/ns/net"

// newSide makes a network with the address host and the /24 around it on the line.
func newSide(host string) (*Side, error) {
	s := &Side{Host: host}
	err := elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		ns, err := os.Open(threadNS)
		if err != nil {
			return err
		}
		s.ns = ns
		if s.tun, err = openTUN(); err != nil {
			return err
		}
		if err := setUp("lo", true); err != nil {
			return err
		}
		return configure(host)
	})
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Side) close() {
	for _, f := range []*os.File{s.tun, s.ns} {
		if f != nil {
			f.Close()
		}
	}
}

// inhabitants names the processes that are in the network.
func (s *Side) inhabitants() []string {
	var here unix.Stat_t
	if err := unix.Fstat(int(s.ns.Fd()), &here); err != nil {
		return []string{err.Error()}
	}
	var all []string
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, name := range links {
		var st unix.Stat_t
		if unix.Stat(name, &st) == nil && st.Ino == here.Ino && st.Dev == here.Dev {
			proc := filepath.Dir(filepath.Dir(name))
			command, _ := os.ReadFile(proc + "/cmdline")
			all = append(all, strings.TrimPrefix(proc, "/proc/")+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return all
}

// available tells why there can be no link here; nil when there can.
func available() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root, to make network namespaces")
	}
	tun, err := openDevice()
	if err != nil {
		return err
	}
	return unix.Close(tun)
}

// openDevice opens /dev/net/tun, which a container may have to be given first.
func openDevice() (int, error) {
	const name = "/dev/net/tun"
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return -1, err
		}
		if err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, fmt.Errorf("make %s: %w", name, err)
		}
		fd, err = unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", name, err)
	}
	return fd, nil
}

// openTUN makes the device in the network of the calling thread. It goes when the
// file is closed.
func openTUN() (*os.File, error) {
	fd, err := openDevice()
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(device)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// configure gives the device its address and brings it up.
func configure(host string) error {
	var address [4]byte
	if _, err := fmt.Sscanf(host, "%d.%d.%d.%d", &address[0], &address[1], &address[2], &address[3]); err != nil {
		return fmt.Errorf("address %q: %w", host, err)
	}
	for _, step := range []struct {
		what    string
		request uint
		set     func(*unix.Ifreq)
	}{
		{"address", unix.SIOCSIFADDR, func(r *unix.Ifreq) { _ = r.SetInet4Addr(address[:]) }},
		{"netmask", unix.SIOCSIFNETMASK, func(r *unix.Ifreq) { _ = r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{"MTU", unix.SIOCSIFMTU, func(r *unix.Ifreq) { r.SetUint32(1500) }},
		// The line's queue is the carrier's; this one only has to outlast its pauses.
		{"transmit queue", unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) { r.SetUint32(10_000) }},
	} {
		if err := request(device, step.request, step.set); err != nil {
			return fmt.Errorf("%s of the TUN device: %w", step.what, err)
		}
	}
	return setUp(device, true)
}

// setUp takes an interface in the calling thread's network up or down.
func setUp(name string, up bool) error {
	flags := uint16(unix.IFF_RUNNING)
	if up {
		flags |= unix.IFF_UP
	}
	if err := request(name, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(flags) }); err != nil {
		return fmt.Errorf("%s up=%t: %w", name, up, err)
	}
	return nil
}

// request makes one request about an interface in the calling thread's network.
func request(name string, what uint, set func(*unix.Ifreq)) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	set(req)
	return unix.IoctlIfreq(fd, what, req)
}
