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

// Resolve makes path absolute and follows its symlinks as far as the first ftpfs
// mount on the way; what lies behind that is appended as it is. So no ftpfs mount
// is touched, which may be dead or hung: a process that waits in a hung one cannot
// even be killed. What does not exist is taken as it is, too.
func Resolve(path string, all []Mount) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	ours := map[string]bool{}
	for _, m := range all {
		if m.Ours() {
			ours[m.Point] = true
		}
	}
	return bounded(func() string { return walk(abs, ours) })
}

// mostLinks is the kernel's bound on symlinks in one path.
const mostLinks = 40

func walk(abs string, stop map[string]bool) string {
	done, rest := "/", strings.Split(abs, "/")
	for links := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, c)
		if stop[next] {
			return filepath.Join(append([]string{next}, rest...)...)
		}
		to, err := os.Readlink(next)
		if err != nil {
			done = next
			continue
		}
		if links++; links > mostLinks {
			return filepath.Join(append([]string{next}, rest...)...)
		}
		if filepath.IsAbs(to) {
			done = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return done
}

// ErrSlow says that a file system did not answer.
var ErrSlow = errors.New("no answer from the file system")

// patience with a file system that may be hung.
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

// Dead says whether a FUSE mount's daemon is gone, by asking the mount. To be
// asked only when nothing else tells: see Resolve.
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
