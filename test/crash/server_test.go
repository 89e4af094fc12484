package crash

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/servers"
)

// server is one of the real ones, or the scripted one.
type server struct {
	url, password string
	real          *servers.Server
	script        *ftpscript.Server

	frozen *ftpscript.Applied // of the scripted one
	thaw   chan struct{}
}

func startReal(t *testing.T, kind servers.Kind) *server {
	s := servers.Start(t, kind, servers.Options{})
	return &server{url: s.URL(""), password: s.Password, real: s}
}

func startScript(t *testing.T, o ftpscript.Options) *server {
	s := ftpscript.Start(t, o)
	return &server{url: s.URL(""), password: ftpscript.Password, script: s}
}

func (s *server) stop() {
	if s.real != nil {
		s.real.Stop()
	} else {
		s.script.Stop()
	}
}

func (s *server) restart(t *testing.T) {
	if s.real != nil {
		s.real.Restart()
	} else if err := s.script.Restart(); err != nil {
		t.Fatal(err)
	}
}

// freeze leaves every command without an answer until goOn.
func (s *server) freeze() {
	if s.real != nil {
		s.real.Freeze()
		return
	}
	s.thaw = make(chan struct{})
	s.frozen = s.script.Add(ftpscript.Rule{Hold: s.thaw})
}

func (s *server) goOn() {
	if s.real != nil {
		s.real.Thaw()
		return
	}
	s.frozen.Remove()
	close(s.thaw)
}

// each calls f for every file (b not nil) and directory on the server. known says of
// a file that it need not be read, as it is the one it was.
func (s *server) each(known func(p, id string) bool, f func(p string, b []byte)) error {
	if s.script != nil {
		for _, e := range s.script.Tree.All() {
			if e.Dir {
				f(e.Path[1:], nil)
			} else if b, ok := s.script.Tree.Get(e.Path); ok {
				f(e.Path[1:], append([]byte{}, b...))
			}
		}
		return nil
	}
	root := s.real.Root
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil // renamed or removed meanwhile
		case err != nil || p == root:
			return err
		case d.IsDir():
			f(p[len(root)+1:], nil)
			return nil
		}
		fi, err := os.Lstat(p)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		if known(p, fmt.Sprint(st.Ino, st.Size, st.Mtim, st.Ctim)) {
			return nil
		}
		b, err := os.ReadFile(p)
		if err == nil {
			f(p[len(root)+1:], b)
		} else if os.IsNotExist(err) {
			err = nil
		}
		return err
	})
}

// tree is all that the server has, in worker's directory.
func (s *server) tree(dir string) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := s.each(func(string, string) bool { return false }, func(p string, b []byte) {
		if below(p, dir) && p != dir {
			all[p[len(dir)+1:]] = b
		}
	})
	return all, err
}

// temporary names what is on the server under a name of ours.
func (s *server) temporary() (names []string, err error) {
	err = s.each(func(string, string) bool { return false }, func(p string, _ []byte) {
		if strings.HasPrefix(path.Base(p), ".ftpfs") {
			names = append(names, p)
		}
	})
	return names, err
}

// watch looks at the server's disk all the time, behind the server's back, and keeps
// every content it has seen under a final name.
type watch struct {
	srv  *server
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex // guards what follows
	seen map[[32]byte]sight
	ids  map[string]string // of files, by path
	err  error
	was  map[[32]byte]bool // contents that have been accounted for
}

type sight struct {
	path string
	b    []byte
}

func startWatch(s *server) *watch {
	w := &watch{srv: s, stop: make(chan struct{}), seen: map[[32]byte]sight{}, ids: map[string]string{}, was: map[[32]byte]bool{}}
	w.done.Go(func() {
		tick := time.NewTicker(15 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.look()
			}
		}
	})
	return w
}

func (w *watch) end() {
	close(w.stop)
	w.done.Wait()
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.srv.each(func(p, id string) bool {
		same := w.ids[p] == id
		w.ids[p] = id
		return same
	}, func(p string, b []byte) {
		if b == nil || strings.HasPrefix(path.Base(p), ".ftpfs") {
			return
		}
		if sum := sha256.Sum256(b); !w.was[sum] {
			w.seen[sum] = sight{p, b}
		}
	})
	if err != nil && w.err == nil {
		w.err = err
	}
}

// account takes the contents that worker dir may have published out of those seen,
// and returns how many were seen, and those that nobody may have.
func (w *watch) account(dir string, versions [][]byte) (n int, half []sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range versions {
		w.was[sha256.Sum256(v)] = true
	}
	for sum, s := range w.seen {
		if !below(s.path, dir) {
			continue
		}
		n++
		if !w.was[sum] && !tail(s.b, versions) {
			half = append(half, s)
		}
		delete(w.seen, sum)
	}
	return n, half
}
