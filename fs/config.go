package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/sys/unix"
)

// Config is how a mount looks to the kernel and to users.
type Config struct {
	FsName  string // the source column of mount(8): the URL, without a password
	Subtype string // the type is fuse.Subtype; "" is ftpfs

	AllowOther bool // users other than the one who mounts may enter; modes are checked
	ReadOnly   bool

	UID, GID uint32 // owner of everything; chown to it succeeds

	// FileMode and DirMode are shown where the server tells no mode; 0 is 0644 and
	// 0755, or 0666 and 0777 if Umask is set. Umask is taken off every mode shown.
	FileMode, DirMode uint32
	Umask             *uint32

	// Flags are mount(8)'s own words: dev nodev suid nosuid exec noexec atime
	// noatime diratime nodiratime relatime strictatime sync async dirsync ro rw.
	// nodev and nosuid are on unless countermanded.
	Flags []string

	Control string // value of user.ftpfs.control on the root: the daemon's socket; "" for none

	Debug bool         // log every request
	Log   *slog.Logger // nil discards
}

const (
	maxRequest    = 1 << 20 // bytes of a READ or WRITE
	maxBackground = 64      // readahead and asynchronous requests at once
)

func (c Config) withDefaults() Config {
	if c.Subtype == "" {
		c.Subtype = "ftpfs"
	}
	if c.FsName == "" {
		c.FsName = c.Subtype
	}
	file, dir := uint32(0o644), uint32(0o755)
	if c.Umask != nil {
		file, dir = 0o666, 0o777
	}
	if c.FileMode == 0 {
		c.FileMode = file
	}
	if c.DirMode == 0 {
		c.DirMode = dir
	}
	return c
}

// flagBits are the mount flags that take no argument: which bits a word sets and
// which it clears.
var flagBits = map[string]struct{ set, clear uintptr }{
	"rw":          {clear: unix.MS_RDONLY},
	"ro":          {set: unix.MS_RDONLY},
	"dev":         {clear: unix.MS_NODEV},
	"nodev":       {set: unix.MS_NODEV},
	"suid":        {clear: unix.MS_NOSUID},
	"nosuid":      {set: unix.MS_NOSUID},
	"exec":        {clear: unix.MS_NOEXEC},
	"noexec":      {set: unix.MS_NOEXEC},
	"async":       {clear: unix.MS_SYNCHRONOUS},
	"sync":        {set: unix.MS_SYNCHRONOUS},
	"dirsync":     {set: unix.MS_DIRSYNC},
	"atime":       {clear: unix.MS_NOATIME},
	"noatime":     {set: unix.MS_NOATIME},
	"diratime":    {clear: unix.MS_NODIRATIME},
	"nodiratime":  {set: unix.MS_NODIRATIME},
	"relatime":    {set: unix.MS_RELATIME},
	"strictatime": {set: unix.MS_STRICTATIME},
}

// flags returns the bits for mount(2).
func (c Config) flags() (uintptr, error) {
	bits := uintptr(unix.MS_NODEV | unix.MS_NOSUID)
	if c.ReadOnly {
		bits |= unix.MS_RDONLY
	}
	for _, w := range c.Flags {
		f, ok := flagBits[w]
		if !ok {
			return 0, fmt.Errorf("mount: unknown flag %q", w)
		}
		bits = bits&^f.clear | f.set
	}
	if c.ReadOnly {
		bits |= unix.MS_RDONLY
	}
	return bits, nil
}

// helperFlags are the words fusermount3 knows; it adds nodev and nosuid for anyone
// but root.
func (c Config) helperFlags() []string {
	known := map[string]bool{"rw": true, "ro": true, "dev": true, "nodev": true, "suid": true, "nosuid": true,
		"exec": true, "noexec": true, "async": true, "sync": true, "dirsync": true, "atime": true, "noatime": true}
	words := []string{"nodev", "nosuid"}
	for _, w := range c.Flags {
		if known[w] {
			words = append(words, w)
		}
	}
	if c.ReadOnly {
		words = append(words, "ro")
	}
	return words
}

func (c Config) check() error {
	if strings.ContainsAny(c.FsName+c.Subtype, "\x00\n") {
		return errors.New("mount: the name of the source holds a newline or NUL")
	}
	_, err := c.flags()
	return err
}
