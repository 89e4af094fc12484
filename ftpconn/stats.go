package ftpconn

import (
	"slices"
	"time"

	"ftpfs/ftpconn/pin"
	"ftpfs/ftpconn/wire"
)

// Stats is the state of the connections, for status.
type Stats struct {
	Open       int       `json:"open"`
	Idle       int       `json:"idle"`
	Busy       int       `json:"busy"`
	Max        int       `json:"max"`
	LearnedCap int       `json:"learned_cap,omitempty"` // 0: the server set none so far
	Waiting    int       `json:"waiting"`
	Full       string    `json:"full,omitempty"`   // the server's words to who has no connection and waits for one
	Queued     bool      `json:"queued,omitempty"` // other mounts of this machine are asked for one
	Commands   int64     `json:"commands"`
	Logins     int64     `json:"logins"`
	Received   int64     `json:"received"` // bytes of data connections
	Sent       int64     `json:"sent"`
	Up         bool      `json:"up"`
	Since      time.Time `json:"since"`
	LastError  string    `json:"last_error,omitempty"`
	Refused    string    `json:"login_refused,omitempty"` // the server's words; see LoginAgain
	Base       string    `json:"base,omitempty"`          // the mounted directory on the server
	Software   string    `json:"software,omitempty"`
	Greeting   string    `json:"greeting,omitempty"`
	Features   []string  `json:"features,omitempty"`
	Listing    string    `json:"listing,omitempty"`  // the command used
	SetsTimes  string    `json:"set_time,omitempty"` // the command used
	Pipelining string    `json:"pipelining"`
	Prepared   string    `json:"prepared"`                 // data connections made beforehand
	Passive    string    `json:"passive"`                  // EPSV, PASV, or active for active mode
	Because    string    `json:"active_because,omitempty"` // why passive mode was left
	Proxy      string    `json:"proxy,omitempty"`          // without user and password
	Zone       string    `json:"zone,omitempty"`           // of listings
	TLS        TLSStats  `json:"tls"`
}

// TLSStats says how the connections are protected.
type TLSStats struct {
	Asked   string `json:"asked"`                // off, try, explicit, implicit
	Version string `json:"version,omitempty"`    // "TLS 1.3"; "" while nothing is encrypted
	Cipher  string `json:"cipher,omitempty"`     // of the last control connection
	Data    string `json:"data,omitempty"`       // private, clear
	Pin     string `json:"pin_sha256,omitempty"` // of the server's key
	Refused string `json:"refused,omitempty"`    // try: what the server said
	InClear string `json:"warning,omitempty"`    // the password crossed the network in clear

	// Handshakes so far, and how many of them resumed a session.
	Control        int64 `json:"control_handshakes"`
	ControlResumed int64 `json:"control_resumed"`
	DataHandshakes int64 `json:"data_handshakes"`
	DataResumed    int64 `json:"data_resumed"`
}

func (s *Store) tlsStats() TLSStats {
	k := s.tls.Known()
	t := TLSStats{Asked: s.cfg.TLS.Security.String(), Version: k.Version, Cipher: k.Cipher, InClear: s.InClear(),
		Control: k.Control, ControlResumed: k.ControlResumed, DataHandshakes: k.Data, DataResumed: k.DataResumed}
	if k.Leaf != nil {
		t.Pin = pin.Of(k.Leaf).String()
	}
	switch {
	case k.Version == "" && k.Clear.Code != 0:
		t.Refused = k.Clear.String()
	case k.Version != "" && s.cfg.TLS.ClearData:
		t.Data = "clear"
	case k.Version != "":
		t.Data = "private"
	}
	return t
}

var traitNames = map[wire.Trait]string{wire.Untried: "untried", wire.Proven: "works", wire.Off: "off"}

// Stats returns the present state, without asking the server anything.
func (s *Store) Stats() Stats {
	up, since, last := s.Health()
	st := Stats{Up: up, Since: since, Commands: s.count.commands.Load(), Logins: s.count.logins.Load(),
		Received: s.count.moved.Received.Load(), Sent: s.count.moved.Sent.Load()}
	if last != nil {
		st.LastError = last.Error()
	}
	p := &s.pool
	p.mu.Lock()
	st.Max = p.cap.most
	st.LearnedCap = p.cap.learned()
	st.Open, st.Idle = len(p.all), len(p.idle)
	st.Busy = st.Open - st.Idle
	for _, q := range p.waiting {
		st.Waiting += len(q)
	}
	st.Full, st.Queued = p.sharing.full, p.sharing.waits
	if err := p.refusesLocked(); err != nil && !p.closed {
		st.Refused = wordsOf(err)
	}
	p.mu.Unlock()

	k := s.server.known()
	st.Base, st.Software, st.Greeting = k.base, k.software, k.greeting
	for f := range k.features {
		st.Features = append(st.Features, f)
	}
	slices.Sort(st.Features)
	if k.seen {
		switch {
		case k.mlst && !k.mlsdBad:
			st.Listing = "MLSD"
		case k.listBare:
			st.Listing = "LIST"
		default:
			st.Listing = "LIST -a"
		}
	}
	st.SetsTimes = setTimeNames[k.setTime]
	w := s.traits.Known()
	st.Pipelining, st.Prepared = traitNames[w.Segments], traitNames[w.Prepared]
	switch {
	case s.cfg.Active:
		st.Passive = "active"
	case w.Active:
		st.Passive = "active"
		if _, err := s.traits.Mode(); err != nil {
			st.Because = err.Error()
		}
	case w.EPSV == wire.Off:
		st.Passive = "PASV"
	default:
		st.Passive = "EPSV"
	}
	if s.cfg.Proxy != nil {
		st.Proxy = s.cfg.Proxy.String()
	}
	if z := s.server.location(); z != nil {
		st.Zone = time.Now().In(z).Format("-07:00")
	}
	st.TLS = s.tlsStats()
	return st
}
