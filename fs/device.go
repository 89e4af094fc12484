package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helperTime bounds a run of fusermount3: it can hang on a mountpoint below a dead
// network file system.
const helperTime = 30 * time.Second

// device is an open /dev/fuse that is mounted somewhere. Mounting is done here and
// not by go-fuse, which hides what fusermount3 says and refuses mount flags.
type device struct {
	mountpoint string // immutable: absolute
	real       string // immutable: mountpoint without symlinks, as the kernel names it
	fd         int    // immutable; go-fuse's to close once it serves
	given      bool   // immutable: someone else mounted it
	number     string // immutable: major:minor of the mount; "" if unknown
}

// attach mounts a new device at mountpoint.
func attach(cfg Config, mountpoint string) (*device, error) {
	if n, ok := strings.CutPrefix(mountpoint, "/dev/fd/"); ok {
		fd, err := strconv.Atoi(n)
		if err != nil || fd <= 0 {
			return nil, fmt.Errorf("mount %s: not a file descriptor", mountpoint)
		}
		return &device{mountpoint: mountpoint, fd: fd, given: true}, nil
	}
	// Resolved now: afterwards it would be our own mount that answers.
	real, err := filepath.EvalSymlinks(mountpoint)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	d := &device{mountpoint: mountpoint, real: real}
	if os.Geteuid() == 0 {
		err = d.mountDirectly(cfg)
		if err == nil || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
			return d.mounted(err)
		}
		// Root of a container may lack the capability and still have the helper.
		if herr := d.mountByHelper(cfg); herr != nil {
			return nil, fmt.Errorf("%w (and by fusermount3: %w)", err, herr)
		}
		return d.mounted(nil)
	}
	return d.mounted(d.mountByHelper(cfg))
}

func (d *device) mounted(err error) (*device, error) {
	if err != nil {
		return nil, err
	}
	if e, ok := findMount(d.real, ""); ok {
		d.number = e.device
	}
	return d, nil
}

// magic is the name by which go-fuse takes over a mounted descriptor.
func (d *device) magic() string { return fmt.Sprintf("/dev/fd/%d", d.fd) }

func (d *device) mountDirectly(cfg Config) error {
	flags, err := cfg.flags()
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(d.real, &st); err != nil {
		return &os.PathError{Op: "mount", Path: d.mountpoint, Err: err}
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	opts := append(kernelOptions(cfg),
		fmt.Sprintf("fd=%d", fd),
		fmt.Sprintf("rootmode=%o", st.Mode&unix.S_IFMT),
		fmt.Sprintf("user_id=%d", os.Geteuid()),
		fmt.Sprintf("group_id=%d", os.Getegid()))
	err = unix.Mount(cfg.FsName, d.real, "fuse."+cfg.Subtype, flags, strings.Join(opts, ","))
	if err != nil {
		unix.Close(fd)
		return &os.PathError{Op: "mount", Path: d.mountpoint, Err: err}
	}
	d.fd = fd
	return nil
}

func kernelOptions(cfg Config) []string {
	opts := []string{"default_permissions", fmt.Sprintf("max_read=%d", maxRequest)}
	if cfg.AllowOther {
		opts = append(opts, "allow_other")
	}
	return opts
}

// mountByHelper lets the setuid fusermount3 mount, and receives the descriptor.
func (d *device) mountByHelper(cfg Config) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mount %s: socketpair: %w", d.mountpoint, err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "fusermount3"), os.NewFile(uintptr(fds[1]), "fusermount3")
	defer ours.Close()
	defer theirs.Close()

	opts := append(kernelOptions(cfg), cfg.helperFlags()...)
	opts = append(opts, "fsname="+escapeOption(cfg.FsName), "subtype="+escapeOption(cfg.Subtype))
	err = runHelper(theirs, "-o", strings.Join(opts, ","), "--", d.mountpoint)
	if err != nil {
		return fmt.Errorf("mount %s: %w", d.mountpoint, err)
	}
	theirs.Close()
	if d.fd, err = receiveFd(fds[0]); err != nil {
		return fmt.Errorf("mount %s: fusermount3 gave no descriptor: %w", d.mountpoint, err)
	}
	return nil
}

// escapeOption protects the separators of fusermount3's option list.
func escapeOption(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s)
}

// runHelper runs fusermount3 with comm, if not nil, as its channel. Its error is
// what it wrote to stderr.
func runHelper(comm *os.File, args ...string) error {
	bin, err := exec.LookPath("fusermount3")
	if err != nil {
		if bin, err = exec.LookPath("/bin/fusermount3"); err != nil {
			return errors.New("fusermount3 not found; install fuse3")
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), helperTime)
	defer stop()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	cmd.Dir = "/"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if comm != nil {
		cmd.ExtraFiles = []*os.File{comm}
		cmd.Env = append(cmd.Env, "_FUSE_COMMFD=3")
	}
	err = cmd.Run()
	switch text := strings.TrimSpace(stderr.String()); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("fusermount3 did not end within %v", helperTime)
	case text != "":
		return errors.New(text)
	default:
		return fmt.Errorf("fusermount3: %w", err)
	}
}

// receiveFd takes the descriptor that waits in the socket.
func receiveFd(sock int) (int, error) {
	buf, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return -1, err
	}
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, errors.New("no descriptor in its message")
}

// abandon takes away a mount that cannot be served; its descriptor is closed.
func (d *device) abandon() {
	if d.given {
		return
	}
	// Nothing can be open in it: no request was ever answered.
	_ = d.detach(true)
}

// detach unmounts, and does nothing if what is mounted there is no longer ours.
func (d *device) detach(lazy bool) error {
	if d.given {
		return fmt.Errorf("unmount %s: mounted by another program, which has to unmount it", d.mountpoint)
	}
	if _, ok := findMount(d.real, d.number); !ok && d.number != "" {
		return nil
	}
	err := d.detachDirectly(lazy)
	if errors.Is(err, syscall.EPERM) {
		err = d.detachByHelper(lazy)
	}
	if err != nil {
		if _, ok := findMount(d.real, d.number); !ok && d.number != "" {
			return nil // someone was faster
		}
	}
	if errors.Is(err, syscall.EBUSY) {
		if who := holders(d.real); who != "" {
			return fmt.Errorf("%w: used by %s", err, who)
		}
	}
	return err
}

func (d *device) detachDirectly(lazy bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	if err := unix.Unmount(d.real, flags); err != nil {
		return &os.PathError{Op: "unmount", Path: d.mountpoint, Err: err}
	}
	return nil
}

func (d *device) detachByHelper(lazy bool) error {
	how := "-u"
	if lazy {
		how = "-uz"
	}
	err := runHelper(nil, how, "--", d.real)
	if err == nil {
		return nil
	}
	// Its exit status is 1 whatever the reason; the C locale's text is all there is.
	if strings.Contains(strings.ToLower(err.Error()), syscall.EBUSY.Error()) {
		err = syscall.EBUSY
	}
	return &os.PathError{Op: "unmount", Path: d.mountpoint, Err: err}
}
