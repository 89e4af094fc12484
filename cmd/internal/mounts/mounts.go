// Package mounts reads the kernel's table of mounts: which ftpfs mounts there are
// and whose, what is mounted at a directory, where a file lies within its mount,
// and whether a mount is dead (its daemon gone). It asks the file systems
// themselves as little as it can, and never without a bound on the waiting.
package mounts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Type of our mounts in the table.
const Type = "fuse.ftpfs"

// Mount is one line of /proc/self/mountinfo.
type Mount struct {
	ID     int
	Device string // major:minor
	Root   string // path within the file system that is mounted; "/" unless bind-mounted
	Point  string
	Type   string
	Source string
	Super  string // options of the file system
}

// Ours says whether the mount is one of ftpfs.
func (m Mount) Ours() bool { return m.Type == Type }

// Owner is the uid that mounted a FUSE file system; -1 when the line has none.
func (m Mount) Owner() int {
	for _, o := range strings.Split(m.Super, ",") {
		if v, ok := strings.CutPrefix(o, "user_id="); ok {
			if n, err := strconv.Atoi(v); err == nil {
				return n
			}
		}
	}
	return -1
}

// All returns the mounts of this namespace, in the order they were made.
func All() ([]Mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parse(f)
}

func parse(r io.Reader) ([]Mount, error) {
	var all []Mount
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		// ID parent major:minor root point options tags… - type source super
		dash := -1
		for i := 6; i < len(f); i++ {
			if f[i] == "-" {
				dash = i
				break
			}
		}
		if dash < 0 || len(f) < dash+3 {
			continue
		}
		id, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		m := Mount{ID: id, Device: f[2], Root: unescape(f[3]), Point: unescape(f[4]), Type: f[dash+1], Source: unescape(f[dash+2])}
		if len(f) > dash+3 {
			m.Super = f[dash+3]
		}
		all = append(all, m)
	}
	return all, sc.Err()
}

// unescape undoes the kernel's \040 for blanks, tabs, line ends and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// At returns what is mounted exactly at dir, the topmost of several.
func At(all []Mount, dir string) (Mount, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Point == dir {
			return all[i], true
		}
	}
	return Mount{}, false
}

// Containing returns the mount that path lies in, and the path within that file
// system. path must be absolute and clean.
func Containing(all []Mount, path string) (m Mount, within string, ok bool) {
	for i := len(all) - 1; i >= 0; i-- {
		rest, inside := below(all[i].Point, path)
		if !inside || ok && len(all[i].Point) <= len(m.Point) {
			continue
		}
		m, within, ok = all[i], filepath.Join(all[i].Root, rest), true
	}
	return m, within, ok
}

func below(dir, path string) (rest string, ok bool) {
	if dir == "/" {
		return path, true
	}
	rest, ok = strings.CutPrefix(path, dir)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return rest, true
}

// Resolve makes path absolute and follows the symlinks above its last component;
// the last one itself is not touched, as it may be a dead mount or a file that is
// only owed. Where the directory above cannot be read, its name is taken as it is.
func Resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	type answer struct {
		dir string
		err error
	}
	dir := filepath.Dir(abs)
	got, err := bounded(func() answer {
		d, err := filepath.EvalSymlinks(dir)
		return answer{d, err}
	})
	if err == nil && got.err == nil {
		dir = got.dir
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// ResolveMountpoint is Resolve, following a symlink in the last place too if it is one.
func ResolveMountpoint(path string) (string, error) {
	p, err := Resolve(path)
	if err != nil {
		return "", err
	}
	all, err := All()
	if err != nil {
		return "", err
	}
	if _, mounted := At(all, p); mounted {
		return p, nil // a mount point is no symlink, and may be dead or slow
	}
	full, err := bounded(func() string {
		if full, err := filepath.EvalSymlinks(p); err == nil {
			return full
		}
		return p
	})
	if err != nil {
		return p, nil
	}
	return full, nil
}

// ErrSlow says that a file system did not answer.
var ErrSlow = errors.New("no answer from the file system")

// patience with a file system that may be hung. Programs that use this package
// for a mount of their own never ask it.
const patience = 10 * time.Second

// bounded runs f and waits for it a while; an f that hangs is left behind, as
// nothing can end a system call on a hung file system, and the process soon exits.
func bounded[T any](f func() T) (T, error) {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case v := <-ch:
		return v, nil
	case <-t.C:
		var zero T
		return zero, ErrSlow
	}
}

// Dead says whether the daemon behind a mount point is gone.
func Dead(point string) bool {
	err, slow := bounded(func() error {
		var st syscall.Stat_t
		return syscall.Stat(point, &st)
	})
	return slow == nil && errors.Is(err, syscall.ENOTCONN)
}

// Getxattr reads a small extended attribute.
func Getxattr(path, name string) (string, error) {
	type answer struct {
		v   string
		err error
	}
	got, err := bounded(func() answer {
		buf := make([]byte, 4096)
		n, err := syscall.Getxattr(path, name, buf)
		if err != nil {
			return answer{err: err}
		}
		return answer{v: string(buf[:n])}
	})
	if err != nil {
		return "", err
	}
	return got.v, got.err
}

// Describe a mount for a message.
func (m Mount) Describe() string {
	if m.Ours() {
		return "ftpfs, " + m.Source
	}
	return fmt.Sprintf("%s, %s", m.Type, m.Source)
}
