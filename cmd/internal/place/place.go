// Package place decides where a mount keeps its things: what it owes (state, which
// nobody may clean), what it merely holds (cache, which anybody may), and the
// runtime directory of control sockets. One server, user, port and path has one
// key and one directory in each, mode 0700. It creates directories and refuses
// those that belong to somebody else; what lies inside is not its business.
package place

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ftpfs/cmd/internal/target"
)

// Dirs of one mount.
type Dirs struct {
	Key   string // of server, user, port and path
	State string // spool, log, mount.json
	Cache string
}

// Roots are the directories that hold the directories of all mounts.
type Roots struct{ State, Cache string }

// FindRoots chooses the roots of this user; cacheDir is the option of that name,
// or "". Where a home is needed and $HOME is empty, as it is under mount(8),
// the password file's is taken.
func FindRoots(cacheDir string) (Roots, error) {
	if cacheDir != "" {
		abs, err := filepath.Abs(cacheDir)
		if err != nil {
			return Roots{}, fmt.Errorf("cache_dir %s: %w", cacheDir, err)
		}
		return Roots{State: filepath.Join(abs, "state"), Cache: filepath.Join(abs, "cache")}, nil
	}
	state, cache := os.Getenv("XDG_STATE_HOME"), os.Getenv("XDG_CACHE_HOME")
	if os.Geteuid() == 0 {
		return Roots{State: rootFor(state, "/var/lib"), Cache: rootFor(cache, "/var/cache")}, nil
	}
	if filepath.IsAbs(state) && filepath.IsAbs(cache) {
		return Roots{State: filepath.Join(state, "ftpfs"), Cache: filepath.Join(cache, "ftpfs")}, nil
	}
	home, err := Home()
	if err != nil {
		return Roots{}, err
	}
	return Roots{
		State: rootFor(state, filepath.Join(home, ".local", "state")),
		Cache: rootFor(cache, filepath.Join(home, ".cache")),
	}, nil
}

func rootFor(xdg, otherwise string) string {
	if os.Geteuid() == 0 || !filepath.IsAbs(xdg) { // XDG: relative paths are to be ignored
		return filepath.Join(otherwise, "ftpfs")
	}
	return filepath.Join(xdg, "ftpfs")
}

// Home of the effective user.
func Home() (string, error) {
	if h := os.Getenv("HOME"); filepath.IsAbs(h) {
		return h, nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil || !filepath.IsAbs(u.HomeDir) {
		return "", errors.New("no home directory: $HOME is empty; give cache_dir=DIR")
	}
	return u.HomeDir, nil
}

// Key names a server, user, port and path: readable, and never the same for two.
func Key(t target.Target) string {
	sum := sha256.Sum256([]byte(Identity(t)))
	var b strings.Builder
	readable := t.Host
	if t.User != "" && t.User != "anonymous" {
		readable = t.User + "@" + readable
	}
	if t.Dir != "" {
		readable += "_" + t.Dir
	}
	for i := 0; i < len(readable) && b.Len() < 60; i++ {
		c := readable[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_@", c) >= 0, c == '.' && b.Len() > 0:
			b.WriteByte(c)
		default:
			b.WriteByte('_')
		}
	}
	return b.String() + "-" + hex.EncodeToString(sum[:6])
}

// Identity is what a spool belongs to, in one string. Whether the server is spoken to
// by TLS is no part of it: what is owed goes out whichever way the next mount chooses.
func Identity(t target.Target) string {
	if t.User == "anonymous" {
		t.User = ""
	}
	return t.Clear().String()
}

// Make creates the directories of one mount, mode 0700, and returns them.
func (r Roots) Make(t target.Target) (Dirs, error) {
	d := r.Of(Key(t))
	for _, dir := range []string{r.State, r.Cache, d.State, d.Cache} {
		if err := Private(dir); err != nil {
			return Dirs{}, err
		}
	}
	return d, nil
}

// Of returns the directories of a key.
func (r Roots) Of(key string) Dirs {
	return Dirs{Key: key, State: filepath.Join(r.State, key), Cache: filepath.Join(r.Cache, key)}
}

// serversName is the directory with what was learned of servers; no key is like it.
const serversName = "servers"

// Server returns the file with what was learned of a server, which all mounts of its
// host, port and user share.
func (r Roots) Server(t target.Target) string {
	t.Dir = ""
	return filepath.Join(r.State, serversName, Key(t)+".json")
}

// Host names a host and port, whoever logs in there, for a file.
func Host(t target.Target) string {
	return Key(target.Target{Host: t.Host, Port: t.Port})
}

// Keys lists the mounts that have a state directory here.
func (r Roots) Keys() ([]string, error) {
	entries, err := os.ReadDir(r.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != serversName {
			keys = append(keys, e.Name())
		}
	}
	return keys, nil
}

// Private makes dir, with its parents, and sees to it that it is ours and that
// nobody else can enter it. A symlink in its place is refused: in /tmp it would
// be somebody else's choice.
func Private(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !fi.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case fi.Mode().Perm()&0o077 != 0:
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// Note is left in a state directory by the daemon that uses it, for whoever finds
// the spool locked, or owing something and not mounted.
type Note struct {
	URL        string    `json:"url"`
	PID        int       `json:"pid"`
	Mountpoint string    `json:"mountpoint"`
	Control    string    `json:"control,omitempty"`
	Spool      string    `json:"spool,omitempty"`
	CacheDir   string    `json:"cache_dir,omitempty"` // the option, to mount again
	Started    time.Time `json:"started"`
	Codepage   string    `json:"codepage,omitempty"`  // the option: what the names of the server were written in
	Unmounted  bool      `json:"unmounted,omitempty"` // PID only sends what is left
}

const noteName = "mount.json"

// WriteNote replaces the note in a state directory.
func WriteNote(state string, n Note) error {
	b, err := json.MarshalIndent(n, "", "\t")
	if err != nil {
		return err
	}
	tmp := filepath.Join(state, noteName+".tmp")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(state, noteName))
}

// WriteElsewhere leaves a note about a mount with a cache_dir of its own, whose
// state d is not under the usual root, in a directory under that root. Such notes
// whose spool is gone are removed.
func WriteElsewhere(d Dirs, n Note) error {
	roots, dir, err := elsewhere(d)
	if err != nil {
		return err
	}
	for _, p := range []string{roots.State, dir} {
		if err := Private(p); err != nil {
			return err
		}
	}
	old, _ := filepath.Glob(filepath.Join(roots.State, "*"+atOther+"*"))
	for _, o := range old {
		if note := ReadNote(o); note.Spool != "" {
			if _, err := os.Stat(note.Spool); errors.Is(err, fs.ErrNotExist) {
				removeNote(o)
			}
		}
	}
	return WriteNote(dir, n)
}

// RemoveElsewhere removes the note of WriteElsewhere.
func RemoveElsewhere(d Dirs) {
	if _, dir, err := elsewhere(d); err == nil {
		removeNote(dir)
	}
}

const atOther = "-at-"

func elsewhere(d Dirs) (Roots, string, error) {
	roots, err := FindRoots("")
	if err != nil {
		return Roots{}, "", err
	}
	sum := sha256.Sum256([]byte(d.State))
	return roots, roots.Of(d.Key + atOther + hex.EncodeToString(sum[:4])).State, nil
}

// removeNote removes a directory that holds a note and nothing else.
func removeNote(dir string) {
	if names, err := os.ReadDir(dir); err == nil && len(names) == 1 && names[0].Name() == noteName {
		_ = os.Remove(filepath.Join(dir, noteName))
		_ = os.Remove(dir)
	}
}

// ReadNote returns the note in a state directory; a lost or torn one is empty.
func ReadNote(state string) Note {
	var n Note
	b, err := os.ReadFile(filepath.Join(state, noteName))
	if err != nil || json.Unmarshal(b, &n) != nil {
		return Note{}
	}
	return n
}

// Free returns the bytes this user can still write where dir is; -1 when unknown.
func Free(dir string) int64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
