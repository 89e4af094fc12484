package ftpconn

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
	"ftpfs/lastwords"
)

// Store is one FTP server's directory as a remote.Store.
type Store struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	traits *wire.Traits
	ports  *wire.Ports // nil: any
	tls    wire.Sessions

	mu     sync.Mutex // guards closed, and bg against it, and what follows bg
	closed bool
	bg     sync.WaitGroup // goroutines of the pool and the probe
	clear  string         // the warning of a password in clear; "" while there was no reason
	tried  bool           // what tls=try got is in the log
	hinted bool           // what names may be in is

	server server
	memory memory
	up     *throttle // immutable
	down   *throttle // immutable
	pool   pool
	health health
	count  counters
	listed atomic.Int64 // bytes held by listings under way
	unread unread
	times  keptTimes
	hidden hidden
}

type counters struct {
	commands, logins atomic.Int64
	moved            wire.Traffic
	conns            atomic.Int64
}

var _ remote.Store = (*Store)(nil)

// New returns a Store without touching the network.
func New(cfg Config) *Store {
	cfg = cfg.withDefaults()
	s := &Store{cfg: cfg, log: cfg.Log, traits: new(wire.Traits)}
	if p := cfg.Ports; p != (Ports{}) {
		s.ports = wire.NewPorts(p.Low, p.High)
	}
	s.traits.Turned = s.turned
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.pool.init(s)
	s.health.init(s)
	s.times.init()
	s.server.zone = zone{at: cfg.Zone, given: cfg.Zone != nil}
	s.memory.init(s)
	s.up, s.down = newThrottle(cfg.Rates.Up), newThrottle(cfg.Rates.Down)
	if q := cfg.Queue; q != nil {
		s.spawn(func() { q.Watch(s.ctx, s.pool.queueChanged) })
	}
	return s
}

// turned tells of another mode of data connections.
func (s *Store) turned(m wire.Mode, because error) {
	if m == wire.Active {
		s.log.Info("passive data connections fail and active ones work: active mode from now on", "because", because)
	} else {
		s.log.Info("passive data connections work again: passive mode from now on")
	}
}

// Connect logs in and makes sure that the base directory is there. It need not
// be called: the first operation does the same, without the look at the
// directory. The error's kind is Down for an unknown host or a refused
// connection, Timeout, Auth for a wrong password, NotExist or NotDir for the
// directory.
func (s *Store) Connect(ctx context.Context) error {
	return s.run(ctx, task{op: "connect", path: "", class: metadata, again: true}, func(ss *session) error {
		return ss.checkBase()
	})
}

// Close ends every connection and waits until nothing of the Store runs. Where other
// programs wait for the connections, it takes up to two seconds to see them ended.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	handOn := s.pool.close()
	s.bg.Wait()
	handOn()
	return nil
}

// spawn runs f in a goroutine that Close waits for; not at all once closed, which
// it reports.
func (s *Store) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.bg.Go(func() {
			defer lastwords.OnPanic()
			f()
		})
	}
	return !s.closed
}

// quit ends a session that is nobody's any more. It does not block.
func (s *Store) quit(ss *session) {
	if !s.spawn(ss.wire.Quit) {
		ss.wire.Close()
	}
}

// Caps tells what is known of the server.
func (s *Store) Caps() remote.Caps {
	k := s.server.known()
	limit := s.pool.limitNow()
	return remote.Caps{
		CheapStat:  k.mlst,
		HidesDots:  k.hidesDots(),
		SetMTime:   k.setTime != setTimeNone && (k.setTime != setTimeUntried || !k.seen),
		SetMode:    !k.noChmod,
		Append:     k.append == wire.Proven,
		NoAppend:   k.append == wire.Off,
		Sum:        k.sum(),
		FoldsCase:  k.caseless == wire.Proven,
		MaxUploads: max(1, limit-2),
		MaxShort:   maxShort(limit),
		Ahead:      s.pool.mayRunAhead(limit),
		Software:   k.software,
	}
}

// fewConns is how many connections there must be at least for short uploads to take any of them. Of so many one is
// free in a fraction of their two round trips, so that none has to be left for others.
const fewConns = 4

func maxShort(limit int) int {
	if limit < fewConns {
		return 0
	}
	return limit
}

// task names an operation for its errors and its place in the queue.
type task struct {
	op, path string
	other    string // a second path, or ""
	class    class
	changes  bool  // something under these names
	again    bool  // may be done twice, whatever became of the first time
	past     *bool // set once the point is passed beyond which again no longer holds
}

// attempts bounds how often one operation is begun: the first, once more on a
// fresh connection, and once more for each trick a server does not stand and each mode of
// data connections that fails.
const attempts = 6

// lateAttempts bounds how often a transfer is begun where the server ends connections as idle that nobody has used.
const lateAttempts = 3

// run does f on a connection of the pool. It is done again on a fresh one when
// an idle connection turned out dead before anything could have taken effect
// (or the task may be done twice), also one that was never used and ended with the words
// for idle ones, or when the server was surprised by a trick that is then given up.
func (s *Store) run(ctx context.Context, t task, f func(*session) error) error {
	fresh := false
	for i := 1; ; i++ {
		ss, err := s.pool.acquire(ctx, t.class, fresh)
		if err != nil {
			return s.fail(t, err)
		}
		reused := ss.used > 0
		unbind := ss.wire.Bind(ctx)
		if t.changes {
			err = ss.sureOf(t.path, t.other)
		}
		if err == nil {
			err = s.speakable(t.path, t.other)
		}
		if err == nil {
			err = f(ss)
		}
		unbind()
		s.finish(ss, t.class, err)
		if err == nil || i == attempts || ctx.Err() != nil || !s.repeat(t, err, reused, i) {
			return s.fail(t, err)
		}
		fresh = fresh || renew(ss, err)
		s.log.Debug("again", "op", t.op, "path", t.path, "because", err)
	}
}

// renew says that what is done again is done on a fresh connection: always, but where this
// one is good and only the mode of its data connections was not.
func renew(ss *session, err error) bool {
	return ss.wire.Dead() != nil || wire.FaultOf(err).Fault != wire.Surprise
}

// repeat decides whether an operation that failed at its i-th attempt is begun again.
func (s *Store) repeat(t task, err error, reused bool, i int) bool {
	e := wire.FaultOf(err)
	if e == nil {
		return false
	}
	past := t.past != nil && *t.past
	if past && t.class == upload {
		return false // part of it may be there, also when a later command was not sent
	}
	// Of a transfer "full" may be meant, and "timeout" too, so that not much is tried.
	late := tooLate(e) && (t.class == metadata || !crowded(e) && i < lateAttempts)
	safe := !e.Sent || t.again && !past || late && t.class == metadata
	switch e.Fault {
	case wire.Surprise:
		return safe
	case wire.Lost, wire.Closing, wire.Garbage, wire.Unreached:
		return safe && (reused || late)
	}
	return false
}

// finish gives a session back after an operation that ended with err.
func (s *Store) finish(ss *session, c class, err error) {
	if e := wire.FaultOf(err); e != nil && e.Fault == wire.Stalled && !s.pool.heard(ss, s.cfg.Timeout/2) {
		s.health.doubt(err)
	} else if e != nil && crowded(e) {
		s.pool.crowdedOut()
	}
	if ss.wire.Dead() == nil && ss.wire.Prepared() {
		ss.ready = prepared
	}
	ss.used++
	ss.last, ss.slept, ss.vetted = time.Now(), s.pool.slept(), false
	s.pool.release(ss, c)
}

func (s *Store) speakable(paths ...string) error {
	k := s.server.known()
	for _, p := range paths {
		full, err := encode(s.cfg.Codepage, p)
		if err != nil {
			return &remote.Error{Kind: remote.BadName, Err: err}
		}
		if err := k.speakable(full); err != nil {
			return err
		}
	}
	return nil
}
