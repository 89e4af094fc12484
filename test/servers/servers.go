// Package servers starts real FTP servers for tests: vsftpd, ProFTPD, Pure-FTPd
// and pyftpdlib, each on a free port of the loopback interface with a root
// directory, configuration and login of its own. A test may look into Root
// behind the server's back, as any other user of that server could.
//
// It knows nothing of ftpfs. The programs come from .deps/ (filled by
// test/deps.sh) or from PATH. A server that cannot run here skips its test, by
// name and with the reason; with FTPFS_REQUIRE_ALL=1, as CI sets it, it fails.
//
// A Server is for one test; its methods may be called by several goroutines. One
// mutex guards the process; it is held while a server starts or stops, and no
// other lock is taken under it.
package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Kind names a server program.
type Kind string

const (
	VSFTPD    Kind = "vsftpd"
	ProFTPD   Kind = "proftpd"
	PureFTPd  Kind = "pureftpd"
	Pyftpdlib Kind = "pyftpdlib"
)

// All is every kind, in the order in which tests name them.
var All = []Kind{VSFTPD, ProFTPD, PureFTPd, Pyftpdlib}

// The one login every server accepts. Sessions run as a system user that every
// Linux has and that has a home (vsftpd insists, and nobody has none).
const (
	user     = "tester"
	password = "ftpfs-test"
	// crypt(3) of password, with SHA-512 and the default rounds: milliseconds.
	passwordHash = "$6$ftpfs$6BP4nZ8QW45Nir0j6qtw9079dAoVINMBvwcuufe5LbgoItOgUuIrhsGJwvQr8DqBeEgEApWJi6fHlP9PVVwGc1"
	sessionUser  = "daemon"
	sessionID    = 1 // of the user and of its group
)

const startTimeout = 20 * time.Second

// Options of a server; the zero value is what the distribution ships.
type Options struct {
	// MaxClients caps the sessions at one time; 0 is a generous default. Each
	// server refuses in its own way: 421 instead of a greeting, or 530 after PASS.
	MaxClients int
	// Extra is appended to the configuration: lines for vsftpd and ProFTPD,
	// arguments for Pure-FTPd, Python statements about `handler` and `server`
	// for pyftpdlib. Of use only where the kind is fixed.
	Extra []string
	// TLS has it encrypt; nil is clear text only.
	TLS *TLS
	// NoMLSD has it list by LIST only. vsftpd does in any case; Pure-FTPd cannot.
	NoMLSD bool
	// IPv6 has it listen on ::1.
	IPv6 bool
	// In is the network that the server runs in; nil is this process's, and there
	// the loopback interface.
	In Network
}

// TLS is how a server encrypts. Explicitly, it takes AUTH TLS, and clear sessions too;
// each server demands of data connections what it demands by default, which on vsftpd
// and ProFTPD is that they resume their control connection's session.
type TLS struct {
	Cert, Key []byte // PEM
	Implicit  bool   // from the first byte on; Pure-FTPd cannot
	Required  bool   // no login in clear
}

// ErrNoImplicit says that a kind has no implicit TLS.
var ErrNoImplicit = errors.New("Pure-FTPd has no implicit TLS")

// ErrAlwaysMLSD says that a kind has MLSD whatever is said.
var ErrAlwaysMLSD = errors.New("Pure-FTPd has no switch for MLSD")

// Network is a network of this machine other than this process's own, such as one
// end of a link.
type Network interface {
	Address() string       // that servers in it listen on
	Do(func() error) error // run something in it, on the calling goroutine
}

// own is the network of this process, at an address.
type own string

func (o own) Address() string       { return string(o) }
func (own) Do(f func() error) error { return f() }

// Server is a running server, or a stopped one that can be started again.
type Server struct {
	Kind     Kind
	Host     string // "127.0.0.1", unless Options say otherwise
	Port     int
	User     string
	Password string
	Root     string // local directory that a login lands in

	tb   testing.TB
	dir  string // configuration, logs; outside Root
	opts Options

	mu   sync.Mutex // guards what follows
	proc *process   // nil while stopped
}

// Start runs a server until the test ends. It returns once the server greets.
func Start(t testing.TB, kind Kind, o Options) *Server {
	t.Helper()
	err := kind.available()
	if err == nil && o.TLS != nil {
		err = kind.encrypts(*o.TLS)
	}
	if err == nil && o.NoMLSD && kind == PureFTPd {
		err = ErrAlwaysMLSD
	}
	if err != nil {
		if os.Getenv("FTPFS_REQUIRE_ALL") == "1" {
			t.Fatalf("%s cannot run, and FTPFS_REQUIRE_ALL=1: %v", kind, err)
		}
		t.Skipf("SKIPPED %s: %v", kind, err)
	}
	if o.In == nil {
		o.In = own(map[bool]string{false: "127.0.0.1", true: "::1"}[o.IPv6])
	}
	dir := readableDir(t)
	s := &Server{Kind: kind, Host: o.In.Address(), User: user, Password: password,
		Root: filepath.Join(dir, "root"), tb: t, dir: dir, opts: o}
	if err := os.Mkdir(s.Root, 0o755); err != nil {
		t.Fatalf("root of %s: %v", kind, err)
	}
	s.Own(s.Root)
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			s.showLogs()
		}
	})
	// Another program may take the free port before the server binds it.
	for range 3 {
		if s.Port, err = s.freePort(); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		s.mu.Lock()
		err = s.startLocked()
		s.mu.Unlock()
		if err == nil {
			return s
		}
	}
	s.showLogs()
	t.Fatalf("start %s: %v", kind, err)
	return nil
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// URL addresses path on the server (relative to Root) without the password:
// ftp://tester@127.0.0.1:2121/path, or with the scheme of Options.TLS.
func (s *Server) URL(path string) string {
	scheme := "ftp"
	switch {
	case s.opts.TLS == nil:
	case s.opts.TLS.Implicit:
		scheme = "ftps"
	default:
		scheme = "ftpes"
	}
	return fmt.Sprintf("%s://%s@%s/%s", scheme, s.User, s.Addr(), path)
}

// Stop kills the server and its sessions, as a power cut would: no reply, no
// goodbye. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
}

// Restart stops the server if it runs, and starts it again on the same port with
// the same Root.
func (s *Server) Restart() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
	if err := s.startLocked(); err != nil {
		s.tb.Fatalf("restart %s: %v", s.Kind, err)
	}
}

// Freeze stops every process of the server where it stands: connections stay
// open and are accepted by the kernel, and nothing answers. Thaw lets it go on.
func (s *Server) Freeze() { s.signal(stop) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(resume) }

// Own gives a path below Root, and what is in it, to the user that sessions run
// as, so that the server may change what a test put there.
func (s *Server) Own(path string) {
	s.tb.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.Walk(path, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, sessionID, sessionID)
	})
	if err != nil {
		s.tb.Fatalf("give %s to the server: %v", path, err)
	}
}

// Put writes a file below Root as another client of the server would have,
// making directories on the way.
func (s *Server) Put(rel string, data []byte) {
	s.tb.Helper()
	full := filepath.Join(s.Root, rel)
	top := full
	for dir := filepath.Dir(full); dir != s.Root; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		top = dir
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.tb.Fatalf("put %s: %v", rel, err)
	}
	if err := os.WriteFile(full, data, 0o644); err != nil {
		s.tb.Fatalf("put %s: %v", rel, err)
	}
	s.Own(top)
}

func (s *Server) startLocked() error {
	argv, err := s.configure()
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	p, err := startProcess(s.opts.In, argv, filepath.Join(s.dir, "output.log"))
	if err != nil {
		return err
	}
	if err := p.awaitGreeting(s.opts.In, s.Addr(), s.opts.TLS != nil && s.opts.TLS.Implicit, startTimeout); err != nil {
		p.kill()
		return err
	}
	s.proc = p
	return nil
}

func (s *Server) configure() ([]string, error) {
	if t := s.opts.TLS; t != nil {
		for name, pem := range map[string][]byte{"cert.pem": t.Cert, "key.pem": t.Key, "both.pem": append(slices.Clone(t.Key), t.Cert...)} {
			if err := os.WriteFile(filepath.Join(s.dir, name), pem, 0o600); err != nil {
				return nil, err
			}
		}
	}
	switch s.Kind {
	case VSFTPD:
		return s.vsftpd()
	case ProFTPD:
		return s.proftpd()
	case PureFTPd:
		return s.pureftpd()
	case Pyftpdlib:
		return s.pyftpdlib()
	}
	return nil, fmt.Errorf("no server of kind %q", s.Kind)
}

// readableDir is a temporary directory that any user can walk into.
func readableDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	// t.TempDir obeys the umask, and its parent is the test's own too.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatalf("open %s for the server: %v", d, err)
		}
	}
	return dir
}

// freePort is below those that the kernel gives to connections: else one of them could
// have it when a server that was stopped wants it back.
func (s *Server) freePort() (port int, err error) {
	err = s.opts.In.Do(func() error {
		for range 100 {
			port = 10000 + rand.IntN(22000)
			var l net.Listener
			if l, err = net.Listen("tcp", net.JoinHostPort(s.Host, strconv.Itoa(port))); err == nil {
				return l.Close()
			}
		}
		return fmt.Errorf("no free port: %w", err)
	})
	return port, err
}
