package servers

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// EndWriters kills the sessions that have a file below Root open for writing under a name that
// is no temporary one of ours, as the administrator of a server does with sessions that are
// stuck. It returns these files, relative to Root.
//
// A session of vsftpd that was frozen between its 226 to an upload and the closing of the file
// may wait for its parent for ever, which waits for it. It keeps its lock on the file, also
// under another name, and who wants to read that gets no answer.
func (s *Server) EndWriters() (files []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	for _, pid := range s.proc.family() {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		fds, _ := os.ReadDir(filepath.Join(proc, "fd"))
		for _, fd := range fds {
			to, _ := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
			rel, below := strings.CutPrefix(to, s.Root+"/")
			if !below || strings.HasPrefix(filepath.Base(rel), ".ftpfs-") || !openForWriting(filepath.Join(proc, "fdinfo", fd.Name())) {
				continue
			}
			files = append(files, rel)
			if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
				awaitExit(pid)
			}
		}
	}
	return files
}

func openForWriting(fdinfo string) bool {
	text, _ := os.ReadFile(fdinfo)
	for line := range strings.Lines(string(text)) {
		if octal, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 64)
			return err == nil && flags&syscall.O_ACCMODE != syscall.O_RDONLY
		}
	}
	return false
}
