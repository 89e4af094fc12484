package remote

import (
	"context"
	"errors"
	"fmt"
)

// Kind sorts failures by what can be done about them.
type Kind uint8

const (
	Unknown     Kind = iota // refused, and we cannot tell why
	NotExist                // certainly not there
	Exist                   // the name is taken
	NotDir                  // a directory was needed
	IsDir                   // a file was needed
	NotEmpty                // rmdir, or rename over a directory
	Permission              // the server will not let this user
	NoSpace                 // 452, 552: disk or quota full
	BadName                 // 553, or a name that cannot be sent (CR, LF, NUL, too long)
	Unsupported             // 500, 502, 504: the server has no such command
	NoReplace               // rename over an existing name refused
	Changed                 // the server's file is not the version expected
	ShortWrite              // the uploaded file does not have the size sent
	Corrupt                 // nor the checksum
	Auth                    // the login was refused
	Temporary               // 4xx: later may do
	Protocol                // an answer that cannot be understood, or an incomplete listing
	Timeout                 // nothing came within the deadline
	Down                    // no connection, or it was lost
	Canceled                // the caller's context ended
)

var kindNames = [...]string{"refused", "not found", "exists", "not a directory", "is a directory",
	"directory not empty", "permission denied", "no space", "bad name", "not supported", "cannot rename over an existing name",
	"changed on the server", "short write", "arrived corrupted", "login refused", "temporary failure", "bad answer from the server",
	"timed out", "server unreachable", "canceled"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Offline says that the failure is the link's or the server's state, not an
// answer about the thing that was asked. A refused login is one: it says nothing
// about the rights of who asks, and may be over in a moment.
func (k Kind) Offline() bool { return k == Timeout || k == Down || k == Auth }

// Verdict is what the sender of an upload does about a failure.
type Verdict uint8

const (
	Retry   Verdict = iota // again, later, for ever
	Park                   // refused for good: keep it, show it, wait for a person
	Recheck                // the world differs from what we assumed: decide anew
)

// Verdict of a failed upload or publication.
func (k Kind) Verdict() Verdict {
	switch k {
	case NoSpace, BadName, Permission, Unsupported, IsDir, NotDir, Unknown:
		return Park
	case Changed, NoReplace, NotExist, Exist:
		return Recheck
	}
	return Retry
}

// Error is a failed operation on the server.
type Error struct {
	Op   string // verb as the user knows it: "list", "upload", "rename"
	Path string // mount path; "" when none is concerned
	Kind Kind
	Code int    // the FTP reply's code; 0 when there was none
	Text string // the reply's text, without credentials
	Err  error  // cause below, if any
}

func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	s += ": " + e.Kind.String()
	switch {
	case e.Code != 0:
		s += fmt.Sprintf(" (%d %s)", e.Code, e.Text)
	case e.Text != "":
		s += " (" + e.Text + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error that came from a Store: Canceled for a
// bare context.Canceled, Timeout for context.DeadlineExceeded, Unknown for what
// is not from a Store.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Unknown
}

// Is reports whether err has kind k; false for nil.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
