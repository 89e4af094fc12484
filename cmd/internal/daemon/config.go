// Package daemon is the process behind one mount: it puts server, cache and kernel
// together, answers the ftpfs command through the control socket, and sees to it
// that the mount ends well, whoever ends it. It owns the order of starting and
// ending; it knows nothing of command lines and terminals.
//
// One goroutine (Run) decides about the end. Daemon.mu guards the phase and is a
// leaf.
package daemon

import (
	"fmt"
	"log/slog"

	"ftpfs/cmd/internal/certs"
	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/place"
	"ftpfs/cmd/internal/target"
)

// Config is all that a daemon needs to know. It travels over a pipe, never through
// arguments or the environment: it holds the password.
type Config struct {
	Target     target.Target  `json:"target"` // User set to who logs in
	Password   string         `json:"password"`
	Certs      certs.Files    `json:"certs"`
	Mountpoint string         `json:"mountpoint"` // resolved
	Options    option.Options `json:"options"`
	Roots      place.Roots    `json:"roots"`
	Version    string         `json:"version"`

	// Log is where a daemon in the foreground logs; nil: the file in the state
	// directory.
	Log *slog.Logger `json:"-"`
}

// LogName is the log's name within the state directory.
const LogName = "ftpfs.log"

const logLimit = 8 << 20

// Exit codes, those of mount(8).
const (
	ExitUsage  = 1
	ExitSystem = 2
	ExitMount  = 32

	ExitInterrupted = 130 // by a signal, as shells say it; not mount(8)'s
)

// Error is a failure to mount, as one line for a person, with its exit code.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func failf(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}
