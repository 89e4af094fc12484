package fs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readAheadKiB is how far the kernel reads ahead for root's mounts: two requests
// of full size under way, where the default of 128 KiB would cut them to that. Four KiB
// less, because of whole 2 MiB it asks at first for four times what a program reads of 64 KiB,
// and not twice: such a request is answered when the last of it is there.
const readAheadKiB = 2<<10 - 4

// mountEntry is a line of /proc/self/mountinfo.
type mountEntry struct {
	device string // major:minor
	path   string
	fstype string
}

// findMount returns what is mounted on top at path, if it is of that device ("" is
// any). It does not touch the mount.
func findMount(path, device string) (mountEntry, bool) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mountEntry{}, false
	}
	e, ok := topMount(data, path)
	return e, ok && (device == "" || e.device == device)
}

func topMount(mountinfo []byte, path string) (top mountEntry, ok bool) {
	for line := range bytes.Lines(mountinfo) {
		e, valid := parseMount(string(line))
		if valid && e.path == path {
			top, ok = e, true // the last one is on top
		}
	}
	return top, ok
}

// parseMount reads "36 35 0:47 / /mnt rw,nosuid shared:1 - fuse.ftpfs source rw".
func parseMount(line string) (mountEntry, bool) {
	fields := strings.Fields(line)
	if len(fields) < 7 {
		return mountEntry{}, false
	}
	e := mountEntry{device: fields[2], path: unescapeMount(fields[4])}
	for i, f := range fields[6:] {
		if f == "-" && 6+i+1 < len(fields) {
			e.fstype = fields[6+i+1]
			return e, true
		}
	}
	return e, false
}

// unescapeMount undoes the kernel's \040 for a space and the like.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
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

// readAhead lets the kernel read further ahead than its 128 KiB. Only root may;
// without it reads are smaller and the tree's own reading ahead does the rest.
func (d *device) readAhead(log *slog.Logger) {
	if d.number == "" || os.Geteuid() != 0 {
		return
	}
	err := os.WriteFile("/sys/class/bdi/"+d.number+"/read_ahead_kb", []byte(strconv.Itoa(readAheadKiB)), 0)
	if err != nil {
		log.Debug("readahead stays as it is", "error", err)
	}
}

// holders names up to five processes that have a file, a working directory or a
// root at or below path, as far as we may see. Only links are read, never the
// mount itself.
func holders(path string) string {
	const most = 5
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var who []string
	for _, p := range procs {
		if !holds(p, path) {
			continue
		}
		if len(who) == most {
			who = append(who, "others")
			break
		}
		name, _ := os.ReadFile(p + "/comm")
		who = append(who, fmt.Sprintf("%s (%s)", bytes.TrimSpace(name), filepath.Base(p)))
	}
	return strings.Join(who, ", ")
}

func holds(proc, path string) bool {
	links, _ := filepath.Glob(proc + "/fd/*")
	for _, l := range append(links, proc+"/cwd", proc+"/root", proc+"/exe") {
		to, err := os.Readlink(l)
		if err == nil && (to == path || strings.HasPrefix(to, path+"/")) {
			return true
		}
	}
	return false
}
