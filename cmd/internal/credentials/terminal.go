package credentials

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Interrupted is a prompt that was ended by a signal.
type Interrupted struct{ Signal os.Signal }

func (e *Interrupted) Error() string { return fmt.Sprintf("interrupted (%v)", e.Signal) }

// Terminal returns a Prompt when standard input is a terminal, else nil. A signal
// during the prompt gives the terminal its echo back before the program ends.
func Terminal() func(string) (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return func(question string) (string, error) {
		sig := make(chan os.Signal, 1) // before the echo goes: a signal does not end the program in between
		signal.Notify(sig, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer signal.Stop(sig)
		before, err := hideInput(fd)
		if err != nil {
			return "", err
		}
		defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }()
		type answer struct {
			b   []byte
			err error
		}
		got := make(chan answer, 1)
		fmt.Fprint(os.Stderr, question)
		go func() { // ends with the answer, or with the process
			b, err := readLine(fd)
			got <- answer{b, err}
		}()
		select {
		case a := <-got:
			fmt.Fprintln(os.Stderr)
			return string(a.b), a.err
		case s := <-sig:
			fmt.Fprintln(os.Stderr)
			return "", &Interrupted{s}
		}
	}
}

// hideInput turns the echo off and returns the state before.
func hideInput(fd int) (*unix.Termios, error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	return before, unix.IoctlSetTermios(fd, unix.TCSETS, &hidden)
}

// errNoInput is Ctrl-D in place of an answer.
var errNoInput = errors.New("the input ended before one was given")

// readLine reads to the end of a line. The end of input ends it too; term.ReadPassword
// would read on for ever.
func readLine(fd int) ([]byte, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < maxFile; {
		switch n, err := unix.Read(fd, one); {
		case err == unix.EINTR:
		case err != nil:
			return nil, os.NewSyscallError("read", err)
		case n == 0 && len(line) == 0:
			return nil, errNoInput
		case n == 0 || one[0] == '\n':
			return line, nil
		default:
			line = append(line, one[0])
		}
	}
	return nil, errors.New("the line is too long")
}
