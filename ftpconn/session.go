package ftpconn

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/jlaffaye/ftp"

	"ftpfs/ftpconn/wire"
)

// session is one logged-in connection: the wire, and the client library on top
// of it. It is used by one operation at a time.
//
// The library carries the dialogues of RFC 959 and never sees a socket: it
// writes its commands to the wire and reads the replies the wire gives it. Its
// call order (EPSV, dial, REST, verb, final reply) is what the wire relies on.
type session struct {
	store  *Store
	id     int
	wire   *wire.Conn
	lib    *ftp.ServerConn
	base   string // the directory that "/" stands for
	server string // its greeting, without what is of the day

	hashes  string // the algorithm that HASH uses; "": not known
	entered string // the directory that the last listing could enter

	used    int           // operations carried out
	last    time.Time     // end of the last
	noop    time.Time     // end of the last NOOP or the like
	slept   time.Duration // how long this machine had slept by then
	vetted  bool          // nothing was done since the server gave a sign of life
	watched bool          // somebody hears what it says; guarded by the pool's mutex
	ready   readiness
	ahead   time.Time // since when it does what nobody had asked for; zero: it does not. Guarded by the pool's mutex
	told    int64     // commands counted so far
}

// readiness of a session's next data connection.
type readiness uint8

const (
	rested    readiness = iota // nothing to do
	toPrepare                  // a transfer ended: another may follow
	prepared
)

func (ss *session) counted() int64 {
	n := ss.wire.Sent() - ss.told
	ss.told += n
	return n
}

// settle prefers the server's own words to the library's error.
func (ss *session) settle(err error) error {
	if err == nil {
		return nil
	}
	f := wire.FaultOf(err)
	if f != nil && f.Fault == wire.Stopped {
		return f
	}
	if r, ok := replyIn(err); ok && r.Code >= 400 {
		return &replyError{r}
	}
	if f != nil {
		return f
	}
	return err
}

// replyError is a refusal, before its kind is settled.
type replyError struct{ wire.Reply }

func (e *replyError) Error() string { return e.Reply.String() }

// refusal returns the reply in err when it is a refusal and nothing broke.
func refusal(err error) (wire.Reply, bool) {
	var e *replyError
	if errors.As(err, &e) {
		return e.Reply, true
	}
	return wire.Reply{}, false
}

// retr begins a download; t's Ahead and Check go with it.
func (ss *session) retr(full string, offset int64, t wire.Transfer) (*ftp.Response, error) {
	ss.wire.Next(t)
	resp, err := ss.lib.RetrFrom(full, uint64(offset))
	return resp, ss.settle(err)
}

// stor uploads r as a whole file; alone keeps the command back until its data
// connection stands.
func (ss *session) stor(full string, r io.Reader, alone bool) error {
	ss.wire.Next(wire.Transfer{Alone: alone})
	return ss.settle(ss.lib.Stor(full, r))
}

// storAll is stor for a short file under a name of ours. Its data goes with the command to servers
// that take up a session in a process of its own, which looks at the data connection when
// it has read the command, and not before: pyftpdlib closes one on which data comes sooner.
// What goes behind it may go along then.
func (ss *session) storAll(full string, src *source, behind []string) error {
	body, err := src.all()
	if err != nil {
		return err
	}
	k := ss.store.server.known()
	ss.wire.Next(wire.Transfer{Body: body, Eager: k.is("vsftpd") || k.is("proftpd") || k.is("pure-ftpd"), Behind: behind})
	err = ss.settle(ss.lib.Stor(full, bytes.NewReader(nil)))
	src.sent = ss.wire.Tricks().Sent()
	return err
}

func (ss *session) appe(full string, r io.Reader) error {
	ss.wire.Next(wire.Transfer{Alone: true})
	return ss.settle(ss.lib.Append(full, r))
}

// rename reports also whether RNTO was sent.
func (ss *session) rename(from, to string) (sent bool, err error) {
	before := ss.wire.Sent()
	err = ss.settle(ss.lib.Rename(from, to))
	return ss.wire.Sent() > before+1, err
}

func (ss *session) dele(full string) error { return ss.settle(ss.lib.Delete(full)) }
func (ss *session) mkd(full string) error  { return ss.settle(ss.lib.MakeDir(full)) }
func (ss *session) rmd(full string) error  { return ss.settle(ss.lib.RemoveDir(full)) }
