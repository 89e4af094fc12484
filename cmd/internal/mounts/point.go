package mounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Prepare checks that dir can be mounted on and returns its resolved path. A
// dead ftpfs mount there is removed first; dead tells of one of ours whether it is.
// Unless nonempty is set, a directory with something in it and a directory that is
// a mount point are refused: mounting would hide them. Errors are complete sentences
// about dir.
func Prepare(dir string, nonempty bool, dead func(Mount) bool) (string, error) {
	if dir == "" { // of an unset shell variable; it is not the working directory
		return "", errors.New("the mount point is empty")
	}
	if strings.HasPrefix(dir, "/dev/fd/") { // mount(8) with dropped privileges hands over an open /dev/fuse
		return "", fmt.Errorf("%s: a handed-over /dev/fuse is not supported; mount without drop_privileges", dir)
	}
	all, err := All()
	if err != nil {
		return "", err
	}
	point, err := Resolve(dir, all)
	if err != nil {
		return "", fmt.Errorf("mount point %s: %w", dir, err)
	}
	for removed := 0; ; removed++ {
		at, ok := At(all, point)
		switch {
		case !ok:
			return point, directory(dir, point, nonempty)
		case at.Type == "autofs":
			return point, directory(dir, point, true)
		case at.Ours() && !dead(at):
			return "", fmt.Errorf("%s is already mounted (%s)", dir, at.Source)
		case at.Ours() && removed > 10:
			return "", fmt.Errorf("%s holds dead ftpfs mounts that do not go away", dir)
		case at.Ours():
			abort(at)
			if err := Detach(point); err != nil && !errors.Is(err, unix.EINVAL) { // abort removed it, if nobody uses it
				return "", fmt.Errorf("%s holds a dead ftpfs mount that cannot be removed: %w", dir, err)
			}
			if all, err = All(); err != nil {
				return "", err
			}
		case Dead(point):
			return "", fmt.Errorf("%s holds a dead mount (%s); unmount it first", dir, at.Describe())
		case nonempty:
			return point, directory(dir, point, true)
		default:
			return "", fmt.Errorf("%s is already a mount point (%s)", dir, at.Describe())
		}
	}
}

func directory(name, point string, nonempty bool) error {
	err, slow := bounded(func() error {
		fi, err := os.Stat(point)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("mount point %s does not exist", name)
		case errors.Is(err, syscall.ENOTDIR):
			return fmt.Errorf("mount point %s: something above it is not a directory", name)
		case err != nil:
			return fmt.Errorf("mount point %s: %w", name, cause(err))
		case !fi.IsDir():
			return fmt.Errorf("mount point %s is not a directory", name)
		case nonempty:
			return nil
		}
		f, err := os.Open(point)
		if err != nil {
			return fmt.Errorf("mount point %s: %w", name, cause(err))
		}
		defer f.Close()
		if _, err := f.Readdirnames(1); err == nil {
			return fmt.Errorf("mount point %s is not empty; mounting would hide what is in it (-o nonempty mounts all the same)", name)
		} else if !errors.Is(err, io.EOF) {
			return fmt.Errorf("mount point %s: %w", name, cause(err))
		}
		return nil
	})
	if slow != nil {
		return fmt.Errorf("mount point %s: %w", name, slow)
	}
	return err
}

func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// abort has the kernel fail what waits for the daemon of a dead mount. Where the
// daemon was killed but its device is still open, as while one of its threads waits for a
// local disk that hangs, they would wait as long: see TestADeadMountWithAnOpenDevice. Of a
// daemon that is gone altogether there is nothing to fail.
func abort(m Mount) {
	if _, minor, ok := strings.Cut(m.Device, ":"); ok {
		if os.WriteFile("/sys/fs/fuse/connections/"+minor+"/abort", []byte("1"), 0) == nil { // where fusectl is mounted
			return
		}
	}
	_ = unix.Unmount(m.Point, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW) // of a mount in use it only aborts; Detach follows
}

// Detach removes a mount from the tree at once; programs that still use it keep
// it until they let go. A plain user needs fusermount3 for it.
func Detach(point string) error { return unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW, "-uz") }

// Unmount removes a mount that nobody uses (EBUSY otherwise).
func Unmount(point string) error { return unmount(point, unix.UMOUNT_NOFOLLOW, "-u") }

// helperTime bounds a run of fusermount3, which can hang below a dead network mount.
const helperTime = 30 * time.Second

func unmount(point string, flags int, helper string) error {
	err := unix.Unmount(point, flags)
	if err == nil || !errors.Is(err, unix.EPERM) {
		return err
	}
	for _, name := range []string{"fusermount3", "fusermount"} {
		path, lookErr := exec.LookPath(name)
		if lookErr != nil {
			continue
		}
		ctx, stop := context.WithTimeout(context.Background(), helperTime)
		cmd := exec.CommandContext(ctx, path, helper, "--", point)
		cmd.Dir, cmd.WaitDelay = "/", time.Second
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, runErr := cmd.CombinedOutput()
		stop()
		if runErr == nil {
			return nil
		}
		text := strings.TrimSpace(string(out))
		if strings.Contains(strings.ToLower(text), "busy") { // fusermount has one exit code for all
			return unix.EBUSY
		}
		if text != "" {
			return errors.New(text)
		}
		return runErr
	}
	return err
}
