package mounts

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// Gone returns nil once the mount with this ID is no longer in the table of this
// namespace, be it unmounted, detached, or its whole tree; ctx's error when ctx
// ends first. Kernels tell changes of the table by POLLERR.
func Gone(ctx context.Context, id int) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { w.Write([]byte{0}) })
	defer stop()
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
	for {
		all, err := All()
		if err != nil {
			return err
		}
		there := false
		for _, m := range all {
			there = there || m.ID == id
		}
		if !there {
			return nil
		}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
