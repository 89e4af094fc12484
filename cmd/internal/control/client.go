package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Answer is an error that the daemon gave, as against one of reaching it.
type Answer struct{ Text string }

func (a *Answer) Error() string { return a.Text }

// ErrGone says that nobody listens: the daemon is dead.
var ErrGone = errors.New("its daemon does not answer; it is dead, or belongs to another version")

// Listening says that somebody listens at path, were it only to refuse us.
func Listening(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EAGAIN)
}

// Dying says that whoever listened at path was killed and cannot end, since a thread of
// it waits in the kernel (a local disk hangs), or is gone and left its descriptors to
// somebody. The socket stays open as long, and nobody will answer there.
func Dying(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	cred, err := peer(c.(*net.UnixConn))
	if err != nil {
		return false
	}
	if cred.Pid > 0 && errors.Is(syscall.Kill(int(cred.Pid), 0), syscall.ESRCH) { // 0: of another pid namespace
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cred.Pid))
	_, state, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return err == nil && ok && strings.HasPrefix(state, "Z")
}

// Call sends r to the socket at path and waits for the end: result is filled, or
// an *Answer or another error returned. progress (may be nil) sees each progress
// line. The end of ctx closes the connection, which ends the request there. The
// listener must be root, this user, or one of trusted: a mount may name any path
// as its socket.
func Call(ctx context.Context, path string, r Request, progress func(json.RawMessage), result any, trusted ...int) error {
	var d net.Dialer
	d.Timeout = 10 * time.Second
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return ErrGone
	case errors.Is(err, os.ErrPermission):
		return errors.New("the mount belongs to another user; try as that user or as root")
	case err != nil:
		return err
	}
	defer conn.Close()
	uid, err := peerUID(conn.(*net.UnixConn))
	if err != nil {
		return err
	}
	if uid != 0 && uid != os.Geteuid() && !slices.Contains(trusted, uid) {
		return fmt.Errorf("control socket %s belongs to uid %d; not trusted", path, uid)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	r.encodePath()
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return failed(ctx, err)
	}
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return failed(ctx, err)
		}
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			return fmt.Errorf("bad answer from the daemon: %w", err)
		}
		switch {
		case f.Error != "":
			return &Answer{f.Error}
		case f.Progress != nil:
			if progress != nil {
				progress(f.Progress)
			}
		case f.Result != nil:
			if result == nil {
				return nil
			}
			return json.Unmarshal(f.Result, result)
		}
	}
}

func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the daemon hung up before answering: %w", err)
}

// AwaitEnd waits until the process with this pid is gone, at most as long as bound.
func AwaitEnd(pid int, bound time.Duration) {
	if pid <= 0 {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it is gone, or not to be seen
	}
	defer unix.Close(fd)
	end := time.Now().Add(bound)
	for {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != unix.EINTR {
			return
		}
	}
}

// peerUID is the user at the other end, by the kernel's word.
func peerUID(c *net.UnixConn) (int, error) {
	cred, err := peer(c)
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

func peer(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	if credErr != nil {
		return nil, os.NewSyscallError("SO_PEERCRED", credErr)
	}
	return cred, nil
}
