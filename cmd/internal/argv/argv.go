// Package argv takes secrets out of what the kernel shows of this process: its
// arguments (/proc/PID/cmdline, ps) and its environment (/proc/PID/environ).
package argv

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"ftpfs/cmd/internal/target"
)

// Take returns the arguments as they were given, and blanks the passwords in the
// process's own argument memory. os.Args is left with the blanked ones. To be
// called first thing in main: until then the arguments can be seen.
func Take() (args []string, secrets bool) {
	for i, a := range os.Args {
		args = append(args, strings.Clone(a))
		spans := target.Secret(a)
		if i == 0 || len(spans) == 0 {
			continue
		}
		secrets = true
		// On Linux the runtime's strings lie in the memory that the kernel shows.
		mem := unsafe.Slice(unsafe.StringData(a), len(a))
		for _, s := range spans {
			blank(mem[s[0]:s[1]])
		}
	}
	return args, secrets
}

// TakeEnv returns an environment variable and removes it from the environment of
// this process, as /proc shows it, and of all that it starts.
func TakeEnv(name string) string {
	value, ok := os.LookupEnv(name)
	if !ok {
		return ""
	}
	os.Unsetenv(name)
	env := environ()
	for from := 0; from < len(env); {
		end := bytes.IndexByte(env[from:], 0)
		if end < 0 {
			end = len(env) - from
		}
		if v, ok := bytes.CutPrefix(env[from:from+end], []byte(name+"=")); ok {
			blank(v)
		}
		from += end + 1
	}
	return value
}

// environ is the environment in the kernel's memory, of which the runtime's
// strings are copies. It lies behind the arguments; /proc says where. Nil where
// that cannot be told.
func environ() []byte {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil || len(os.Args) == 0 || os.Args[0] == "" {
		return nil
	}
	// The fields after the program's name in parentheses begin with the third;
	// 50 and 51 are env_start and env_end (proc_pid_stat(5)).
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 49 {
		return nil
	}
	start, err1 := strconv.ParseUint(f[50-3], 10, 64)
	end, err2 := strconv.ParseUint(f[51-3], 10, 64)
	first := unsafe.Pointer(unsafe.StringData(os.Args[0]))
	at := uint64(uintptr(first))
	if err1 != nil || err2 != nil || start <= at || end <= start || end-at > 8<<20 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(first, start-at)), end-start)
}

func blank(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
