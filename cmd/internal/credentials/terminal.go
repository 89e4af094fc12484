package credentials

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

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
		before, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		sig := make(chan os.Signal, 1)
		signal.Notify(sig, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer signal.Stop(sig)
		type answer struct {
			b   []byte
			err error
		}
		got := make(chan answer, 1)
		fmt.Fprint(os.Stderr, question)
		go func() { // ends with the answer, or with the process
			b, err := term.ReadPassword(fd)
			got <- answer{b, err}
		}()
		select {
		case a := <-got:
			fmt.Fprintln(os.Stderr)
			return string(a.b), a.err
		case s := <-sig:
			_ = term.Restore(fd, before)
			fmt.Fprintln(os.Stderr)
			return "", &Interrupted{s}
		}
	}
}
