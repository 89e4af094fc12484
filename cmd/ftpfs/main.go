// Command ftpfs mounts FTP servers, and asks the daemons behind the mounts what they
// owe. This package owns the words of the command line, what is printed, and the
// exit codes; what is done about them is in cmd/internal.
//
//	main.go      which command was meant
//	mount.go     ftpfs URL MOUNTPOINT; helper.go the same for mount(8) and umount(8)
//	status.go, sync.go, unmount.go, settle.go    the other commands
//	doctor.go    ftpfs doctor URL; prescribe.go how its report is shown, and what follows
//	find.go      from a path to the mount and its daemon
//	progress.go  a bar on a terminal, lines elsewhere
//	text.go      sizes, times and names for people
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/pflag"

	"ftpfs/cmd/internal/argv"
	"ftpfs/cmd/internal/background"
	"ftpfs/cmd/internal/daemon"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = "unreleased"

// passwordFromEnv was taken out of the environment, so that no child inherits it.
var passwordFromEnv string

// secretsInArgs says that a password stood in the arguments.
var secretsInArgs bool

// Exit codes beside mount(8)'s, which are in package daemon.
const (
	exitOwed        = 3
	exitParked      = 4
	exitInterrupted = daemon.ExitInterrupted
)

func main() {
	args, secrets := argv.Take() // before anybody can look
	secretsInArgs = secrets
	passwordFromEnv = argv.TakeEnv("FTPFS_PASSWORD")
	if d, started, code := startedAsDaemon(); started {
		os.Exit(runDaemon(d, code))
	}
	os.Exit(run(args, secrets, os.Stdout, os.Stderr))
}

func startedAsDaemon() (child, bool, int) {
	var c child
	bg, started, err := background.Started(&c.cfg)
	c.bg = bg
	if err != nil {
		if bg != nil {
			bg.Fail(daemon.ExitSystem, "starting the daemon: "+err.Error())
		}
		return c, true, daemon.ExitSystem
	}
	return c, started, 0
}

var commands = map[string]func(a []string, out, errOut io.Writer) int{
	"status":  statusCommand,
	"sync":    syncCommand,
	"unmount": unmountCommand,
	"umount":  unmountCommand,
	"retry":   retryCommand,
	"discard": discardCommand,
	"doctor":  doctorCommand,
	"version": versionCommand,
	"help":    helpCommand,
}

// run does what args say and returns the exit code. A word that names a command is
// one only as the first argument; a host of that name is written ftp://status, or
// after an option.
func run(args []string, secrets bool, out, errOut io.Writer) int {
	name := filepath.Base(args[0])
	switch {
	case name == "mount.ftpfs" || name == "mount.fuse.ftpfs":
		return mountHelper(args[1:], secrets, out, errOut)
	case name == "umount.ftpfs" || name == "umount.fuse.ftpfs":
		return umountHelper(args[1:], out, errOut)
	}
	args = args[1:]
	if len(args) == 0 {
		fmt.Fprint(errOut, usage)
		return daemon.ExitUsage
	}
	if c, ok := commands[args[0]]; ok {
		w := &answer{out: out}
		code := c(args[1:], w, errOut)
		if w.err != nil && code == 0 { // who reads nothing must not take it for good news
			return complain(errOut, daemon.ExitSystem, fmt.Errorf("writing the answer: %w", w.err))
		}
		return code
	}
	if len(args) == 1 && !strings.HasPrefix(args[0], "-") {
		if near := nearestCommand(args[0]); near != "" {
			return complain(errOut, daemon.ExitUsage, fmt.Errorf("unknown command %q; did you mean %q?", args[0], near))
		}
	}
	return mountCommand(args, secrets, out, errOut)
}

// answer is the standard output of a command; it keeps the first failure.
type answer struct {
	out io.Writer
	err error
}

func (a *answer) Write(p []byte) (int, error) {
	n, err := a.out.Write(p)
	if err != nil && a.err == nil {
		a.err = err
	}
	return n, err
}

func nearestCommand(word string) string {
	for name := range commands {
		if d := levenshtein.ComputeDistance(word, name); d > 0 && d <= 2 && len(word) > 2 {
			return name
		}
	}
	return ""
}

func versionCommand(_ []string, out, _ io.Writer) int {
	fmt.Fprintln(out, "ftpfs "+version)
	return 0
}

func helpCommand(_ []string, out, _ io.Writer) int {
	fmt.Fprint(out, usage)
	return 0
}

// complain prints err as one line and returns code.
func complain(errOut io.Writer, code int, err error) int {
	fmt.Fprintln(errOut, "ftpfs: "+strings.Join(strings.Fields(err.Error()), " "))
	return code
}

// flags makes a set that prints nothing itself.
func flags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

// parse reads flags; done says that nothing is left to do, and code is the exit.
func parse(f *pflag.FlagSet, a []string, help string, out, errOut io.Writer) (done bool, code int) {
	err := f.Parse(a)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(out, help)
		return true, 0
	case err != nil:
		return true, complain(errOut, daemon.ExitUsage, fmt.Errorf("%w; see ftpfs --help", err))
	}
	return false, 0
}
