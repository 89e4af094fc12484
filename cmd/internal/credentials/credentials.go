// Package credentials finds the user and password for a server without either
// ever standing in an argument, an environment handed on, or a message. It owns
// the order of places, the formats of the files, and the refusal of files that
// others can read. It does not log in.
package credentials

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Login is a user and password. It prints without the password.
type Login struct {
	User, Password string
	From           string // where the password came from, for a message

	ProxyUser, ProxyPassword string // of a credentials file that holds them
}

func (l Login) String() string   { return fmt.Sprintf("%s (password from %s)", l.User, l.From) }
func (l Login) GoString() string { return l.String() }

// Anonymous is the user when none is named anywhere.
const Anonymous = "anonymous"

// anonymousPassword is what anonymous servers expect: something like an address.
const anonymousPassword = "ftpfs@"

// Request says what is known before looking.
type Request struct {
	Host        string
	User        string  // from the URL or user=; "" when neither named one
	Password    *string // from the URL or password=; nil when neither held one
	File        string  // credentials=FILE
	Environment string  // the value of $FTPFS_PASSWORD
	Systemd     string  // $CREDENTIALS_DIRECTORY
	Home        string
	// Prompt asks a person on a terminal; nil when there is none.
	Prompt func(question string) (string, error)
}

// Find returns the first hit of: the credentials file, the URL's or option's own
// password, $FTPFS_PASSWORD, systemd's credentials directory, ~/.netrc, a prompt.
// Without a user anywhere it is anonymous; a user without a password anywhere is
// an error, as guessing an empty one gets people banned.
func Find(r Request) (Login, error) {
	l := Login{User: r.User}
	if r.File != "" {
		f, err := readFile(r.File, true)
		if err != nil {
			return Login{}, err
		}
		if err := l.adopt(f, "credentials file "+r.File); err != nil {
			return Login{}, err
		}
		if f.hasPassword {
			return l, nil
		}
	}
	if r.Password != nil {
		if l.User == "" {
			return Login{}, errors.New("a password was given, and no user")
		}
		l.Password, l.From = *r.Password, "the command line"
		return l, nil
	}
	if r.Environment != "" && l.User != "" {
		if err := clean(r.Environment); err != nil {
			return Login{}, fmt.Errorf("$FTPFS_PASSWORD: %w", err)
		}
		l.Password, l.From = r.Environment, "$FTPFS_PASSWORD"
		return l, nil
	}
	if r.Systemd != "" {
		if done, err := l.fromSystemd(r.Systemd); done || err != nil {
			return l, err
		}
	}
	if l.User == Anonymous {
		l.Password, l.From = anonymousPassword, "convention"
		return l, nil
	}
	if r.Home != "" {
		if done, err := l.fromNetrc(filepath.Join(r.Home, ".netrc"), r.Host); done || err != nil {
			return l, err
		}
	}
	if l.User == "" {
		return Login{User: Anonymous, Password: anonymousPassword, From: "convention"}, nil
	}
	if r.Prompt == nil {
		return Login{}, fmt.Errorf("no password for %s at %s: give credentials=FILE, $FTPFS_PASSWORD or an entry in ~/.netrc", l.User, r.Host)
	}
	p, err := r.Prompt(fmt.Sprintf("Password of %s at %s: ", l.User, r.Host))
	if err != nil {
		return Login{}, fmt.Errorf("reading the password: %w", err)
	}
	if err := clean(p); err != nil {
		return Login{}, err
	}
	l.Password, l.From = p, "the terminal"
	return l, nil
}

func (l *Login) adopt(f file, from string) error {
	if f.proxyUser != "" || f.proxyPassword != "" {
		l.ProxyUser, l.ProxyPassword = f.proxyUser, f.proxyPassword
	}
	if f.user != "" {
		if l.User != "" && l.User != f.user {
			return fmt.Errorf("%s is for user %q, not for %q", from, f.user, l.User)
		}
		l.User = f.user
	}
	if f.hasPassword {
		if l.User == "" {
			return fmt.Errorf("%s holds a password, and nothing names a user", from)
		}
		l.Password, l.From = f.password, from
	}
	return nil
}

// fromSystemd reads ftpfs.credentials, in the format of credentials=FILE, or
// ftpfs.password, which is the password alone. The service manager itself sees to
// who can read them, by ACLs that look like group permissions.
func (l *Login) fromSystemd(dir string) (done bool, err error) {
	name := filepath.Join(dir, "ftpfs.credentials")
	if f, err := readFile(name, false); err == nil {
		if err := l.adopt(f, name); err != nil || f.hasPassword {
			return err == nil, err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	name = filepath.Join(dir, "ftpfs.password")
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && l.User == "" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if err := clean(p); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	l.Password, l.From = p, name
	return true, nil
}

// file is what a credentials file holds.
type file struct {
	user, password string
	hasPassword    bool

	proxyUser, proxyPassword string
}

const maxFile = 1 << 20

// readFile reads mount.cifs's format: username=, password= and comments, one a
// line; and proxy_username= and proxy_password=. Blanks around the name of a key are dropped; a value is taken as it is.
func readFile(name string, check bool) (file, error) {
	fd, err := openFile(name, pipePatience)
	if err != nil {
		return file{}, fmt.Errorf("credentials file %s: %w", name, cause(err))
	}
	defer fd.Close()
	if check {
		if err := onlyOurs(fd); err != nil {
			return file{}, fmt.Errorf("credentials file %s %w", name, err)
		}
	}
	b, err := io.ReadAll(io.LimitReader(fd, maxFile))
	if err != nil {
		return file{}, fmt.Errorf("credentials file %s: %w", name, cause(err))
	}
	f, err := parse(string(b))
	if err != nil {
		return file{}, fmt.Errorf("credentials file %s: %w", name, err)
	}
	return f, nil
}

// pipePatience is how long a credentials file that is a pipe may take to be written.
const pipePatience = 10 * time.Second

// openFile opens a file for reading; of a pipe, it waits for the first byte, and
// reading ends with an error when the whole has not come within patience. Nobody
// may ever write to it.
func openFile(name string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		return f, err
	}
	end := time.Now().Add(patience)
	if err := awaitWriter(f, end); err != nil {
		f.Close()
		return nil, err
	}
	return f, f.SetReadDeadline(end)
}

// awaitWriter waits for a pipe's first byte. Without a writer, read would say at once
// that the file is empty.
func awaitWriter(f *os.File, end time.Time) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var perr error
	err = raw.Control(func(fd uintptr) {
		for {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, perr = unix.Poll(p, int(max(time.Until(end).Milliseconds(), 0)))
			if perr != unix.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return err
	case perr != nil:
		return os.NewSyscallError("poll", perr)
	case n == 0:
		return errors.New("it is a pipe, and nobody writes to it")
	}
	return nil
}

func parse(text string) (file, error) {
	var f file
	text = strings.TrimPrefix(text, "\ufeff")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' || t[0] == ';' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return file{}, fmt.Errorf("line %d is not KEY=VALUE", i+1)
		}
		if clean(value) != nil {
			return file{}, fmt.Errorf("line %d holds a control character", i+1)
		}
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "username", "user":
			f.user = strings.TrimSpace(value)
		case "password", "pass":
			f.password, f.hasPassword = value, true
		case "proxy_username", "proxy_user":
			f.proxyUser = strings.TrimSpace(value)
		case "proxy_password":
			f.proxyPassword = value
		case "domain", "dom", "workgroup": // of mount.cifs; FTP has none
		default:
			return file{}, fmt.Errorf("line %d: unknown key; known are username and password, proxy_username and proxy_password", i+1)
		}
	}
	if f.user == "" && !f.hasPassword && f.proxyUser == "" && f.proxyPassword == "" {
		return file{}, errors.New("neither username= nor password= in it")
	}
	return f, nil
}

// onlyOurs refuses a file that its group or everybody can read or write, and one
// that a third user owns. The check is of the open file, so that it cannot be
// swapped in between.
func onlyOurs(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		if fi.Mode()&os.ModeNamedPipe != 0 { // credentials=/dev/fd/N from a shell's <(…)
			return nil
		}
		return errors.New("is not a file")
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("can be read by others (mode %04o); chmod 600 it", fi.Mode().Perm())
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && st.Uid != 0 && os.Geteuid() != 0 {
		return errors.New("belongs to another user")
	}
	return nil
}

func clean(s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return errors.New("line ends and NUL cannot stand in a password")
	}
	return nil
}

func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
