// Package ftpscript is an FTP server that a test directs: it keeps a tree in
// memory, records every command it was sent, and misbehaves on demand. It counts
// what goes over the wire, and does the bad things that real servers do only on
// bad days: replies late, never, twice or falsely; connections that die at a
// chosen byte; verbs it does not know; a cap on sessions; lines in a listing that
// nobody can parse.
//
// It owns sockets on loopback and goroutines for them; both are gone when Close
// returns, which the test's cleanup calls. It knows nothing of ftpfs.
//
// Locks: Tree, the record and the rules have a mutex each. None is held across a
// network call, and none is taken under another.
package ftpscript

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options of a server; the zero value is a modern, well-behaved one.
type Options struct {
	// Refuse lists verbs answered with 502, SITE words as "SITE CHMOD". FEAT
	// keeps silent about them. Refusing MLSD and MLST leaves LIST.
	Refuse []string
	// Answers are verbs answered with this, and not executed. FEAT keeps silent about
	// them, too.
	Answers map[string]string
	// Feat replaces the lines of FEAT.
	Feat []string
	// System is the reply to SYST; "" is that of a Unix.
	System string
	// Reword may change replies before they go out: the final one of any verb, and with
	// verb "" the 150 of a transfer.
	Reword func(verb, reply string) string
	// OneByOne loses what comes in one segment after its first command.
	OneByOne bool
	// NoRenameOver makes RNTO onto an existing name fail with 553.
	NoRenameOver bool
	// NoSetTime has MDTM tell times only.
	NoSetTime bool
	// Windows has names as Windows has them (windows.go): in a tree that does not
	// tell cases apart.
	Windows bool
	// Stores is what becomes of a name under which something is made (by MKD, STOR, APPE
	// or RNTO), without a word; Takes is what is made of a name in any command.
	Stores, Takes func(name string) string
	// Latin1 has names in ISO 8859-1 until OPTS UTF8 ON.
	Latin1 bool
	// DOSLines has LIST say what dir says, not ls.
	DOSLines bool
	// NoFlags has LIST take the options of ls for names: there is no "-a".
	NoFlags bool
	// Zone is that of the times in LIST; nil is UTC.
	Zone *time.Location
	// Idle ends a session with 421 that has been without a command for so long.
	Idle time.Duration
	// IdleMute has it do so without a word.
	IdleMute bool
	// IdleBeside ends a session so, too, that has been without a command while others got so
	// many: however long that takes. 0 is never.
	IdleBeside int
	// MaxSessions caps sessions: one more is greeted with 421. 0 is no cap.
	MaxSessions int
	// MaxLogins caps sessions that are logged in: one more gets 530 for its
	// password, as from ProFTPD. 0 is no cap.
	MaxLogins int
	// MaxAtWork caps sessions that are logged in: one more is told so with 421 at its
	// next command. 0 is no cap.
	MaxAtWork int
	// Space is how many bytes all files together may have; what would be beyond
	// fails in the middle of the transfer with Full ("" is 452). 0 is no limit.
	Space int64
	Full  string
	// Latency is how long after its arrival a command is answered at the
	// earliest, as over a link with this round-trip time. Commands that arrive
	// together are answered together.
	Latency time.Duration
	// Listing, if set, may change the lines of a listing of dir before they go out.
	Listing func(verb, dir string, lines []string) []string
	// PassiveHost is the address told by PASV; "" is the right one.
	PassiveHost string
	// Host is the address it listens on; "" is 127.0.0.1.
	Host string
	// DataFrom is the address that active data connections come from; "" is the
	// server's. A connection from DataBefore, if set, comes first.
	DataFrom, DataBefore string
	// ListSelf has listings name the directory itself and its parent.
	ListSelf bool
	// Greeting replaces the text of the greeting.
	Greeting string
	// TLS has it encrypt: by AUTH TLS, or from the first byte on if Implicit. nil is
	// clear text only. TLSData, if set, is for data connections instead.
	TLS, TLSData *tls.Config
	Implicit     bool
	// Append is what APPE does.
	Append Append
	// Sums names the commands for checksums there are: HASH, XCRC, XMD5, XSHA,
	// XSHA1, XSHA256, XSHA512.
	Sums []string
}

// Append is a way to understand APPE.
type Append uint8

const (
	Appends          Append = iota // as it should be
	AppendOverwrites               // writes over the file from its beginning on
	AppendTruncates                // takes it for STOR
)

// The login every server accepts.
const (
	User     = "tester"
	Password = "ftpfs-test"
)

// Server is a running scripted server.
type Server struct {
	Host string // "127.0.0.1", unless Options.Host says otherwise
	Port int
	Tree *Tree // what it serves

	opts Options
	rules
	record

	mu          sync.Mutex // guards what follows
	listener    net.Listener
	maxSessions int
	loggedIn    int
	sessions    map[*session]struct{}
	opened      int            // sessions ever, numbers them
	beside      int            // commands ever, for IdleBeside
	stopped     chan struct{}  // closed by Stop; renewed by Restart
	running     sync.WaitGroup // one for each goroutine since the last start
}

// Start runs a server until the test ends. If the test fails, the last commands
// are logged.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatalf("start the scripted server: %v", err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the last commands the scripted server saw:\n%s", s.Transcript(80))
		}
	})
	return s
}

// New starts a server outside of a test. The caller calls Stop.
func New(o Options) (*Server, error) {
	s := &Server{Host: cmp.Or(o.Host, "127.0.0.1"), Tree: newTree(o.Windows), opts: o, maxSessions: o.MaxSessions, sessions: map[*session]struct{}{}}
	s.record.changed = make(chan struct{})
	// A port below those that the kernel gives to connections: else one of them could
	// have it at Restart.
	var err error
	for range 100 {
		if err = s.listen(net.JoinHostPort(s.Host, strconv.Itoa(10000+rand.IntN(22000)))); err == nil {
			break
		}
	}
	return s, err
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// URL addresses path on the server, without the password.
func (s *Server) URL(path string) string {
	scheme := "ftp"
	switch {
	case s.opts.TLS != nil && s.opts.Implicit:
		scheme = "ftps"
	case s.opts.TLS != nil:
		scheme = "ftpes"
	}
	return fmt.Sprintf("%s://%s@%s/%s", scheme, User, s.Addr(), strings.TrimPrefix(path, "/"))
}

// Stop closes the listener and resets every connection, then waits until all
// goroutines have ended. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
		close(s.stopped)
		for c := range s.sessions {
			c.kill()
		}
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Restart starts a stopped server on the same port with the same tree and rules.
func (s *Server) Restart() error {
	s.Stop()
	return s.listen(s.Addr())
}

// KillSessions resets the connections of every session; new ones are welcome.
func (s *Server) KillSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.kill()
	}
}

// Open is the number of sessions under way.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Opened is the number of sessions there have ever been, those refused by
// MaxSessions not counted.
func (s *Server) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *Server) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Port = l.Addr().(*net.TCPAddr).Port
	s.listener, s.stopped = l, make(chan struct{})
	s.running.Go(func() { s.accept(l) })
	return nil
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connection that was gone before we looked
		}
		s.admit(conn.(*net.TCPConn))
	}
}

// admit starts a session, or turns the caller away.
func (s *Server) admit(conn *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		conn.Close()
		return
	}
	if max := s.maxSessions; max > 0 && len(s.sessions) >= max {
		fmt.Fprintf(conn, "421 There are too many connected users, please try later.\r\n")
		conn.Close()
		return
	}
	s.opened++
	c := &session{srv: s, id: s.opened, conn: conn, ctl: conn, upgraded: make(chan io.Reader, 1), stopped: s.stopped, killed: make(chan struct{}), expire: make(chan struct{}), gone: make(chan struct{}), cwd: "/"}
	c.at = s.beside
	s.sessions[c] = struct{}{}
	s.running.Go(func() {
		c.serve()
		s.mu.Lock()
		if c.counted {
			s.loggedIn--
		}
		delete(s.sessions, c)
		s.mu.Unlock()
	})
}

// SetMaxSessions changes MaxSessions; sessions under way stay.
func (s *Server) SetMaxSessions(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxSessions = n
}

// logIn counts c as logged in; false when there are too many.
func (s *Server) logIn(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if max := s.opts.MaxLogins; max > 0 && !c.counted && s.loggedIn >= max {
		return false
	}
	if max := s.opts.MaxAtWork; max > 0 && !c.counted && s.loggedIn >= max {
		c.surplus = true
	}
	if !c.counted && !c.surplus {
		c.counted = true
		s.loggedIn++
	}
	return true
}

func (s *Server) full() string {
	if s.opts.Full != "" {
		return s.opts.Full
	}
	return "452 Insufficient storage space in system."
}

func (s *Server) reword(verb, reply string) string {
	if s.opts.Reword != nil {
		return s.opts.Reword(verb, reply)
	}
	return reply
}

func (s *Server) refuses(verb string) bool {
	return slices.Contains(s.opts.Refuse, verb) || s.opts.Answers[verb] != ""
}
