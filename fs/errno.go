package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"syscall"

	"ftpfs/cache/remote"
)

// kinds is the one place where a failure of the server becomes an errno. Only
// NotExist is ENOENT: a network fault is never an answer.
var kinds = map[remote.Kind]syscall.Errno{
	remote.Unknown:     syscall.EIO,
	remote.NotExist:    syscall.ENOENT,
	remote.Exist:       syscall.EEXIST,
	remote.NotDir:      syscall.ENOTDIR,
	remote.IsDir:       syscall.EISDIR,
	remote.NotEmpty:    syscall.ENOTEMPTY,
	remote.Permission:  syscall.EACCES,
	remote.NoSpace:     syscall.ENOSPC,
	remote.BadName:     syscall.EINVAL,
	remote.Unsupported: syscall.ENOTSUP,
	remote.NoReplace:   syscall.EPERM, // rename(2): not supported by the file system
	remote.Changed:     syscall.ESTALE,
	remote.ShortWrite:  syscall.EIO,
	remote.Corrupt:     syscall.EIO,
	remote.Auth:        syscall.EIO, // as a server that is down: not a matter of rights
	remote.Temporary:   syscall.EIO,
	remote.Protocol:    syscall.EIO,
	remote.Timeout:     syscall.ETIMEDOUT,
	remote.Down:        syscall.EIO,
	remote.Canceled:    syscall.EINTR,
}

// errnoOf translates an error of the tree. Besides the kinds of remote there are
// errors of the local disk (cache and spool) and bare errnos by which the cache
// says what a kind cannot. What a local error says about a name is about a file in
// the cache directory and never about the user's: it must not come out as ENOENT.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var re *remote.Error
	if errors.As(err, &re) {
		return ofKind(re.Kind)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ofKind(remote.KindOf(err))
	}
	var no syscall.Errno
	if !errors.As(err, &no) {
		return syscall.EIO
	}
	switch no {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.ENOMEM:
		return no // true of the local disk as of the mount
	case syscall.EMFILE, syscall.ENFILE:
		return syscall.ENFILE // EMFILE would speak of the caller's own
	}
	if fromDisk(err) {
		return syscall.EIO
	}
	switch no {
	case syscall.EROFS, syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.EBADF,
		syscall.EBUSY, syscall.ENOTSUP, syscall.ENAMETOOLONG, syscall.EXDEV, syscall.ETXTBSY,
		syscall.ETIMEDOUT, syscall.ELOOP:
		return no
	}
	return syscall.EIO
}

func ofKind(k remote.Kind) syscall.Errno {
	if no, ok := kinds[k]; ok {
		return no
	}
	return syscall.EIO
}

func fromDisk(err error) bool {
	var pe *iofs.PathError
	var le *os.LinkError
	var se *os.SyscallError
	return errors.As(err, &pe) || errors.As(err, &le) || errors.As(err, &se)
}

// errno ends an operation: it turns err into what the caller gets, and leaves a
// line in the log where the errno says less than the error did. EINTR is kept for
// a caller who asked for it; everything else that ends early is EIO.
func (m *mount) errno(c *call, op string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	no := errnoOf(err)
	if no == syscall.EINTR && c.Err() == nil {
		no = syscall.EIO
	}
	m.log.swallowed(op, no, err)
	return no
}
