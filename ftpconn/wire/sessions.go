package wire

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
)

// Sessions is what the connections to one server share of TLS: the session that a new
// control connection may resume, what was agreed on last, and counts. Its mutex is a
// leaf.
type Sessions struct {
	mu    sync.Mutex
	last  *tls.ClientSessionState
	known Protection
	alone bool // a control connection that resumed another's session had its data refused
}

// Protection is what became of a wish for encryption.
type Protection struct {
	Version string // "TLS 1.3"; "" while nothing was encrypted
	Cipher  string
	Leaf    *x509.Certificate // the server's
	Clear   Reply             // tls=try: the reply to AUTH TLS that is why nothing is encrypted

	Control, ControlResumed int64 // handshakes of control connections, and how many of them resumed a session
	Data, DataResumed       int64
}

// Known is a copy of what was agreed on.
func (s *Sessions) Known() Protection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known
}

// mayBeClear says whether tls=try may go on in clear after the server refused AUTH
// TLS. A server that once took it is not believed: somebody may be between.
func (s *Sessions) mayBeClear(refusal Reply) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known.Version != "" {
		return false
	}
	s.known.Clear = refusal
	return true
}

// protected notes a handshake of a control connection.
func (s *Sessions) protected(state tls.ConnectionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.known
	k.Clear = Reply{}
	k.Version, k.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	k.Leaf = state.PeerCertificates[0]
	k.Control++
	if state.DidResume {
		k.ControlResumed++
	}
}

// moved notes a handshake of a data connection.
func (s *Sessions) moved(resumed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Data++
	if resumed {
		s.known.DataResumed++
	}
}

// separate has new control connections begin with a session of their own: the server
// does not take data connections that resume one of another control connection.
func (s *Sessions) separate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone, s.last = true, nil
}

// tickets returns the cache of one control connection and its data connections. It
// is never shared: servers refuse data that resumes another control connection's session.
func (s *Sessions) tickets() *tickets {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &tickets{shared: s, state: s.last}
}

// tickets is a cache of one session, the newest.
type tickets struct {
	shared *Sessions

	mu    sync.Mutex // guards what follows; taken with none held, and shared.mu inside
	state *tls.ClientSessionState
	share bool // with control connections to come
}

// agreed says which version was agreed on. Sessions of TLS 1.2 are not shared: ProFTPD
// refuses the data connections of a control connection that has resumed one.
func (t *tickets) agreed(version uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.share = version >= tls.VersionTLS13
}

func (t *tickets) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.state != nil
}

func (t *tickets) Put(_ string, state *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = state
	if !t.share {
		return
	}
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	if !t.shared.alone {
		t.shared.last = state
	}
}
