package mounted

import (
	"regexp"
	"strings"
	"testing"

	"ftpfs/test/servers"
)

// ProFTPD's own checksum of each upload is compared before the file has its name.
func TestProFTPDsChecksumsAreCompared(t *testing.T) {
	w := on(t, servers.ProFTPD, "trace_ftp")
	content := noise(1, 3<<20)
	for _, name := range []string{"a", "b with blanks"} {
		put(t, w.Path(name), content)
		syncNow(t, w.Mount)
		holds(t, w.behind(w.Path(name)), content)
	}
	log := w.Log()
	if !strings.Contains(log, " HASH SHA-256") {
		t.Skip("this ProFTPD has no mod_digest")
	}
	if n := len(regexp.MustCompile(`line="?> HASH `).FindAllString(log, -1)); n != 2 {
		t.Errorf("HASH was asked %d times, want 2", n)
	}
	if n := len(regexp.MustCompile(`line="< 213 .*SHA-256 0-3145728 [0-9a-f]{64} `).FindAllString(log, -1)); n != 2 {
		t.Errorf("HASH was answered %d times, want 2", n)
	}
	if strings.Contains(log, "checksums are of no use") {
		t.Error("its checksums were not believed")
	}
}
