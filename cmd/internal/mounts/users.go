package mounts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Users names up to most processes, as "name (pid)", that keep a mount busy: by
// their working directory, root, program or open files. It reads only /proc's
// links, never the mount, and sees what the caller may see.
func Users(point string, most int) []string {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var users []string
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || len(users) >= most {
			continue
		}
		if uses(filepath.Join("/proc", p.Name()), point) {
			name, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
			users = append(users, fmt.Sprintf("%s (%d)", strings.TrimSpace(string(name)), pid))
		}
	}
	return users
}

func uses(proc, point string) bool {
	links := []string{"cwd", "root", "exe"}
	if fds, err := os.ReadDir(filepath.Join(proc, "fd")); err == nil {
		for _, fd := range fds {
			links = append(links, filepath.Join("fd", fd.Name()))
		}
	}
	return slices.ContainsFunc(links, func(l string) bool {
		to, err := os.Readlink(filepath.Join(proc, l))
		if err != nil {
			return false
		}
		_, in := below(point, to)
		return in
	})
}
