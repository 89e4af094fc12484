package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Fault says how a dialogue broke. After every fault but Local, Unsent,
// and an Unreached or Surprise between two commands, the connection is condemned.
type Fault uint8

const (
	Lost      Fault = iota // the peer closed or reset a connection
	Stalled                // nothing came or went within the timeout
	Stopped                // the caller's context ended
	Garbage                // the server said what is no reply, or a reply nobody asked for
	Closing                // 421: the server gives up this connection
	Surprise               // one-segment or prepared dialogue failed at its first try, or the prepared connection was forgotten; do it again plainly
	Insecure               // no encryption could be agreed on, or the server could not prove who it is
	Unreached              // no data connection could be made; the control connection may be fine
	Local                  // this machine could not do its part; the connection is fine
	Unsent                 // the command cannot be sent (CR, LF, NUL, too long); the connection is fine
)

var faultNames = [...]string{"connection lost", "timed out", "stopped", "bad answer", "closed by the server",
	"pipelining refused", "not secure", "not made", "trouble on this machine", "cannot be sent"}

func (f Fault) String() string { return faultNames[f] }

// Error is a broken dialogue.
type Error struct {
	Fault Fault
	Step  string // what was being done: a command without secrets, or "connect", "data connection"
	Sent  bool   // the command may have reached the server
	Reply Reply  // the 421, or the first of an unasked reply
	Err   error

	living bool // of Unreached: the server has answered since
}

func (e *Error) Error() string {
	s := e.Step + ": " + e.Fault.String()
	if e.Reply.Code != 0 {
		s += fmt.Sprintf(" (%s)", e.Reply)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// FaultOf returns the broken dialogue in err, or nil.
func FaultOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
