package place

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// RuntimeDir creates and returns the directory for control sockets: /run/ftpfs
// for root, $XDG_RUNTIME_DIR/ftpfs for others, /tmp/ftpfs-UID where neither can
// be had.
func RuntimeDir() (string, error) {
	var first error
	for _, dir := range runtimeDirs(os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR")) {
		if filepath.Dir(dir) != "/run" { // XDG_RUNTIME_DIR is the login manager's to make
			if _, err := os.Stat(filepath.Dir(dir)); err != nil {
				continue
			}
		}
		err := Private(dir)
		if err == nil {
			return dir, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("no place for a control socket")
	}
	return "", first
}

func runtimeDirs(uid int, xdg string) []string {
	var dirs []string
	if uid == 0 {
		dirs = append(dirs, "/run/ftpfs")
	} else if filepath.IsAbs(xdg) {
		dirs = append(dirs, filepath.Join(xdg, "ftpfs"))
	}
	return append(dirs, "/tmp/ftpfs-"+strconv.Itoa(uid))
}

// WaitingDir is the directory in which the mounts of this user tell each other that they
// wait for a connection, beside their control sockets: where it lies depends neither on
// cache_dir nor on the path on the server.
func WaitingDir() (string, error) {
	dir, err := RuntimeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "waiting"), nil
}

// SocketPath names a control socket; sockets of one mountpoint share a prefix, so
// that they are found when the mountpoint itself cannot be asked.
func SocketPath(dir, mountpoint string, pid int) string {
	return filepath.Join(dir, socketPrefix(mountpoint)+strconv.Itoa(pid)+".sock")
}

// SocketPattern matches the sockets of one mountpoint, for filepath.Glob.
func SocketPattern(dir, mountpoint string) string {
	return filepath.Join(dir, socketPrefix(mountpoint)+"*.sock")
}

func socketPrefix(mountpoint string) string {
	sum := sha256.Sum256([]byte(mountpoint))
	return hex.EncodeToString(sum[:6]) + "-"
}

// FindSockets lists the sockets that mounts of uid at mountpoint may have.
func FindSockets(uid int, mountpoint string) []string {
	dirs := runtimeDirs(uid, filepath.Join("/run/user", strconv.Itoa(uid)))
	if xdg := os.Getenv("XDG_RUNTIME_DIR"); uid == os.Geteuid() && uid != 0 && filepath.IsAbs(xdg) {
		dirs = append(dirs, filepath.Join(xdg, "ftpfs"))
	}
	var found []string
	for _, d := range dirs {
		m, err := filepath.Glob(SocketPattern(d, mountpoint))
		if err == nil {
			found = append(found, m...)
		}
	}
	return found
}
