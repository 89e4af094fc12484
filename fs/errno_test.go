package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"syscall"
	"testing"

	"ftpfs/cache/remote"
)

func TestErrnoOfEveryKind(t *testing.T) {
	for k := remote.Unknown; k <= remote.Canceled; k++ {
		if _, ok := kinds[k]; !ok {
			t.Errorf("kind %v has no errno", k)
		}
		got := errnoOf(fmt.Errorf("cache: %w", &remote.Error{Op: "stat", Kind: k, Err: syscall.ENOENT}))
		if got != kinds[k] {
			t.Errorf("kind %v: got %v, want %v", k, got, kinds[k])
		}
		if (got == syscall.ENOENT) != (k == remote.NotExist) {
			t.Errorf("kind %v became %v: only a confirmed absence is ENOENT", k, got)
		}
	}
	if got := errnoOf(&remote.Error{Kind: 200}); got != syscall.EIO {
		t.Errorf("an unknown kind: got %v, want EIO", got)
	}
}

// What goes wrong on the local disk must not read as an answer about the user's file.
func TestErrnoOfLocalFailures(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{&iofs.PathError{Op: "open", Path: "/var/cache/x", Err: syscall.ENOENT}, syscall.EIO},
		{&iofs.PathError{Op: "open", Path: "/var/cache/x", Err: syscall.EACCES}, syscall.EIO},
		{&iofs.PathError{Op: "write", Path: "/var/cache/x", Err: syscall.ENOSPC}, syscall.ENOSPC},
		{&os.LinkError{Op: "rename", Err: syscall.EDQUOT}, syscall.EDQUOT},
		{os.NewSyscallError("fdatasync", syscall.EROFS), syscall.EIO},
		{&iofs.PathError{Op: "open", Path: "/var/cache/x", Err: syscall.EMFILE}, syscall.ENFILE},
		{syscall.ENOENT, syscall.EIO},
		{syscall.EEXIST, syscall.EIO},
		{syscall.EINTR, syscall.EIO},
		{os.ErrNotExist, syscall.EIO},
		{io.ErrUnexpectedEOF, syscall.EIO},
		{errors.New("odd"), syscall.EIO},
		{syscall.EROFS, syscall.EROFS},
		{fmt.Errorf("handle: %w", syscall.EBADF), syscall.EBADF},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{nil, 0},
	} {
		if got := errnoOf(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
}

// EINTR is for a caller who gave up, not for a tree that is closing.
func TestCanceledIsEINTROnlyForTheCaller(t *testing.T) {
	m := &mount{log: newJournal(nil)}
	err := &remote.Error{Op: "list", Kind: remote.Canceled}
	c := &call{}
	if got := m.errno(c, "list", err); got != syscall.EIO {
		t.Errorf("caller still waits: got %v, want EIO", got)
	}
	c.err = context.Canceled
	if got := m.errno(c, "list", err); got != syscall.EINTR {
		t.Errorf("caller gave up: got %v, want EINTR", got)
	}
}
