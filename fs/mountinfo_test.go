package fs

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const someMounts = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
90 22 0:47 / /mnt/x rw,nosuid,nodev shared:9 - fuse.ftpfs ftp://host/a rw,user_id=0
91 22 0:48 / /mnt/with\040space\134 rw - fuse.ftpfs ftp://host/b rw
92 90 0:49 / /mnt/x rw - tmpfs none rw
broken line
`

func TestTopMount(t *testing.T) {
	e, ok := topMount([]byte(someMounts), "/mnt/x")
	if !ok || e.device != "0:49" || e.fstype != "tmpfs" {
		t.Errorf("mounted over: got %+v, %v", e, ok)
	}
	e, ok = topMount([]byte(someMounts), `/mnt/with space\`)
	if !ok || e.device != "0:48" {
		t.Errorf("escaped: got %+v, %v", e, ok)
	}
	if e, ok = topMount([]byte(someMounts), "/mnt"); ok {
		t.Errorf("not mounted, got %+v", e)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want uintptr
	}{
		{Config{}, unix.MS_NODEV | unix.MS_NOSUID},
		{Config{Flags: []string{"suid", "dev", "noexec", "noatime"}}, unix.MS_NOEXEC | unix.MS_NOATIME},
		{Config{ReadOnly: true, Flags: []string{"rw"}}, unix.MS_NODEV | unix.MS_NOSUID | unix.MS_RDONLY},
	} {
		if got, err := c.cfg.flags(); err != nil || got != c.want {
			t.Errorf("%+v: got %#x, %v, want %#x", c.cfg, got, err, c.want)
		}
	}
	if _, err := (Config{Flags: []string{"nodve"}}).flags(); err == nil || !strings.Contains(err.Error(), `"nodve"`) {
		t.Errorf("unknown flag: %v", err)
	}
	for w := range flagBits {
		if _, err := (Config{Flags: []string{w}}).flags(); err != nil {
			t.Error(err)
		}
	}
}

func TestHelperOptions(t *testing.T) {
	got := strings.Join(Config{ReadOnly: true, Flags: []string{"noexec", "relatime"}}.helperFlags(), ",")
	if got != "nodev,nosuid,noexec,ro" {
		t.Errorf("got %s", got)
	}
	if got := escapeOption(`ftp://h/a,b\c`); got != `ftp://h/a\,b\\c` {
		t.Errorf("escaped: %s", got)
	}
}
