// Package argv takes secrets out of what the kernel shows of this process: its
// arguments (/proc/PID/cmdline, ps) and its environment (/proc/PID/environ).
package argv

import (
	"os"
	"strings"
	"syscall"
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
	v, ok := syscall.Getenv(name)
	if !ok {
		return ""
	}
	value := strings.Clone(v)
	if inEnviron(v) {
		blank(unsafe.Slice(unsafe.StringData(v), len(v)))
	}
	os.Unsetenv(name)
	return value
}

// inEnviron says whether v is still the kernel's memory, and not a string set
// with os.Setenv, which may be a constant that cannot be written to.
func inEnviron(v string) bool {
	if v == "" || len(os.Args) == 0 {
		return false
	}
	// The kernel lays out argv and the environment side by side near the stack's
	// top; no Go allocation or constant comes to lie within its 2 MiB bound.
	const most = 2 << 20
	a := uintptr(unsafe.Pointer(unsafe.StringData(os.Args[0])))
	p := uintptr(unsafe.Pointer(unsafe.StringData(v)))
	return p > a && p-a < most
}

func blank(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
