package ftpconn

import (
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/ftpconn/wire"
)

// idling is for how long the server lets a connection idle, as far as it was seen. The
// pool's mutex guards it.
type idling struct {
	limit  time.Duration // 0: not known
	futile bool          // a NOOP does not count: what counts is the last transfer, or command of substance

	doubt   time.Duration // after which a connection was closed without a word
	doubtAt time.Time     // when
}

// Idle is that, as a Memory holds it.
type Idle struct {
	Limit  float64 `json:"limit"` // seconds
	Futile bool    `json:"futile,omitempty"`
}

// mostLimit: connections that are closed later are closed for another reason.
const mostLimit = 2 * time.Hour

var (
	idleWords     = text(`time[- ]?out|timed out|idle|inactiv|too long|no transfer`)
	transferWords = text(`no.transfer`)
)

// ended learns from a connection that the server closed. quiet is how long nothing was
// said on it, unused how long nothing but NOOPs. Closed without a word it may have been
// for any reason, such as a restart of the server: that counts when it happens again,
// after the same time.
func (d *idling) ended(quiet, unused time.Duration, said string, at time.Time, r *rhythm) (learned bool) {
	if quiet < r.leastLimit || unused > mostLimit {
		return false
	}
	if !idleWords.MatchString(said) {
		was, since := d.doubt, at.Sub(d.doubtAt)
		d.doubt, d.doubtAt = quiet, at
		if was == 0 || since < quiet || (quiet-was).Abs() > quiet/10+r.slack {
			return false
		}
	}
	was := *d
	asked := unused-quiet > r.slack // NOOPs came between
	switch {
	case transferWords.MatchString(said), asked && (d.futile || d.limit > 0 && quiet < d.limit*9/10):
		d.limit, d.futile = unused, true
	default:
		d.limit, d.futile = quiet, false
	}
	return d.limit != was.limit || d.futile != was.futile
}

// noopEveryLocked is how often a session that is kept has to say something.
func (p *pool) noopEveryLocked() time.Duration {
	if d := &p.idling; d.limit > 0 && !d.futile {
		return max(p.times.leastNoop, min(p.times.noopEvery, d.limit*2/3))
	}
	return p.times.noopEvery
}

// doubtful says of an idle session that it may have died, so that it has to be asked
// before it is used: nothing was heard for long, the machine slept meanwhile, the server
// is about to close it, or has said something.
func (p *pool) doubtfulLocked(ss *session, now time.Time) bool {
	quiet := now.Sub(ss.heardAt())
	if d := &p.idling; d.limit > 0 {
		if d.futile {
			quiet = now.Sub(ss.last)
		}
		if quiet > d.limit*9/10 {
			return true
		}
	}
	return now.Sub(ss.heardAt()) > p.times.staleAfter || p.slept()-ss.slept > p.times.watchAfter || !ss.wire.Quiet()
}

// ended notes that the server closed an idle session, or did not answer on it any more.
// Within half an hour of the last use one that was kept is replaced, once, so that who
// comes next need not wait for a login.
func (p *pool) ended(ss *session, quiet time.Duration, why error) {
	f := wire.FaultOf(why)
	if f == nil || f.Fault == wire.Stopped {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	switch said := f.Reply.Text(); {
	case crowded(f):
		p.cappedLocked(max(1, len(p.all)-1))
	case f.Fault == wire.Closing, f.Fault == wire.Lost:
		if p.idling.ended(quiet, now.Sub(ss.last), said, now, &p.times) {
			p.store.log.Info("the server ends idle connections", "after", p.idling.limit.Round(time.Second/10), "NOOP helps", !p.idling.futile)
			p.store.remember()
		}
	}
	if len(p.all) == 1 && p.dialing == 0 && !p.reopened && now.Sub(p.used) < p.times.closeAll && f.Fault != wire.Stalled {
		p.reopened = true
		p.dialing++
		p.store.spawn(p.reopen)
	}
}

// crowded says that the server ended a connection for there being too many.
func crowded(f *wire.Error) bool {
	return f.Fault == wire.Closing && f.Reply.Code == 421 && !idleWords.MatchString(f.Reply.Text()) && crowdWords.MatchString(f.Reply.Text())
}

// tooLate says that what ended the connection was said before the command arrived, so
// that this was not carried out: the connection had idled for too long, or is one too many.
func tooLate(f *wire.Error) bool {
	return crowded(f) || f.Fault == wire.Closing && f.Reply.Code == 421 && idleWords.MatchString(f.Reply.Text())
}

// reopen replaces the last connection, which the server has closed. A failure is
// nobody's trouble yet.
func (p *pool) reopen() {
	ss, err := p.store.login(p.store.ctx)
	p.mu.Lock()
	p.dialing--
	if err != nil {
		p.dispatchLocked() // whoever came meanwhile learns why
	}
	p.mu.Unlock()
	if err != nil {
		p.store.log.Debug("the connection that the server closed is not replaced", "because", err)
		return
	}
	p.add(ss)
}

// slept is how long this machine has slept, which the clock of deadlines leaves out.
func slept() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
