package mounted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/test/certs"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// TestWhatDoctorPrescribesMounts pastes what doctor prints into a shell and into fstab, on a
// machine that has no mount point yet, and for a directory whose name needs quoting: here
// /sbin, /mnt and /etc/fstab are others, in a mount namespace of their own. So is the pin that
// the refusal of an unknown certificate has ready.
func TestWhatDoctorPrescribesMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED fstab: it needs root")
	}
	mount.Need(t, "unshare", "mount", "umount")
	pair := certs.Issue(t, certs.Options{Until: 365 * 24 * time.Hour})
	srv := servers.Start(t, servers.ProFTPD, servers.Options{TLS: &servers.TLS{Cert: pair.PEM, Key: pair.Key, Required: true}})
	srv.Put("my #1, photos/f", []byte("hello\n"))
	dir := mount.TempDir(t)
	sbin, mnt := mkdir(t, filepath.Join(dir, "sbin")), mkdir(t, filepath.Join(dir, "mnt"))
	secret := filepath.Join(dir, "credentials")
	must(t, os.WriteFile(secret, []byte("username="+srv.User+"\npassword="+srv.Password+"\n"), 0o600))
	must(t, os.Symlink(program(t), filepath.Join(sbin, "mount.ftpfs")))
	must(t, os.Symlink(program(t), filepath.Join(sbin, "ftpfs")))
	t.Cleanup(func() { mount.Detach(filepath.Join(mnt, "my__1__photos")) })

	script := `
		mount --make-rprivate /
		mount --bind "$1" "$(readlink -f /sbin)"
		mount --bind "$2" /mnt
		PATH=/sbin:$PATH
		options=credentials=$3,cache_dir=$4
		ftpfs doctor -o "$options" "$5" >"$4"/first && exit 9
		pin=$(sed -n 's/^ *\(pin_sha256=[^ ]*\)$/\1/p' "$4"/first)
		ftpfs doctor -o "$options,$pin" "$5" >"$4"/second
		doctor=$4/second
		row() { sed -n "s,^  $1 *  ,,p" "$doctor"; }
		eval "$(row 'mount point')"
		eval "$(row mount)"
		cat /mnt/*/f; ftpfs unmount /mnt/* >/dev/null
		row /etc/fstab >"$4"/fstab
		mount -T "$4"/fstab /mnt/*
		cat /mnt/*/f; ftpfs unmount /mnt/* >/dev/null`
	r := mount.Command{Dir: "/"}.Do(t, "unshare", "-m", "sh", "-ec", script, "sh", sbin, mnt, secret, dir, srv.URL("my%20%231,%20photos"))
	if r.Code != 0 || strings.Count(r.Out, "hello\n") != 2 {
		first, _ := os.ReadFile(filepath.Join(dir, "first"))
		second, _ := os.ReadFile(filepath.Join(dir, "second"))
		t.Fatalf("exit code %d:\n%s%s\n%s%s", r.Code, r.Out, r.Err, first, second)
	}
}
