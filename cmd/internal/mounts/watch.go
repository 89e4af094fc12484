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
	// Not by os.Open: Go's own epoll would take the file in, and the kernel tells a
	// change once to whoever looks first.
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/proc/self/mountinfo", Err: err}
	}
	defer unix.Close(table)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { w.Write([]byte{0}) })
	defer stop()
	fds := []unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
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
