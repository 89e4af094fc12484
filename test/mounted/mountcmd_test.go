package mounted

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// mount -t ftpfs and a line in fstab, by mount(8) itself. It looks for mount.ftpfs
// in /sbin, which here is another directory in a mount namespace of its own. The line in
// fstab is enough also to mount again after the daemon died.
func TestMountCommand(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED mount -t ftpfs: it needs root")
	}
	mount.Need(t, "unshare", "mount", "umount")
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", []byte("hello\n"))
	dir := mount.TempDir(t)
	point, sbin := mkdir(t, filepath.Join(dir, "mnt")), mkdir(t, filepath.Join(dir, "sbin"))
	secret, fstab := filepath.Join(dir, "credentials"), filepath.Join(dir, "fstab")
	must(t, os.WriteFile(secret, []byte("username="+ftpscript.User+"\npassword="+ftpscript.Password+"\n"), 0o600))
	options := "credentials=" + secret + ",cache_dir=" + dir + "/cache"
	put(t, fstab, fmt.Appendf(nil, "%s %s ftpfs %s,noauto,_netdev,x-systemd.automount 0 0\n", srv.URL("d"), point, options))
	must(t, os.Symlink(program(t), filepath.Join(sbin, "mount.ftpfs")))
	t.Cleanup(func() { mount.Detach(point) })

	script := `
		mount --make-rprivate /
		mount --bind "$1" "$(readlink -f /sbin)"
		mount -t ftpfs -o "$2" "$3" "$4"
		cat "$4"/f; echo mine >"$4"/new; "$5" sync "$4" >/dev/null
		grep " $4 fuse.ftpfs " /proc/mounts
		umount "$4"
		mount -T "$6" "$4"
		kill -ABRT $("$5" status --json "$4" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
		while ls "$4" >/dev/null 2>&1; do sleep 0.1; done
		mount -T "$6" "$4"
		cat "$4"/new; "$5" unmount "$4" >/dev/null
		ls -A "$4"`
	r := mount.Command{Dir: "/"}.Do(t, "unshare", "-m", "sh", "-ec", script, "sh", sbin, options, srv.URL("d"), point, program(t), fstab)
	lines := strings.Split(r.Out, "\n")
	if r.Code != 0 || len(lines) != 4 || lines[0] != "hello" || !strings.Contains(lines[1], point) || lines[2] != "mine" {
		t.Fatalf("exit code %d:\n%s%s", r.Code, r.Out, r.Err)
	}
	if strings.Contains(r.Out+r.Err, ftpscript.Password) {
		t.Errorf("the password shows: %s%s", r.Out, r.Err)
	}
	if got, _ := srv.Tree.Get("/d/new"); string(got) != "mine\n" {
		t.Errorf("on the server: %q", got)
	}
}
