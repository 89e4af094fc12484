package ftpscript

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"sync"
	"time"
)

// session is one control connection, owned by the goroutine that serves it; only
// kill is called by others.
type session struct {
	srv     *Server         // immutable, as what follows
	id      int             //
	conn    *net.TCPConn    //
	stopped <-chan struct{} // closed when the server stops
	killed  chan struct{}   // closed by kill, or when the session is over
	once    sync.Once       // closes killed
	expire  chan struct{}   // taken from while it waits for a command: it has idled for too long
	gone    chan struct{}   // closed when the client has closed the control connection

	ctl       net.Conn       // what is spoken through: conn, or TLS over it
	upgraded  chan io.Reader // what to read from after AUTH TLS, or the same as before; capacity 1
	protected bool           // PROT P

	counted bool // among srv.loggedIn; guarded by srv.mu
	surplus bool // logged in as one too many
	at      int  // its last command, as of srv.beside; guarded by srv.mu

	cwd      string
	utf8     bool   // OPTS UTF8 ON was said
	user     string // of USER
	loggedIn bool
	rest     int64  // offset for the next transfer; as on real servers, it outlives other commands
	hash     string // chosen by OPTS HASH
	from     string // of RNFR
	data     dataSource
	moved    int64 // bytes of the command under way

	transferMu sync.Mutex   // guards transfer
	transfer   *net.TCPConn // under way, for kill
}

// line is a command as it came in.
type line struct {
	text string
	at   time.Time
}

// kill resets the connections; the session's goroutine ends soon after.
func (c *session) kill() {
	c.once.Do(func() { close(c.killed) })
	reset(c.conn)
	c.transferMu.Lock()
	defer c.transferMu.Unlock()
	if c.transfer != nil {
		reset(c.transfer)
	}
}

func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	conn.Close()
}

func (c *session) serve() {
	defer c.conn.Close()
	defer c.data.close()
	greeting := "ftpscript ready."
	if c.srv.opts.Greeting != "" {
		greeting = c.srv.opts.Greeting
	}
	if c.srv.opts.TLS != nil && c.srv.opts.Implicit {
		if c.encrypt() != nil {
			return
		}
	}
	// Commands are read ahead, so that their time of arrival is known. The reader
	// ends when the connection is closed, which this function does first.
	lines := make(chan line, 4096)
	read := make(chan struct{})
	defer func() {
		c.once.Do(func() { close(c.killed) })
		c.conn.Close()
		<-read
	}()
	go func() {
		defer close(read)
		defer close(lines)
		defer close(c.gone)
		for r := bufio.NewReader(c.ctl); ; {
			text, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if c.srv.opts.OneByOne {
				_, _ = r.Discard(r.Buffered())
			}
			auth := strings.HasPrefix(strings.ToUpper(text), "AUTH")
			select {
			case lines <- line{strings.TrimRight(text, "\r\n"), time.Now()}:
			case <-c.killed:
				return
			}
			if auth { // what follows may be encrypted
				select {
				case in := <-c.upgraded:
					if in != nil {
						r = bufio.NewReader(in)
					}
				case <-c.killed:
					return
				}
			}
		}
	}()
	opening := Command{Session: c.id, At: time.Now(), Verb: "CONNECT"}
	index := c.srv.add(opening)
	if c.run(opening, index, func() string { return "220 " + greeting }) {
		for {
			l, ok := c.next(lines)
			if !ok || !c.command(l) {
				return
			}
		}
	}
}

// command answers one command and reports whether the session goes on.
func (c *session) command(l line) bool {
	verb, arg, _ := strings.Cut(l.text, " ")
	verb = strings.ToUpper(verb)
	if verb == "SITE" {
		word, rest, _ := strings.Cut(arg, " ")
		verb, arg = "SITE "+strings.ToUpper(word), rest
	}
	c.srv.heard(c)
	cmd := Command{Session: c.id, At: l.at, Verb: verb, Arg: arg, Path: c.about(verb, c.decode(arg))}
	if verb == "PASS" {
		cmd.Arg = "****"
	}
	index := c.srv.add(cmd)
	on := c.run(cmd, index, func() string {
		switch {
		case c.surplus:
			return "421 Too many connections, try later."
		case c.srv.opts.Answers[verb] != "":
			return c.srv.opts.Answers[verb]
		case c.srv.refuses(verb):
			return "502 Command not implemented."
		case !c.loggedIn && !beforeLogin[verb]:
			return "530 Please log in."
		}
		handle, known := handlers[verb]
		if !known {
			return "500 Unknown command."
		}
		if c.srv.opts.Windows && !windowsName(cmd.Path) {
			return "550 The filename, directory name, or volume label syntax is incorrect. "
		}
		return handle(c, arg, cmd)
	}) && verb != "QUIT"
	if verb == "AUTH" {
		return on && c.afterAuth(index)
	}
	return on
}

// run executes one command by the rule that matches it, and sends its final
// reply; false means that the session is over.
func (c *session) run(cmd Command, index int, execute func() string) bool {
	rule := c.srv.match(cmd)
	c.moved = 0
	if !c.wait(cmd.At.Add(c.srv.opts.Latency)) || rule.Delay > 0 && !c.wait(time.Now().Add(rule.Delay)) || !c.hold(rule.Hold) {
		c.srv.answered(index, "(killed)", 0)
		return false
	}
	if rule.Drop {
		c.srv.answered(index, "(dropped)", 0)
		reset(c.conn)
		return false
	}
	reply := rule.Instead
	if reply == "" {
		c.data.fault = rule.Data
		reply = execute()
		c.data.fault = nil
		reply = c.srv.reword(cmd.Verb, reply)
	}
	if rule.Then != nil {
		rule.Then(cmd)
	}
	if rule.Hangup {
		c.srv.answered(index, "(hung up instead of "+reply+")", c.moved)
		reset(c.conn)
		return false
	}
	if rule.Swallow {
		c.srv.answered(index, "(swallowed "+reply+")", c.moved)
		return true
	}
	if rule.Final != "" {
		reply = rule.Final
	}
	if rule.Before != "" {
		c.say(rule.Before)
	}
	// Recorded before it is sent: whoever got the reply finds it in the record.
	c.srv.answered(index, reply, c.moved)
	if rule.Speak != nil {
		_ = c.conn.SetWriteDeadline(time.Time{}) // ends when the client goes, or with kill
		return rule.Speak(c.ctl, lineEnds(reply))
	}
	c.say(reply)
	return !strings.HasPrefix(reply, "421")
}

// say sends a line, or several separated by newlines. A client that has gone is
// noticed by the reader.
func (c *session) say(reply string) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(c.ctl, lineEnds(reply))
}

func lineEnds(reply string) string { return strings.ReplaceAll(reply, "\n", "\r\n") + "\r\n" }

// wait waits until t; false when the session was killed meanwhile.
func (c *session) wait(t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.killed:
	case <-c.stopped:
	}
	return false
}

// hold waits until gate is closed, if there is one; false when the session was
// killed meanwhile.
func (c *session) hold(gate <-chan struct{}) bool {
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-c.killed:
	case <-c.stopped:
	}
	return false
}

// about is the path a command names, made absolute.
func (c *session) about(verb, arg string) string {
	switch verb {
	case "MFMT", "SITE CHMOD":
		if _, p, ok := strings.Cut(arg, " "); ok {
			return c.abs(p)
		}
		return ""
	case "MDTM":
		// vsftpd's way to set a time: MDTM YYYYMMDDhhmmss path
		if stamp, p, ok := strings.Cut(arg, " "); ok && c.setsByMDTM(stamp) {
			return c.abs(p)
		}
		return c.abs(arg)
	case "LIST", "NLST", "MLSD", "STAT":
		if c.srv.opts.NoFlags {
			return c.abs(arg)
		}
		return c.abs(withoutFlags(arg))
	case "CDUP":
		return c.abs("..")
	case "XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256", "XSHA512":
		return c.abs(strings.Trim(arg, `"`))
	case "STOR", "APPE", "MKD", "RNTO":
		p := c.abs(arg)
		if stores := c.srv.opts.Stores; stores != nil {
			p = path.Join(path.Dir(p), stores(path.Base(p)))
		}
		return p
	case "HASH", "CWD", "SIZE", "MLST", "RETR", "DELE", "RMD", "RNFR", "XMKD", "XRMD":
		return c.abs(arg)
	}
	return ""
}

// setsByMDTM says that an MDTM with this for its first word sets a time.
func (c *session) setsByMDTM(stamp string) bool {
	return !c.srv.opts.NoSetTime && len(stamp) == 14 && isDigits(stamp)
}

func (c *session) abs(p string) string {
	if c.srv.opts.Windows {
		p = windowsPath(p)
	}
	if !strings.HasPrefix(p, "/") {
		p = c.cwd + "/" + p
	}
	if p = path.Clean(p); c.srv.opts.Takes != nil {
		names := strings.Split(p, "/")
		for i, name := range names {
			names[i] = c.srv.opts.Takes(name)
		}
		p = strings.Join(names, "/")
	}
	return p
}

// withoutFlags strips what servers take for options of ls.
func withoutFlags(arg string) string {
	for strings.HasPrefix(arg, "-") {
		_, arg, _ = strings.Cut(arg, " ")
	}
	return arg
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func quote(p string) string { return fmt.Sprintf(`"%s"`, strings.ReplaceAll(p, `"`, `""`)) }
